package spec

import (
	"strings"
	"testing"
)

// TestMessagesAreShort holds that no message or hint grows with what the file says, and that none leaves its line.
func TestMessagesAreShort(t *testing.T) {
	long := strings.Repeat("nm", 5000)
	for name, src := range map[string]string{
		"alias":       "set: *" + long,
		"tag":         "set: !" + long + " x",
		"key":         "set: prev\n? " + long + "\n: 1",
		"schema":      "input: {type: object, pattern: \"(" + long + "\"}\nset: prev",
		"enum":        "params: {a: {type: string, default: b, enum: [\"" + long + "\"]}}\nset: prev",
		"properties":  "params: {a: {type: object, additionalProperties: false, default: {\"" + long + "\": 1}}}\nset: prev",
		"text":        "x-a: 1\nset: \"'" + long[:4000] + "' + 1\"",
		"two lines":   "set: prev\n\"a\\nb.yaml:1:1: c\": 1",
		"no schema":   "input: {a: \"" + long + "\\nb\"}\nset: prev",
		"unknown ref": "output: steps.x." + long[:3000] + "\nset: prev",
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Parse("p.yaml", ".", []byte(src), tiny())
			if problems.Err() == nil {
				t.Fatal("it has no problem")
			}
			for _, p := range problems {
				if len(p.Message) > 3*maxQuoted || len(p.Hint) > 3*maxQuoted {
					t.Errorf("%d and %d bytes: %s", len(p.Message), len(p.Hint), p.Message)
				}
				if strings.Contains(p.Error(), "\n") {
					t.Errorf("%q has more lines than one", p.Error())
				}
			}
		})
	}
}
