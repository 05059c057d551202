package nodes_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/flowrun/flowrun/engine"
)

// patron is a context that counts who waits for its end.
type patron struct {
	context.Context
	waiting atomic.Int64
}

func (c *patron) Done() <-chan struct{} { return make(chan struct{}) } // which is not that of the context within

func (c *patron) AfterFunc(func()) (stop func() bool) {
	c.waiting.Add(1)
	var stopped atomic.Bool
	return func() bool {
		if stopped.CompareAndSwap(false, true) {
			c.waiting.Add(-1)
			return true
		}
		return false
	}
}

// A run leaves nothing with the contexts of its caller, which may outlive many runs.
func TestRunLeavesNothing(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
chain:
  - for_each: 1..5
    do: {agent: {model: mock, mock: {fail: 1}}, timeout: 1m, retry: {max_attempts: 2, delay: 1ms}}
  - parallel: [{wait: 1h}, {set: 1}]
    wait_for: first
  - {flow: other.yaml}
  - {wait: 1ms, timeout: 1m}
finally: {wait: 1ms}
`)
	ctx, drain := &patron{Context: t.Context()}, &patron{Context: t.Context()}
	if r := tryWithin(ctx, t, g, nil, engine.WithDrain(drain)); r.Error != nil {
		t.Error(r.Error)
	}
	if n, m := ctx.waiting.Load(), drain.waiting.Load(); n != 0 || m != 0 {
		t.Errorf("%d still wait for the end of the context, %d for that of the drain", n, m)
	}
}
