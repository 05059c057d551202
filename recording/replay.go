package recording

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/flowrun/flowrun/engine"
)

// Replay answers from a recording. What a question is told depends on its content, on the execution that asks, and on how
// often that asked the same before: in which order executions ask does not matter.
type Replay struct {
	kept    tape
	answers map[string]map[place][]int // by content and who asked: places among the exchanges
	orders  map[string][]string

	mu    sync.Mutex
	asked map[string]map[place]int // how often
	used  []bool
}

var errElsewhere = errors.New("it was not asked by this execution")

// place is who asked.
type place struct{ turn, apart string }

// Open reads a recording. The error says what is wrong with the file; where it is no YAML it is a list of diagnostics.
func Open(file string) (*Replay, error) {
	b, err := read(file)
	if err != nil {
		return nil, err
	}
	kept, err := decode(file, b)
	if err != nil {
		return nil, err
	}
	r := &Replay{kept: kept, answers: map[string]map[place][]int{}, orders: map[string][]string{}, asked: map[string]map[place]int{}, used: make([]bool, len(kept.exchanges))}
	for i, x := range kept.exchanges {
		key, by := x.Content.Portable(), place{x.Turn, x.Apart}
		if r.answers[key] == nil {
			r.answers[key], r.asked[key] = map[place][]int{}, map[place]int{}
		}
		r.answers[key][by] = append(r.answers[key][by], i)
	}
	for _, d := range kept.decisions {
		r.orders[d.Turn] = d.Order
	}
	return r, nil
}

// Begin gives the run that was recorded.
func (r *Replay) Begin(pipeline string) (engine.Info, error) {
	if pipeline != r.kept.pipeline {
		return engine.Info{}, engine.Errorf(engine.Recording, "the recording is of the pipeline %s, not of %s", r.kept.pipeline, pipeline)
	}
	return r.kept.run, nil
}

// Answer gives what came of a question. From anywhere it is that of the execution which is most like the one that asks.
func (r *Replay) Answer(turn, apart string, q *engine.Content, anywhere bool) (*engine.Exchange, error) {
	key, by := q.Portable(), place{turn, apart}
	r.mu.Lock()
	defer r.mu.Unlock()
	told := r.answers[key]
	from := by
	switch {
	case told[by] != nil:
	case !anywhere:
		return nil, errElsewhere
	case told == nil:
		return nil, r.miss(turn, q)
	default:
		from = nearest(by, told)
	}
	n := r.asked[key][by]
	if n == len(told[from]) {
		return nil, engine.Errorf(engine.Recording, "this %s call is one more than was recorded: then it was made %s", q.Kind, times(n))
	}
	r.asked[key][by]++
	i := told[from][n]
	r.used[i] = true
	return &r.kept.exchanges[i], nil
}

// nearest is the place of a recording that is most like one that the recording does not know, because the pipeline was
// edited: with the same end, such as an item's number, and else with the same beginning.
func nearest(by place, told map[place][]int) place {
	var best place
	most := [2]int{-1, -1}
	for at := range told {
		alike := likeness(by.turn, at.turn)
		switch c := slices.Compare(alike[:], most[:]); {
		case c > 0, c == 0 && ordered(at, best) < 0:
			best, most = at, alike
		}
	}
	return best
}

func ordered(a, b place) int {
	if c := engine.CompareTurns(a.turn, b.turn); c != 0 {
		return c
	}
	return engine.CompareTurns(a.apart, b.apart)
}

// likeness counts the segments at the end and at the beginning that two turns share.
func likeness(a, b string) [2]int {
	x, y := segments(a), segments(b)
	var end, begin int
	for end < min(len(x), len(y)) && x[len(x)-1-end] == y[len(y)-1-end] {
		end++
	}
	for begin < min(len(x), len(y)) && x[begin] == y[begin] {
		begin++
	}
	return [2]int{end, begin}
}

// Order is that in which the branches of a fan-out were heard.
func (r *Replay) Order(turn string) (branches []string, ok bool) {
	branches, ok = r.orders[turn]
	return branches, ok
}

// Unused are the executions that asked what nobody has asked now.
func (r *Replay) Unused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var turns []string
	for i, used := range r.used {
		if x := r.kept.exchanges[i]; !used {
			turns = append(turns, fmt.Sprintf("%s (%s)", x.Turn, x.Content.Kind))
		}
	}
	return turns
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
