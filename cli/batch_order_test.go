package cli

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Whatever ends first, all comes out in order, each as soon as all before it are out; no more is at work, begun or kept
// than may be.
func TestInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := window{rapid.IntRange(1, 5).Draw(rt, "at once"), rapid.IntRange(0, 30).Draw(rt, "ahead"), rapid.IntRange(0, 200).Draw(rt, "bytes")}
		last := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 40).Draw(rt, "how long each lasts")
		sizes := rapid.SliceOfN(rapid.IntRange(0, 100), len(last), len(last)).Draw(rt, "how large each is")
		fails := rapid.IntRange(-1, 40).Draw(rt, "which cannot be handed on")
		synctest.Test(t, func(*testing.T) { // which sees that all has ended
			broken := errors.New("broken")
			var working, begun, kept atomic.Int64
			var over atomic.Bool
			var out []int
			ends, outs := make([]time.Time, len(last)), make([]time.Time, len(last))
			n := 0
			err := inOrder(w, func() (int, bool) {
				if n == len(last) || over.Load() {
					return 0, false
				}
				if most := int64(w.bytes + 100*w.atOnce); kept.Load() > most && !over.Load() {
					rt.Errorf("one is begun while %d bytes wait", kept.Load())
				}
				n++
				if b := begun.Add(1); b > int64(w.ahead+2) && !over.Load() {
					rt.Errorf("%d are begun and not out", b)
				}
				return n - 1, true
			}, func(i int) int {
				if at := working.Add(1); at > int64(w.atOnce) {
					rt.Errorf("%d are worked on at once", at)
				}
				time.Sleep(time.Duration(last[i]) * time.Millisecond)
				ends[i] = time.Now()
				kept.Add(int64(sizes[i]))
				working.Add(-1)
				return i
			}, func(i int) int { return sizes[i] }, func(i int) error {
				begun.Add(-1)
				kept.Add(-int64(sizes[i]))
				out, outs[i] = append(out, i), time.Now()
				if i == fails {
					over.Store(true)
					return broken
				}
				return nil
			})
			want := len(last)
			if fails >= 0 && fails < len(last) {
				want = fails + 1
				if !errors.Is(err, broken) {
					rt.Errorf("the error is %v", err)
				}
			}
			if len(out) != want || !slices.IsSorted(out) {
				rt.Errorf("out came %v, want the first %d", out, want)
			}
			for i := range want {
				if due := slices.MaxFunc(ends[:i+1], time.Time.Compare); !outs[i].Equal(due) {
					rt.Errorf("%d came out %v after all before it had ended", i, outs[i].Sub(due))
				}
			}
		})
	})
}
