package spec

import (
	"fmt"
	"slices"
	"strings"
)

// nearest is the candidate that a person most likely meant by word, or "". It shares a letter with it at least.
func nearest(word string, candidates []string) string {
	const (
		longest = 64   // a longer word is no slip of the finger
		most    = 1000 // candidates that are compared
	)
	if len(word) > longest {
		return ""
	}
	best, least := "", min(len(word), max(1, len(word)/3)+1)
	compared := 0
	for _, c := range candidates {
		if len(c) > longest || c == word || max(len(c)-len(word), len(word)-len(c)) >= least {
			continue
		}
		if compared++; compared > most {
			break
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// DidYouMean completes a message about an unknown word with the candidate that was most likely meant, if there is one.
func DidYouMean(word string, candidates []string) string {
	if c := nearest(word, candidates); c != "" {
		return fmt.Sprintf(", did you mean %q?", c)
	}
	return ""
}

// distance counts the letters to insert, delete, replace or swap with a neighbour to turn a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+same)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// oneOf lists choices for a message: a, b or c.
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(slices.Clone(words[:last]), ", ") + " or " + words[last]
}
