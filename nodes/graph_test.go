package nodes_test

import (
	"testing"

	"github.com/flowrun/flowrun/engine"
)

// What a graph's nodes know of each other by name.
func TestGraphNames(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"a node that comes again forgets what its loop did before": {`
graph:
  a:
    loop: [{name: x, set: 1}]
    while: steps.a?.visits == nil and iteration == 1
    next: [{when: steps.a.visits < 2, to: a}, {to: b}]
  b: {set: "[steps.a.visits, steps.x?.output]"}
start: a
`, `[2,null]`},
		"a node that is skipped when it comes again keeps what it did": {`
graph:
  a:
    when: steps.a?.visits == nil
    loop: [{name: x, set: 1}]
    max_iterations: 1
    next: [{when: steps.a.visits < 2, to: a}, {to: b}]
  b: {set: "[steps.a?.visits, steps.x?.output]"}
start: a
`, `[2,1]`},
		"branches of a node note their results at once": {`
graph:
  a: {parallel: [{chain: [{name: x, set: 1}, {set: 2}]}, {chain: [{name: y, set: 3}, {set: 4}]}, {loop: [{name: z, set: 5}], max_iterations: 2}], next: b}
  b: {set: "[steps.x.output, steps.y.output, steps.z.visits]"}
start: a
`, `[1,3,2]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := engine.Run(t.Context(), graphOf(t, tt.src), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := compact(result.Output); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
