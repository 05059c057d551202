package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/engine"
)

// Turn is an entry that a run recorded.
type Turn struct {
	engine.Entry
	Past bool // it counts no more: the run began again after it
}

// row is how data stands in the file: JSON, with the names of large values that are beside it.
type row struct {
	json  string
	large large
}

func (r *row) bytes() int { return len(r.json) + r.large.size() }

// encode makes a row of what is written as JSON; outside gives it without its large values.
func encode[T any](v T, outside func(T, func(string, engine.Value) engine.Value) T) (*row, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	r := &row{}
	if len(b) > inline {
		if b, err = json.Marshal(outside(v, r.large.take)); err != nil {
			return nil, err
		}
	}
	r.json = string(b)
	return r, nil
}

// decode reads a row back.
func decode[T any](f folder, text, names string, inside func(T, func(string, engine.Value) engine.Value) T) (v T, err error) {
	if err := strictly(text, &v); err != nil {
		return v, err
	}
	if names == "" {
		return v, nil
	}
	fill, err := f.filler(names)
	if err != nil {
		return v, err
	}
	v = inside(v, fill.fill)
	return v, fill.done()
}

// entryValues changes the values of an entry, in a copy.
func entryValues(e engine.Entry, change func(what string, v engine.Value) engine.Value) engine.Entry {
	if e.Finished != nil {
		f := *e.Finished
		f.Output = change("output", f.Output)
		f.Names = namedValues("names", f.Names, change)
		f.Stopped = namedValues("stopped", f.Stopped, change)
		e.Finished = &f
	}
	if e.Cursor != nil {
		c := *e.Cursor
		c.State = change("state", c.State)
		c.Names = namedValues("names", c.Names, change)
		e.Cursor = &c
	}
	return e
}

func namedValues(of string, names map[string]engine.Named, change func(string, engine.Value) engine.Value) map[string]engine.Named {
	if names == nil {
		return nil
	}
	changed := make(map[string]engine.Named, len(names))
	for name, n := range names {
		n.Output = change(of+"/"+name, n.Output)
		changed[name] = n
	}
	return changed
}

// decodeEntry reads an entry, and refuses what the engine would not have recorded.
func decodeEntry(f folder, text, names string) (engine.Entry, error) {
	e, err := decode(f, text, names, entryValues)
	if err != nil {
		return engine.Entry{}, err
	}
	return e, checkEntry(e)
}

func checkEntry(e engine.Entry) error {
	switch {
	case !isTurn(e.Turn):
		return fmt.Errorf("%s is no turn", quoted(e.Turn))
	case e.Reopened:
		if e.Turn != "/" || e.Finished != nil || e.Cursor != nil {
			return errors.New("it is not the root that goes on")
		}
		return nil
	case (e.Finished == nil) == (e.Cursor == nil):
		return errors.New("a turn is either finished or has a cursor")
	case e.Finished != nil:
		return checkFinished(e.Finished)
	}
	return checkCursor(e.Turn, e.Cursor)
}

func isTurn(s string) bool { return strings.HasPrefix(s, "/") }

func checkFinished(f *engine.Finished) error {
	if f.Number < 1 {
		return fmt.Errorf("%d is no number of a finished turn", f.Number)
	}
	if f.Caught && f.Error == nil {
		return errors.New("an error was caught, and there is none")
	}
	return errors.Join(checkNamed(f.Named), checkTally(f.Tally), checkNames(f.Names), checkNames(f.Stopped))
}

func checkCursor(turn string, c *engine.Cursor) error {
	below := strings.TrimSuffix(turn, "/")
	if rest, ok := strings.CutPrefix(c.Folded, below); c.Folded != "" && (!ok || len(rest) < 2 || rest[0] != '/' && rest[0] != '[') {
		return fmt.Errorf("%s is not below %s", quoted(c.Folded), quoted(turn))
	}
	if c.Folded != "" && c.Beside {
		return errors.New("a turn is folded, and none is")
	}
	if c.Attempt < 0 || c.Asked < 0 || slices.ContainsFunc(c.Counts, negative) {
		return errors.New("a count is below 0")
	}
	return errors.Join(checkError(c.Caught), checkTally(c.Tally), checkNames(c.Names))
}

func negative(n int) bool { return n < 0 }

func checkNames(names map[string]engine.Named) error {
	for _, n := range names {
		if err := checkNamed(n); err != nil {
			return err
		}
	}
	return nil
}

func checkNamed(n engine.Named) error {
	switch n.Status {
	case "completed", "failed", "skipped", "cancelled", "waiting":
	default:
		return fmt.Errorf("%s is no status of a node", quoted(n.Status))
	}
	if n.Visits < 0 {
		return errors.New("a count is below 0")
	}
	return checkError(n.Error)
}

func checkError(e *engine.Error) error {
	if e != nil && !slices.Contains(engine.ErrorKinds(), e.Kind) {
		return fmt.Errorf("%s is no kind of error", quoted(string(e.Kind)))
	}
	return nil
}

func checkApprovals(asked []engine.Approval) error {
	for _, q := range asked {
		if !isTurn(q.Turn) {
			return fmt.Errorf("%s is no turn", quoted(q.Turn))
		}
		if len(q.Options) == 0 {
			return errors.New("it waits for an answer, and none is possible")
		}
	}
	return nil
}

func checkTally(t engine.Tally) error {
	if t.Steps < 0 || t.Free < 0 || t.Free > t.Steps || t.Failures < 0 {
		return errors.New("a count is below 0")
	}
	return checkUsage(t.Usage)
}

func checkUsage(by engine.ByAgent) error {
	for _, u := range by {
		if slices.ContainsFunc([]int{u.InputTokens, u.CachedTokens, u.OutputTokens, u.ReasoningTokens, u.Calls, u.CacheHits, int(u.Cost), u.Unpriced, u.PresumedTokens, int(u.PresumedCost)}, negative) {
			return errors.New("a usage is below 0")
		}
	}
	return nil
}
