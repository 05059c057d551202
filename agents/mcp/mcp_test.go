package mcp

import (
	"errors"
	"io"
	"testing"

	"github.com/flowrun/flowrun/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func (zeros) Close() error { return nil }

// TestTraffic holds that requests at once may have an answer each, however long, and a server no more than that.
func TestTraffic(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{1, 2, 16} {
		c := &Client{}
		reads := func(n int64) error {
			_, err := io.Copy(io.Discard, io.LimitReader(&metered{zeros{}, c}, n))
			return err
		}
		for range 3 { // and no more is left of those before
			var ends []func()
			for range n {
				ends = append(ends, c.begin())
			}
			if err := reads(n * maxLine); err != nil {
				t.Errorf("%d at once: %v", n, err)
			}
			for _, end := range ends {
				end()
			}
		}
		defer c.begin()()
		if err := reads(maxTraffic + 1); !errors.Is(err, ErrFlood) {
			t.Errorf("after %d at once: got %v", n, err)
		}
	}
}
