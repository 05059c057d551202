package engine

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flowrun/flowrun/spec"
)

// mask hides secrets in text. A nil mask hides nothing.
type mask struct {
	forms []string // in which messages write the secrets, sorted
	first [257]int // which of the forms is the first that begins with a byte
}

// newMask hides secrets, however short; nil where there are none.
func newMask(secrets []string) *mask {
	m := &mask{}
	for _, s := range secrets {
		s = strings.TrimSpace(s)
		for _, part := range append(lines(s), s) {
			for _, form := range written(part) {
				m.forms = append(m.forms, pieces(form)...)
			}
		}
	}
	if m.forms == nil {
		return nil
	}
	slices.Sort(m.forms)
	m.forms = slices.Compact(m.forms)
	for b := range m.first {
		m.first[b] = sort.Search(len(m.forms), func(i int) bool { return int(m.forms[i][0]) >= b })
	}
	return m
}

// pieces are what a form is known by: itself, or where it is long its parts, the last of them as long as the others. So
// what a text takes does not depend on how long secrets are.
func pieces(form string) []string {
	const most = 512
	if form == "" {
		return nil
	}
	var all []string
	for len(form) > most {
		all = append(all, form[:most])
		form = form[min(most, len(form)-most):]
	}
	return append(all, form)
}

// longest is the length of the longest form that a text begins with, 0 where it begins with none; open tells whether
// more text could make it longer.
func (m *mask) longest(s string) (length int, open bool) {
	forms := m.forms[m.first[s[0]]:m.first[int(s[0])+1]]
	for i := 1; len(forms) > 0; i++ { // all of them begin with s[:i]
		if len(forms[0]) == i {
			length, forms = i, forms[1:]
		}
		switch {
		case i == len(s):
			return length, len(forms) > 0
		case len(forms) == 1 && strings.HasPrefix(s, forms[0]):
			return len(forms[0]), false
		case len(forms) == 1:
			return length, strings.HasPrefix(forms[0], s)
		}
		low := sort.Search(len(forms), func(k int) bool { return forms[k][i] >= s[i] })
		forms = forms[low:]
		forms = forms[:sort.Search(len(forms), func(k int) bool { return forms[k][i] > s[i] })]
	}
	return length, false
}

// lines are those of a secret of several lines, such as a key in PEM, that may be told one by one; a bracket of JSON
// that has a line to itself is no secret.
func lines(s string) []string {
	const least = 4
	var all []string
	for _, line := range strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); len(line) >= least {
			all = append(all, line)
		}
	}
	return all
}

// written is a secret as it is, and as those write it who quote it or put it into an address, a page or a header.
func written(s string) []string {
	inJSON, _ := json.Marshal(s) // a string always can
	valid := strings.ToValidUTF8(s, "\uFFFD")
	inQuery := url.QueryEscape(s)
	forms := []string{s, valid, unquoted(spec.AsJSON(valid)), unquoted(string(inJSON)), unquoted(strconv.Quote(s)), unquoted(strconv.QuoteToASCII(s)),
		inQuery, strings.ReplaceAll(inQuery, "+", "%20"), url.PathEscape(s), (&url.URL{Path: s}).EscapedPath(), html.EscapeString(s)}
	return append(forms, inBase64(s)...)
}

func unquoted(s string) string { return s[1 : len(s)-1] }

// inBase64 is what of a secret does not depend on the text around it, for each of the three ways in which it may stand
// in one: as behind the user of basic authentication.
func inBase64(s string) []string {
	const least = 6 // shorter ones leave too little to know them by
	if len(s) < least {
		return nil
	}
	var forms []string
	for before := range 3 {
		text := []byte(strings.Repeat(" ", before) + s)
		begin, end := (before*8+5)/6, len(text)*8/6
		forms = append(forms, base64.RawStdEncoding.EncodeToString(text)[begin:end], base64.RawURLEncoding.EncodeToString(text)[begin:end])
	}
	return forms
}

// text hides secrets in a text. Those that overlap or touch are hidden as one.
func (m *mask) text(s string) string { return newVeil(m).show(s, false) }

// settled is how long the beginning of a text is that cuts no secret, whatever follows.
func (m *mask) settled(s string) int {
	if m == nil {
		return len(s)
	}
	from, until := 0, 0
	for i := range len(s) {
		length, open := m.longest(s[i:])
		if until <= i {
			from = i
		}
		if open {
			return from
		}
		until = max(until, i+length)
	}
	return len(s)
}

// line makes one line of a text, after secrets of several lines were found in it.
func (m *mask) line(s string) string { return strings.Join(strings.Fields(m.text(s)), " ") }

// veil hides secrets in a text that comes piece by piece.
type veil struct {
	mask  *mask
	held  string // the end of what came, which may become a secret
	until int    // how much of that is hidden by what was shown; -1 where what was shown ends in clear
}

func newVeil(m *mask) *veil { return &veil{mask: m, until: -1} }

// add takes a piece, and gives what can be shown of all that came.
func (v *veil) add(piece string) string { return v.show(v.held+piece, true) }

// end gives what is left when no more comes.
func (v *veil) end() string { return v.show(v.held, false) }

func (v *veil) show(s string, more bool) string {
	if v.mask == nil {
		return s
	}
	var b strings.Builder
	cut := len(s)
	for i := range len(s) {
		length, open := v.mask.longest(s[i:])
		if more && open {
			cut = i
			break
		}
		if length == 0 {
			continue
		}
		if v.until < i {
			b.WriteString(s[max(v.until, 0):i])
			b.WriteString("***")
		}
		v.until = max(v.until, i+length)
	}
	last := s[min(max(v.until, 0), cut):cut]
	v.held, v.until = s[cut:], max(v.until-cut, -1)
	if b.Len() == 0 {
		return last // as it is, where nothing is hidden
	}
	b.WriteString(last)
	return b.String()
}

// value is a copy of a canonical value in which secrets are hidden.
func (m *mask) value(v any) any {
	switch v := v.(type) {
	case string:
		return m.text(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = m.value(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[m.text(k)] = m.value(item)
		}
		return out
	}
	return v
}

// event hides secrets in what an event shows, and copies it: who listens may change it.
func (m *mask) event(e Event) Event {
	e.Input, e.Output, e.Error = m.value(e.Input), m.value(e.Output), m.error(e.Error)
	e.Text, e.Model, e.Tool, e.CallID, e.Arguments = m.text(e.Text), m.text(e.Model), m.text(e.Tool), m.text(e.CallID), m.value(e.Arguments)
	e.By = m.text(e.By)
	return e
}

// error is a copy of an error in whose message secrets are hidden.
func (m *mask) error(e *Error) *Error {
	if e == nil {
		return nil
	}
	masked := *e
	masked.Message = m.text(e.Message)
	return &masked
}

// maxMessage is how many bytes the message of an error takes: commands, servers and models have their say in it.
const maxMessage = 4 << 10

// shorten bounds a message. It is cut between characters, and no secret is cut: a part of one could not be known.
func (m *mask) shorten(s string) string {
	if end := m.cut(s, maxMessage); end < len(s) {
		s = fmt.Sprintf("%s… and %d bytes more", s[:end], len(s)-end)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// cut is how many bytes of a text are told where at most so many may be.
func (m *mask) cut(s string, most int) int {
	if len(s) <= most {
		return len(s)
	}
	end := m.settled(s[:most])
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return end
}
