package engine

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flowrun/flowrun/spec"
)

// mask hides secrets in text. A nil mask hides nothing.
type mask struct {
	forms  letter    // in which messages write the secrets
	begins [256]bool // bytes with which a form begins
}

// letter is a place in a tree of forms.
type letter struct {
	ends bool // a form ends here
	next map[byte]*letter
}

// newMask hides secrets, however short; nil where there are none.
func newMask(secrets []string) *mask {
	m := &mask{}
	for _, s := range secrets {
		s = strings.TrimSpace(s)
		for _, part := range append(lines(s), s) {
			for _, form := range written(part) {
				m.add(form)
			}
		}
	}
	if m.forms.next == nil {
		return nil
	}
	return m
}

func (m *mask) add(form string) {
	if form == "" {
		return
	}
	m.begins[form[0]] = true
	at := &m.forms
	for i := range len(form) {
		if at.next == nil {
			at.next = map[byte]*letter{}
		}
		if at.next[form[i]] == nil {
			at.next[form[i]] = &letter{}
		}
		at = at.next[form[i]]
	}
	at.ends = true
}

// longest is the length of the longest form that a text begins with, 0 where it begins with none; open tells whether
// more text could make it longer.
func (m *mask) longest(s string) (length int, open bool) {
	at := &m.forms
	for i := range len(s) {
		if at = at.next[s[i]]; at == nil {
			return length, false
		}
		if at.ends {
			length = i + 1
		}
	}
	return length, at.next != nil
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

// text hides secrets in a text: of several that begin at one place the longest.
func (m *mask) text(s string) string {
	if m == nil {
		return s
	}
	var b strings.Builder
	done := 0
	for i := 0; i < len(s); i++ {
		if !m.begins[s[i]] {
			continue
		}
		if length, _ := m.longest(s[i:]); length > 0 {
			b.WriteString(s[done:i])
			b.WriteString("***")
			done = i + length
			i = done - 1
		}
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// settled is how many bytes of a text that is still growing no longer change: what follows may become a secret.
func (m *mask) settled(s string) int {
	if m == nil {
		return len(s)
	}
	for i := 0; i < len(s); i++ {
		if !m.begins[s[i]] {
			continue
		}
		length, open := m.longest(s[i:])
		if open {
			return i
		}
		i += max(length-1, 0)
	}
	return len(s)
}

// line makes one line of a text, after secrets of several lines were found in it.
func (m *mask) line(s string) string { return strings.Join(strings.Fields(m.text(s)), " ") }

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
	e.Text, e.Model = m.text(e.Text), m.text(e.Model)
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
	if len(s) > maxMessage {
		end := m.settled(s[:maxMessage])
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = fmt.Sprintf("%s… and %d bytes more", s[:end], len(s)-end)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
