package nodes_test

import (
	"strings"
	"testing"
)

// What is known of the names in a fan-out once it has ended: a race tells only its winners', one that failed none, so
// that no answer depends on who came how far.
func TestFanOutNames(t *testing.T) {
	tests := map[string]struct{ node, read, want string }{
		"all":       {"parallel: [{name: x, set: 1}, {chain: [{name: y, set: 2}]}, {name: s, when: false, set: 3}]", "steps.x.output, steps.y.output, steps.s?.status", `[1,2,"skipped"]`},
		"continued": {"on_error: continue\n    parallel: [{chain: [{name: x, set: 1}, {name: f, fail: no}]}]", "steps.x?.output, steps.f?.status", `[1,"failed"]`},
		"a race, what fails before its end": {"wait_for: first\n    parallel: [{chain: [{name: x, set: 1}, {wait: 20ms}, {name: f, fail: no}]}, {chain: [{wait: 100ms}, {name: y, set: 2}]}]",
			"steps.x?.output, steps.f?.status, steps.y?.output", "[null,null,2]"},
		"a race, what would fail after it": {"wait_for: first\n    parallel: [{chain: [{name: x, set: 1}, {wait: 300ms}, {name: f, fail: no}]}, {chain: [{wait: 100ms}, {name: y, set: 2}]}]",
			"steps.x?.output, steps.f?.status, steps.y?.output", "[null,null,2]"},
		"a race, what is skipped": {"wait_for: first\n    parallel: [{name: s, when: false, set: 1}, {chain: [{wait: 100ms}, {name: y, set: 2}]}]", "steps.s?.status, steps.y?.output", "[null,2]"},
		"a race of several": {"wait_for: 2\n    parallel: [{chain: [{wait: 2s}, {name: x, set: 1}]}, {name: y, set: 2}, {name: f, fail: no}, {wait: 1m}]",
			"steps.x?.output, steps.y?.output, steps.f?.status", "[1,2,null]"},
		"a race that is lost":      {"wait_for: 2\n    parallel: [{name: y, set: 2}, {name: f, fail: no}]\n    catch: {set: 0}", "steps.y?.output, steps.f?.status", "[null,null]"},
		"a branch that fails":      {"parallel: [{name: y, set: 2}, {chain: [{name: x, set: 1}, {wait: 1s}, {fail: no}]}]\n    catch: {set: 0}", "steps.x?.output, steps.y?.output", "[null,null]"},
		"a merge that fails":       {"parallel: [{name: y, set: 2}]\n    merge: prev.no.such\n    catch: {set: 0}", "steps.y?.output", "[null]"},
		"its time runs out":        {"parallel: [{name: y, set: 2}, {wait: 1m}]\n    timeout: 1s\n    catch: {set: 0}", "steps.y?.output", "[null]"},
		"the time around runs out": {"chain: [{name: x, set: 1}, {parallel: [{name: y, set: 2}, {wait: 1m}]}]\n    timeout: 1s\n    catch: {set: 0}", "steps.x?.output, steps.y?.output", "[1,null]"},
		"its catch's":              {"parallel: [{name: y, set: 2}, {fail: no}]\n    catch: {name: x, set: 3}", "steps.x?.output, steps.y?.output", "[3,null]"},
	}
	for _, fanOut := range []string{"parallel: [{fail: no}]", "for_each: [1]\n    do: {fail: no}"} {
		tests["its catch's of an earlier round: "+fanOut] = struct{ node, read, want string }{
			"graph:\n      a:\n        " + strings.ReplaceAll(fanOut, "\n", "\n    ") + "\n        catch: {name: x, chain: [{set: '(steps.x?.output ?? 0) + 1'}]}\n        next: [{to: a, when: 'steps.a?.visits < 3'}, {to: b}]\n      b: {set: prev}\n    start: a",
			"prev", "[1]"}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			story{src: "chain:\n  - " + tt.node + "\n  - set: '[" + tt.read + "]'", input: 1, want: tt.want}.check(t)
		})
	}
}

// TestFanOutCauses lists the first failures, and counts the others.
func TestFanOutCauses(t *testing.T) {
	src := "limits: {max_steps: 1000}\nname: race\nfor_each: 1..150\ndo: {name: f, fail: no}\nwait_for: first"
	got := try(t, graphOf(t, src), nil).said()
	for _, want := range []string{"150 of 150 branches failed: f (item 0): no; f (item 1): no; ", "; f (item 99): no; and 50 more"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}
