package engine

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMaskGrowing cuts texts anywhere: hidden piece by piece they are as hidden at once.
func TestMaskGrowing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab\"")), 1, 4, -1)
		m := newMask(rapid.SliceOfN(word, 1, 3).Draw(t, "secrets"))
		pieces := rapid.SliceOf(rapid.StringOfN(rapid.RuneFrom([]rune("ab\"\\ ")), 0, 5, -1)).Draw(t, "pieces")
		shown, v := "", newVeil(m)
		for _, p := range pieces {
			shown += v.add(p)
		}
		shown += v.end()
		if want := m.text(strings.Join(pieces, "")); shown != want {
			t.Fatalf("shown as %q, want %q", shown, want)
		}
	})
}

// TestMask hides secrets in the ways in which messages write them.
func TestMask(t *testing.T) {
	m := newMask([]string{" a\"<é ", "", "long", "longer", "p@ss/w ?+", "-----BEGIN\n{\nMIIEvQ\r\n--END", "\xffbin", "k"})
	for text, want := range map[string]string{
		`a"<é`:            "***",
		`it said "a\"<é"`: `it said "***"`,
		`"a\"\u003cé"`:    `"***"`,
		`"a\"<\u00e9"`:    `"***"`,
		"longer long":     "*** ***",
		"nothing":         "nothing",
		"?q=p%40ss%2Fw+%3F%2B&r=p%40ss%2Fw%20%3F%2B": "?q=***&r=***",
		"/p@ss/w%20%3F+ a=&lt;a&#34;&lt;é":           "/*** a=&lt;***",
		"MIIEvQ, {":                                  "***, {",
		"\ufffdbin":                                  "***",
		"k":                                          "***",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("u:p@ss/w ?+")):    "Basic dTp***s=",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("user:p@ss/w ?+")): "Basic dXNlcjp***s=",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("use:p@ss/w ?+")):  "Basic dXNlOn***w==",
	} {
		if got := m.text(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

// TestMaskOverlaps hides the whole of secrets that overlap, and what is left of one that others cover.
func TestMaskOverlaps(t *testing.T) {
	for name, tt := range map[string]struct {
		secrets    []string
		text, want string
	}{
		"one ends in another":        {[]string{"abcd", "cdef"}, "abcdef cdefabcd", "*** ***"},
		"one begins within another":  {[]string{"abab", "abx"}, "ababx aabx", "*** a***"},
		"one overlaps itself":        {[]string{"aba"}, "xababax", "x***x"},
		"one begins another":         {[]string{"abc", "abcdef"}, "abcd abcdef", "***d ***"},
		"one holds another":          {[]string{"abcdef", "cd"}, "abcdef abcde", "*** ab***e"},
		"of one character":           {[]string{"a"}, "banana", "b***n***n***"},
		"of one text three in a row": {[]string{"ab"}, "ababab", "***"},
	} {
		m := newMask(tt.secrets)
		if got := m.text(tt.text); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestMaskLong hides secrets of a megabyte, wherever a text holds a long part of one, in the time that it takes to look.
func TestMaskLong(t *testing.T) {
	same := strings.Repeat("a", 1<<20)
	var other strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&other, "%d/", i)
	}
	m := newMask([]string{same, other.String()})
	for name, tt := range map[string]struct{ text, want string }{
		"one":            {"<" + other.String() + ">", "<***>"},
		"none":           {"0/1/2/" + strings.Repeat("a", 100), "0/1/2/" + strings.Repeat("a", 100)},
		"one four times": {"<" + strings.Repeat(same, 4) + "b", "<***b"},
		"both":           {same + other.String(), "***"},
	} {
		if got := m.text(tt.text); got != tt.want {
			t.Errorf("%s: %d bytes, %.20q", name, len(got), got)
		}
		v := newVeil(m)
		shown := ""
		for rest := tt.text; rest != ""; {
			n := min(5, len(rest))
			shown, rest = shown+v.add(rest[:n]), rest[n:]
		}
		if shown += v.end(); shown != tt.want {
			t.Errorf("%s: in pieces %d bytes, %.20q", name, len(shown), shown)
		}
	}
}

// TestShorten cuts messages where nothing is cut in two.
func TestShorten(t *testing.T) {
	m := newMask([]string{"secret", "treason"})
	for name, tt := range map[string]struct{ text, want string }{
		"short":                    {"no", "no"},
		"of just that":             {strings.Repeat("a", maxMessage), strings.Repeat("a", maxMessage)},
		"long":                     {strings.Repeat("a", maxMessage+9), strings.Repeat("a", maxMessage) + "… and 9 bytes more"},
		"half a character":         {strings.Repeat("a", maxMessage-1) + "é", strings.Repeat("a", maxMessage-1) + "… and 2 bytes more"},
		"half a secret":            {strings.Repeat("a", maxMessage-3) + "secret", strings.Repeat("a", maxMessage-3) + "… and 6 bytes more"},
		"half of two that overlap": {strings.Repeat("a", maxMessage-7) + "secretreason", strings.Repeat("a", maxMessage-7) + "… and 12 bytes more"},
		"no UTF-8":                 {"a\xe2b", "a\ufffdb"},
	} {
		if got := m.shorten(tt.text); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// FuzzMask holds that no secret is left, in none of the ways in which it may be written, wherever a text is cut, and that
// the rest is as it was.
func FuzzMask(f *testing.F) {
	f.Add("the key is sk-1234, or sk-12345", "sk-1234 sk-12345", byte(2))
	f.Add("aab\\nab%20c", "aa ab\nab c", byte(0))
	f.Fuzz(func(t *testing.T, text, words string, step byte) {
		secrets := strings.Split(words, " ")
		if len(secrets) > 20 || strings.Contains(words, "*") { // which stands for what is hidden
			return
		}
		m := newMask(secrets)
		whole := m.text(text)
		known := false
		for _, s := range secrets {
			if s = strings.TrimSpace(s); s == "" {
				continue
			}
			inJSON, _ := json.Marshal(s)
			for _, form := range []string{s, strconv.Quote(s), string(inJSON), url.QueryEscape(s), url.PathEscape(s)} {
				form = strings.Trim(form, `"`)
				if form != "" && strings.Contains(whole, form) && !strings.HasPrefix(s, `"`) && !strings.HasSuffix(s, `"`) {
					t.Errorf("%q is shown as %q, with %q", text, whole, form)
				}
			}
			for _, part := range append(lines(s), s) {
				for _, form := range written(part) {
					known = known || slices.ContainsFunc(pieces(form), func(p string) bool { return strings.Contains(text, p) })
				}
			}
		}
		if known == (whole == text) && text != "" && !strings.Contains(text, "*") {
			t.Errorf("%q is shown as %q, though it holds a secret: %v", text, whole, known)
		}
		parts, v := "", newVeil(m)
		size := 1
		for rest := text; rest != ""; size = 1 + (size+int(step))%7 {
			n := min(size, len(rest))
			parts, rest = parts+v.add(rest[:n]), rest[n:]
		}
		if parts += v.end(); parts != whole {
			t.Errorf("in pieces %q, at once %q", parts, whole)
		}
	})
}

// BenchmarkMask hides hundreds of secrets in a long text that comes in pieces.
func BenchmarkMask(b *testing.B) {
	var secrets []string
	for i := range 300 {
		secrets = append(secrets, "sk-proj-"+strings.Repeat(strconv.Itoa(i), 12))
	}
	m := newMask(secrets)
	text := strings.Repeat("The quick brown fox skips over the sk-proj-key of the lazy dog. ", 16<<10)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		v := newVeil(m)
		for i := 0; i < len(text); i += 64 {
			v.add(text[i : i+64])
		}
	}
}
