package journal

import "github.com/flowrun/flowrun/engine"

// counts are what a list shows of a run's work, also while it goes on.
type counts struct {
	steps, failures, calls, input, output int
	cost                                  engine.Cost
	unpriced                              int
}

func countsOf(t engine.Tally) counts {
	u := t.Usage.Total()
	return counts{t.Steps, t.Failures, u.Calls, u.InputTokens, u.OutputTokens, u.Cost, u.Unpriced}
}

func (c counts) plus(o counts) counts {
	return counts{c.steps + o.steps, c.failures + o.failures, c.calls + o.calls, c.input + o.input, c.output + o.output, c.cost + o.cost, c.unpriced + o.unpriced}
}

func (c counts) minus(o counts) counts {
	return counts{c.steps - o.steps, c.failures - o.failures, c.calls - o.calls, c.input - o.input, c.output - o.output, c.cost - o.cost, c.unpriced - o.unpriced}
}

// keep writes them into the run's row.
func (c counts) keep(t *tx, run int64) error {
	return t.exec("UPDATE runs SET steps = ?, failures = ?, calls = ?, input_tokens = ?, output_tokens = ?, cost = ?, unpriced = ? WHERE key = ?",
		c.steps, c.failures, c.calls, c.input, c.output, int64(c.cost), c.unpriced, run)
}
