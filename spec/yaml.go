package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Members is a mapping whose members are written in their order.
type Members []Member

// Member is one of a mapping.
type Member struct {
	Key   string
	Value any
}

// AppendYAML adds a canonical value, or [Members], as YAML that people read and compare: a member and an item a line, with
// sorted keys, texts of several lines as they are, whole numbers in one line. [ParseYAML] reads it back.
func AppendYAML(b []byte, v any) []byte {
	w := &yamlWriter{b}
	w.value(v, 0, true)
	return append(w.out, '\n')
}

// ParseYAML reads one YAML document, canonical. The error is [Diagnostics]; name is what they call the file.
func ParseYAML(name string, src []byte) (any, error) {
	var problems Diagnostics
	t := treeOf(name, src, func(d Diagnostic) { problems = append(problems, d) })
	if problems != nil {
		return nil, problems.sort()
	}
	return t.data(), nil
}

// maxKey is how many bytes a key may take in front of its colon; YAML's own bound is 1024 characters.
const maxKey = 1000

type yamlWriter struct{ out []byte }

func (w *yamlWriter) line(depth int) {
	w.out = append(w.out, '\n')
	for range depth {
		w.out = append(w.out, "  "...)
	}
}

// value writes a value behind what stands on its line: nothing, or its key, or the dash of its item, for which there are
// members first on the same line.
func (w *yamlWriter) value(v any, depth int, inline bool) {
	switch v := v.(type) {
	case map[string]any:
		members := make(Members, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			members = append(members, Member{k, v[k]})
		}
		w.members(members, depth, inline)
	case Members:
		w.members(v, depth, inline)
	case []any:
		w.list(v, depth, inline)
	case string:
		w.space(inline)
		w.text(v, depth)
	default:
		w.space(inline)
		w.out = AppendJSON(w.out, v)
	}
}

func (w *yamlWriter) space(inline bool) {
	if !inline {
		w.out = append(w.out, ' ')
	}
}

func (w *yamlWriter) members(members Members, depth int, inline bool) {
	if len(members) == 0 {
		w.space(inline)
		w.out = append(w.out, "{}"...)
		return
	}
	for i, m := range members {
		if i > 0 || !inline {
			w.line(depth)
		}
		key := oneLine(m.Key)
		if len(key) > maxKey {
			w.out = append(append(w.out, "? "...), key...)
			w.line(depth)
			w.out = append(w.out, ':')
		} else {
			w.out = append(append(w.out, key...), ':')
		}
		w.value(m.Value, depth+1, false)
	}
}

func (w *yamlWriter) list(items []any, depth int, inline bool) {
	if whole := !slices.ContainsFunc(items, func(item any) bool { _, ok := item.(int64); return !ok }); whole {
		w.space(inline)
		w.out = append(w.out, strings.ReplaceAll(AsJSON(items), ",", ", ")...)
		return
	}
	for i, item := range items {
		if i > 0 || !inline {
			w.line(depth)
		}
		w.out = append(w.out, "- "...)
		w.value(item, depth+1, true)
	}
}

// text writes a text, below | where it has several lines and reads as it looks.
func (w *yamlWriter) text(s string, depth int) {
	body := strings.TrimRight(s, "\n")
	if !strings.Contains(s, "\n") || body == "" || strings.ContainsFunc(s, quoted) {
		w.out = append(w.out, oneLine(s)...)
		return
	}
	w.out = append(w.out, '|')
	if strings.ContainsAny(s[:1], " \t\n") {
		w.out = append(w.out, '2') // how far it is indented: its first line does not tell
	}
	switch len(s) - len(body) {
	case 0:
		w.out = append(w.out, '-')
	case 1:
	default:
		w.out = append(w.out, '+')
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		if l == "" {
			w.out = append(w.out, '\n')
			continue
		}
		w.line(max(depth, 1))
		w.out = append(w.out, l...)
	}
}

// quoted tells whether a character is written by its number.
func quoted(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || breaks(r) || turns(r) || r == 0xfeff || r == 0xfffe || r == 0xffff
}

// plainText begins with a letter or a slash, and has nothing in it that YAML could take for more than text.
var plainText = regexp.MustCompile(`^[\pL/][^:#]*$`)

// yamlWords are texts that are values to YAML, or were in its earlier versions.
var yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// oneLine is a text on one line, in quotes where it needs them.
func oneLine(s string) string {
	if plainText.MatchString(s) && !strings.ContainsFunc(s, func(r rune) bool { return quoted(r) || r == '\n' || r == '\t' }) &&
		strings.TrimSpace(s) == s && !slices.Contains(yamlWords, strings.ToLower(s)) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case !quoted(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
