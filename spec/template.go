package spec

import (
	"slices"
	"strings"
	"unicode"
)

// part is a piece of a template: text, or the source of an expression.
type part struct {
	text string
	code bool
	mark int // which ${{ of the text this is, escaped ones counted
}

// markError is what is wrong with a ${{ of a text.
type markError struct {
	mark    int // which it is, escaped ones counted
	message string
}

func (e *markError) Error() string { return e.message }

// splitTemplate finds the ${{ }} of a text. $${{ stands for a literal ${{.
func splitTemplate(s string) ([]part, *markError) {
	var parts []part
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, part{text: text.String()})
			text.Reset()
		}
	}
	for mark := 0; ; mark++ {
		i := strings.Index(s, "${{")
		if i < 0 {
			text.WriteString(s)
			flush()
			return parts, nil
		}
		if i > 0 && s[i-1] == '$' {
			text.WriteString(s[:i-1] + "${{")
			s = s[i+3:]
			continue
		}
		text.WriteString(s[:i])
		flush()
		s = s[i+3:]
		end := closing(s)
		if end < 0 {
			return nil, &markError{mark, "${{ is never closed by }}"}
		}
		source := strings.TrimSpace(s[:end])
		if source == "" {
			return nil, &markError{mark, "${{ }} holds no expression"}
		}
		parts = append(parts, part{text: source, code: true, mark: mark})
		s = s[end+2:]
	}
}

// literalPrefix is the text before the first expression; whole tells whether that is all.
func literalPrefix(parts []part) (prefix string, whole bool) {
	if len(parts) == 0 || parts[0].code {
		return "", len(parts) == 0
	}
	return parts[0].text, len(parts) == 1
}

// closing finds the }} that ends an expression: not within quotes, nor one that closes braces of the expression.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"', '\'', '`':
			i = endOfText(s, i)
		case '{':
			depth++
		case '}':
			if depth > 0 {
				depth--
			} else if strings.HasPrefix(s[i:], "}}") {
				return i
			}
		}
	}
	return -1
}

// lines are those of a file. One that expressions stand in is kept as characters, so that a column is found at once,
// however long the line.
type lines struct {
	text  []string
	runes map[int][]rune
}

func newLines(text []string) *lines { return &lines{text, map[int][]rune{}} }

func (l *lines) at(i int) []rune {
	if l.runes[i] == nil {
		l.runes[i] = []rune(l.text[i])
	}
	return l.runes[i]
}

// start is the place of the first character of a scalar: for a block below | or > that is on a later line.
func (t *tree) start(lines *lines) Pos {
	if !t.block {
		return t.Pos
	}
	return t.behind(lines, t.Line, 0) // the line at t.Line is the one after the indicator
}

// marks are the places of the expressions of a template: for each ${{ of the scalar, what stands behind it.
func (t *tree) marks(lines *lines) []Pos {
	want := strings.Count(t.text, "${{")
	at := t.start(lines)
	left := len(`\U0001F600`) * len(t.text) // a bound of what the scalar takes, white space aside: a $ may be escaped
	var places []Pos
	for i, c := at.Line-1, at.Column-1; i < len(lines.text) && len(places) < want && left > 0; i, c = i+1, 0 {
		for line := lines.at(i); c+2 < len(line) && len(places) < want && left > 0; c++ {
			if line[c] == '$' && line[c+1] == '{' && line[c+2] == '{' {
				places = append(places, t.behind(lines, i, c+3))
			}
			if !unicode.IsSpace(line[c]) {
				left--
			}
		}
	}
	return places
}

// behind is the place of the first character at or behind one of a line that is no space, be it on a later line.
func (t *tree) behind(lines *lines, line, column int) Pos {
	for i := line; i < len(lines.text); i, column = i+1, 0 {
		rest := lines.at(i)[column:]
		if first := slices.IndexFunc(rest, func(r rune) bool { return !unicode.IsSpace(r) }); first >= 0 {
			return Pos{t.File, i + 1, column + first + 1}
		}
	}
	return t.Pos
}
