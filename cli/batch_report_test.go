package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// The line of progress tells what is known, and how long the rest will take at the pace so far: what had ended before
// says nothing of that.
func TestBatchReport(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	priced := engine.Usage{Calls: 1, InputTokens: 10, OutputTokens: 20, Cost: engine.USD(0.25)}
	row := []byte("{}\n")
	ended := lineResult{row: row, status: engine.Completed, usage: priced}
	before := lineResult{row: row, status: engine.Completed, before: true}
	tests := map[string]struct {
		total int
		lines []lineResult
		after time.Duration
		want  string
	}{
		"at first":                {100, nil, 0, "0 of 100 lines done"},
		"of a stream":             {0, []lineResult{ended, ended}, time.Second, "2 lines done, 2.0/s, 2 calls, 20+40 tokens, $0.5000"},
		"half of it":              {4, []lineResult{ended, {row: row, status: engine.Failed}}, time.Minute, "2 of 4 lines done, 1 failed, 2.0/min, 1 call, 10+20 tokens, $0.2500, 1m00s left"},
		"with some from before":   {5, []lineResult{before, before, ended}, 10 * time.Second, "3 of 5 lines done, 6.0/min, 1 call, 10+20 tokens, $0.2500, 20s left"},
		"all from before":         {1, []lineResult{before}, time.Second, "1 of 1 lines done"},
		"with some that wait":     {3, []lineResult{ended, {row: row, status: engine.Waiting}}, time.Hour, "1 of 3 lines done, 1 waiting, 0.0/min, 1 call, 10+20 tokens, $0.2500, 1h00m left"},
		"with some that were cut": {3, []lineResult{ended, {cut: true, usage: priced}, {}}, time.Second, "1 of 3 lines done, 1.0/s, 2 calls, 20+40 tokens, $0.5000, 2s left"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &batchReport{began: began, total: tt.total}
			for _, l := range tt.lines {
				r.ended(&l)
			}
			if got := r.line(began.Add(tt.after)); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			for _, width := range []int{0, 1, 20, 500} {
				block := strings.Join(r.block(began.Add(tt.after), width, 24), "\n")
				if !strings.HasPrefix(tt.want, block) || len(block) > max(0, width-1) {
					t.Errorf("in %d columns it is %q", width, block)
				}
			}
		})
	}
}
