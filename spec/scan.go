package spec

import (
	"fmt"
	"strings"
)

// tooBig looks at an expression before it is parsed: the parser calls itself at every bracket, and a deep enough text
// overflows the stack, which ends the process.
func tooBig(src string) *exprProblem {
	if len(src) > maxSource {
		return &exprProblem{message: fmt.Sprintf("the expression is %d bytes long; at most %d are allowed", len(src), maxSource)}
	}
	if nesting(src) > maxNesting {
		return &exprProblem{message: fmt.Sprintf("the expression nests deeper than %d levels", maxNesting)}
	}
	return nil
}

// nesting is how deep an expression goes at most: brackets that are open, and unary operators in a row.
func nesting(src string) int {
	deepest, open, unary := 0, 0, 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '"', '\'', '`':
			i = endOfText(src, i)
			unary = 0
		case '(', '[', '{':
			open++
		case ')', ']', '}':
			open = max(open-1, 0)
			unary = 0
		case '!', '-', '+':
			unary++
		case 'n': // not not not
			if len(src)-i > 3 && src[i:i+3] == "not" {
				unary++
				i += 2
			} else {
				unary = 0
			}
		case '/':
			i = endOfComment(src, i)
		case ' ', '\t', '\n', '\r':
		default:
			unary = 0
		}
		deepest = max(deepest, open+unary)
	}
	return deepest
}

// endOfText is where the text that begins at i ends.
func endOfText(s string, i int) int {
	quote := s[i]
	for i++; i < len(s) && s[i] != quote; i++ {
		if s[i] == '\\' && quote != '`' {
			i++
		}
	}
	return i
}

// endOfComment is where the comment that begins at i ends; i where none does.
func endOfComment(s string, i int) int {
	end := ""
	switch {
	case strings.HasPrefix(s[i:], "//"):
		end = "\n"
	case strings.HasPrefix(s[i:], "/*"):
		end = "*/"
	default:
		return i
	}
	if n := strings.Index(s[i+2:], end); n >= 0 {
		return i + 2 + n + len(end) - 1
	}
	return len(s)
}
