package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/engine"
)

func TestLimits(t *testing.T) {
	files := map[string]string{
		"ten.yaml":     "all: " + repeated("{set: 1}", 10),
		"own.yaml":     "limits: {max_steps: 3}\nseq: " + repeated("{set: 1}", 4),
		"visits.yaml":  "limits: {max_visits_per_node: 2}\nrepeat: [{name: v, set: 1}]\ntimes: 3",
		"roomy.yaml":   "limits: {max_visits_per_node: 200, max_steps: 1000}\nrepeat: [{name: v, set: 1}]\ntimes: 30",
		"cleanup.yaml": "seq: [{set: 1}]\nfinally: {seq: " + repeated("{set: 1}", 5) + "}",
	}
	tests := map[string]struct {
		src   string
		steps int // that ran
		want  string
	}{
		"as many steps as allowed":       {"limits: {max_steps: 3}\nseq: " + repeated("{set: 1}", 3), 3, ""},
		"one step more":                  {"limits: {max_steps: 3}\nseq: " + repeated("{set: 1}", 4), 3, "p.yaml:2:37: /seq[3]: reached max_steps=3"},
		"containers are no steps":        {"limits: {max_steps: 1}\nseq: [{seq: [{all: [{set: 1}]}]}]", 1, ""},
		"retries are one step":           {"limits: {max_steps: 1}\ndo: broken\nretry: {max_attempts: 3, delay: 0s}\ncatch: {seq: [{when: false, set: 1}]}", 1, ""},
		"never continued past":           {"limits: {max_steps: 1}\nseq: [{set: 1}, {set: 2, on_error: continue}]\ncatch: {set: 3}", 1, "p.yaml:2:17: /seq[1]: reached max_steps=1"},
		"an expression's own bounds":     {"seq: [{set: 'reduce(1..99, #acc + #acc, \"ab\")'}]\ncatch: {set: 3}", 1, "p.yaml:1:13: /seq[0]: it takes more than 64 MiB"},
		"a fan-out that cannot fit":      {"limits: {max_steps: 5}\nseq: [{set: 1}, {name: f, all: " + repeated("{seq: [{set: 1}, {set: 2}]}", 3) + "}]", 1, "f: needs at least 6 steps, and of max_steps=5 only 4 are left"},
		"a fan-out that may fit":         {"limits: {max_steps: 2}\nall: [{set: 1}, {set: 1}, {when: false, set: 1}]", 2, ""},
		"another file counts":            {"limits: {max_steps: 10}\nseq: [{set: 1}, {file: ten.yaml}]", 1, "needs at least 10 steps, and of max_steps=10 only 9 are left"},
		"another file fits":              {"limits: {max_steps: 11}\nseq: [{set: 1}, {file: ten.yaml}]", 11, ""},
		"another file's own":             {"seq: [{file: own.yaml}]", 3, "own.yaml:2:37: /seq[0]/own/seq[3]: reached max_steps=3"},
		"another file's own visits":      {"seq: [{file: visits.yaml}]", 2, "visits.yaml:2:10: v: reached max_visits_per_node=2"},
		"another file is not roomier":    {"seq: [{file: roomy.yaml}]", 25, "roomy.yaml:2:10: v: reached max_visits_per_node=25"},
		"as many visits as allowed":      {"repeat: [{set: 1}]\ntimes: 25", 25, ""},
		"one visit more":                 {"repeat: [{name: v, set: 1}]\ntimes: 26", 25, "p.yaml:1:10: v: reached max_visits_per_node=25; the loop's exit condition never held"},
		"within one visit of its parent": {"repeat: [{repeat: [{set: 1}], times: 20}]\ntimes: 4", 80, ""},
		"containers are visited too":     {"limits: {max_visits_per_node: 2}\nrepeat: [{name: c, seq: [{set: 1}]}]\ntimes: 3", 2, "c: reached max_visits_per_node=2"},
		"finally has steps of its own":   {"limits: {max_steps: 1}\nseq: [{set: 1}, {set: 1}]\nfinally: {seq: " + repeated("{set: 1}", 10) + "}", 11, "/seq[1]: reached max_steps=1"},
		"finally has ten":                {"seq: [{set: 1}]\nfinally: {seq: " + repeated("{set: 1}", 11) + "}", 11, "/finally/seq[10]: reached the steps of finally=10"},
		"finally cannot fit":             {"set: 1\nfinally: {all: " + repeated("{set: 1}", 11) + "}", 1, "/finally: needs at least 11 steps, and of the steps of finally=10 only 10 are left"},
		"finally of another file":        {"limits: {max_steps: 1}\nseq: [{file: cleanup.yaml}]", 6, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, src := range files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(src), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			g, diagnostics := language(acts{"broken": failing(engine.Server)}).Parse("p.yaml", dir, []byte(tt.src))
			if g == nil {
				t.Fatal(diagnostics)
			}
			l := &log{}
			result, err := engine.Run(t.Context(), g, nil, engine.WithListener(func(e engine.Event) {
				if e.Type == engine.StepStarted && (e.Kind == "set" || e.Kind == "do") {
					l.add("%s", e.Turn)
				}
			}))
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || result.Error.Kind != engine.Limit) {
				t.Errorf("\n got %v\nwant %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "finally=") && strings.Contains(err.Error(), "raise") {
				t.Errorf("nothing raises the steps of finally: %v", err)
			}
			if ran := len(strings.Fields(l.String())); result.Steps != tt.steps || ran != tt.steps {
				t.Errorf("%d steps counted, %d ran, want %d", result.Steps, ran, tt.steps)
			}
		})
	}
}

func TestOptionsTakeThePlaceOfLimits(t *testing.T) {
	g := compile(t, nil, "limits: {max_steps: 3, max_visits_per_node: 3}\nrepeat: [{set: 1}]\ntimes: 5")
	if _, err := engine.Run(t.Context(), g, nil, engine.WithMaxSteps(5), engine.WithMaxVisits(5)); err != nil {
		t.Error(err)
	}
	if _, err := engine.Run(t.Context(), g, nil, engine.WithMaxSteps(4), engine.WithMaxVisits(5)); err == nil || !strings.Contains(err.Error(), "max_steps=4") {
		t.Errorf("got %v", err)
	}
}

func TestLeast(t *testing.T) {
	tests := map[string]struct {
		src  string
		want int
	}{
		"a leaf":                            {"set: 1", 1},
		"a sequence":                        {"seq: [{set: 1}, {seq: [{set: 1}, {set: 1}]}]", 3},
		"what may not run":                  {"seq: [{set: 1}, {when: false, seq: [{set: 1}, {set: 1}]}]", 1},
		"branches":                          {"all: [{set: 1}, {set: 1}]", 2},
		"a catch is needed only on failure": {"set: 1\ncatch: {set: 2}", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := compile(t, nil, tt.src).Least(); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
