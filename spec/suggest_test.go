package spec

import "testing"

func TestDidYouMean(t *testing.T) {
	known := []string{"agent", "chain", "for_each", "set", "n", "to", "max_steps"}
	tests := map[string]struct{ word, want string }{
		"a letter left out":       {"agnt", "agent"},
		"two letters swapped":     {"agnet", "agent"},
		"another separator":       {"for-each", "for_each"},
		"another case":            {"SET", "set"},
		"a letter in other case":  {"N", "n"},
		"one letter for another":  {"sat", "set"},
		"two letters, one wrong":  {"ta", "to"},
		"a longer word, two off":  {"max_stesp_", "max_steps"},
		"the two letters swapped": {"ot", "to"},
		"a word that is known":    {"chain", ""},
		"a single letter":         {"x", ""},
		"two letters, both wrong": {"ix", ""},
		"nothing near":            {"xyzzy", ""},
		"nothing":                 {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := ""
			if tt.want != "" {
				want = `, did you mean "` + tt.want + `"?`
			}
			if got := DidYouMean(tt.word, known); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
