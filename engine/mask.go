package engine

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// mask hides secrets in text. A nil mask hides nothing.
type mask struct {
	secrets []string // as they are and as quoting writes them, the longest first: one may be a part of another
	replace *strings.Replacer
}

// newMask hides secrets; nil where there are none.
func newMask(secrets []string) *mask {
	m := &mask{}
	for _, s := range secrets {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		inJSON, _ := json.Marshal(s) // a string always can
		for _, form := range []string{s, unquoted(string(inJSON)), unquoted(strconv.Quote(s)), unquoted(strconv.QuoteToASCII(s))} {
			if !slices.Contains(m.secrets, form) {
				m.secrets = append(m.secrets, form)
			}
		}
	}
	if m.secrets == nil {
		return nil
	}
	slices.SortStableFunc(m.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, s := range m.secrets {
		pairs = append(pairs, s, "***")
	}
	m.replace = strings.NewReplacer(pairs...)
	return m
}

func unquoted(s string) string { return s[1 : len(s)-1] }

// text hides secrets in a text.
func (m *mask) text(s string) string {
	if m == nil {
		return s
	}
	return m.replace.Replace(s)
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
	e.Input, e.Output, e.Text, e.Error = m.value(e.Input), m.value(e.Output), m.text(e.Text), m.error(e.Error)
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

// settled is how many bytes of a text that is still growing no longer change: what follows may become a secret.
func (m *mask) settled(s string) int {
	if m == nil {
		return len(s)
	}
	for i := 0; i < len(s); i++ {
		whole := 0
		for _, secret := range m.secrets {
			if rest := s[i:]; len(secret) > len(rest) && strings.HasPrefix(secret, rest) {
				return i
			} else if whole == 0 && strings.HasPrefix(rest, secret) {
				whole = len(secret)
			}
		}
		i += max(whole-1, 0)
	}
	return len(s)
}
