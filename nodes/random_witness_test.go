package nodes_test

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// What must be true of every run of a random pipeline, whatever becomes of it.

// witness holds what runs tell against the pipeline as it was drawn.
type witness struct {
	*pipeline
	nodes map[string]*node // by path
	files map[string]bool
}

// witness is the pipeline's.
func (p *pipeline) witness() *witness {
	if p.heard != nil {
		return p.heard
	}
	w := &witness{p, map[string]*node{}, map[string]bool{}}
	p.root.each(func(n *node) {
		w.nodes[n.path()] = n
		if n.header != nil {
			w.files[n.name+".yaml"] = true
		}
	})
	p.heard = w
	return w
}

// limit is one of the run's limits.
func (w *witness) limit(name string) (n int, written bool) {
	n, written = w.root.limits[name].(int)
	return n, written
}

// hears says what is wrong with a run that was cancelled after so many milliseconds, or not: none.
func (w *witness) hears(h *heard, moment int) error {
	if err := wellFormed(h.events); err != nil {
		return err
	}
	for i, e := range h.events {
		if e.Turn == "" {
			continue
		}
		if err := w.event(e); err != nil {
			return fmt.Errorf("event %d, %s of %s: %w", i, e.Type, e.Turn, err)
		}
	}
	return cmp.Or(h.lost, w.result(h), w.counts(h), w.width(h), w.time(h, moment))
}

// event says what is wrong with an event by itself.
func (w *witness) event(e engine.Event) error {
	n := w.nodes[e.Path]
	most, _ := w.limit("max_visits_per_node")
	switch {
	case n == nil:
		return fmt.Errorf("nothing stands at %s", e.Path)
	case e.Kind != n.kind:
		return fmt.Errorf("its kind is %s, not %s", e.Kind, n.kind)
	case e.Visit > most:
		return fmt.Errorf("visit %d, with max_visits_per_node=%d", e.Visit, most)
	case e.Type == engine.StepFailed && e.Error == nil, e.Type == engine.StepStarted && e.Error != nil:
		return fmt.Errorf("its error is %v", e.Error)
	case e.Error != nil:
		return w.error(e.Error)
	case !canonical(e.Output):
		return fmt.Errorf("%#v is not canonical", e.Output)
	}
	return nil
}

// error says what is wrong with an error of a node.
func (w *witness) error(e *engine.Error) error {
	switch {
	case !slices.Contains(engine.ErrorKinds(), e.Kind), e.Message == "":
		return fmt.Errorf("of kind %q it says %q", e.Kind, e.Message)
	case w.nodes[e.Path] == nil, e.Node != cmp.Or(w.nodes[e.Path].name, e.Path):
		return fmt.Errorf("it has no node: %+v", e)
	case !w.files[e.Pos.File], e.Pos.Line < 1, e.Pos.Column < 1:
		return fmt.Errorf("it has no place: %+v", e)
	}
	return nil
}

// result says what is wrong with the end of a run.
func (w *witness) result(h *heard) error {
	last := h.events[len(h.events)-1]
	switch {
	case h.Status == engine.Completed && (h.Error != nil || last.Type != engine.WorkflowCompleted || asJSON(last.Output) != asJSON(h.Output)),
		h.Status == engine.Failed && (h.Error == nil || h.Error.Kind == engine.Cancelled || last.Type != engine.WorkflowFailed),
		h.Status == engine.Stopped && (h.Error == nil || h.Error.Kind != engine.Cancelled || last.Type != engine.WorkflowCancelled),
		h.Status != engine.Completed && h.Output != nil:
		return fmt.Errorf("it ended %s with %s and %v, and told %s", h.Status, asJSON(h.Output), h.Error, last.Type)
	case !canonical(h.Output):
		return fmt.Errorf("%#v is not canonical", h.Output)
	case h.Status != engine.Failed:
		return nil
	}
	if err := w.error(h.Error); err != nil {
		return err
	}
	really := func(e engine.Event) bool {
		return e.Type == engine.StepFailed && failureOf(e.Error) == failureOf(h.Error)
	}
	if !h.Error.OutOfTime() && h.Error.Kind != engine.Limit && !h.again && !slices.ContainsFunc(h.events, really) {
		return fmt.Errorf("no step failed as the run did: %v", h.Error)
	}
	return nil
}

// counts says where what the result counts is not what the events tell, or more than may be.
func (w *witness) counts(h *heard) error {
	most, _ := w.limit("max_steps")
	steps, last, asks := 0, 0, map[string]int{}
	var usage engine.Usage
	for _, e := range h.events {
		switch {
		case e.Type == engine.StepStarted && w.nodes[e.Path].isLeaf():
			steps++
			if w.nodes[e.Path].isLast() {
				last++
			}
		case e.Type == engine.RunStarted:
			asks[e.SubRunID]++
		case e.Type == engine.RunCompleted:
			asks[e.SubRunID]--
			usage.Add(e.Usage)
		}
	}
	for id, open := range asks {
		if open != 0 {
			return fmt.Errorf("the run %s of an agent started %d times more than it completed", id, open)
		}
	}
	switch {
	case steps-last > most:
		return fmt.Errorf("%d steps with max_steps=%d", steps-last, most)
	case !h.again && (steps != h.Steps || usage != h.Usage.Total()):
		return fmt.Errorf("%d steps and %+v, but %d steps and %+v in events", h.Steps, h.Usage.Total(), steps, usage)
	case h.again && w.root.finally == nil && !w.root.lingers() && h.Steps > most:
		return fmt.Errorf("%d steps in all with max_steps=%d", h.Steps, most)
	}
	return nil
}

// width says where more branches ran at once than may.
func (w *witness) width(h *heard) error {
	within, seen := map[string]int{}, map[string]bool{}
	for _, e := range h.events {
		if e.Turn == "" || e.Turn == "/" {
			continue
		}
		up := around(e.Turn, seen)
		switch e.Type {
		case engine.StepStarted:
			seen[e.Turn] = true
			within[up]++
			most, _ := w.limit("max_concurrency")
			if parent := w.nodes[e.Path].up; parent.isFan() {
				if most = cmp.Or(parent.atOnce, most, 16); parent.inOrder {
					most = 1
				}
				if within[up] > most {
					return fmt.Errorf("%d branches of %s at once, %d may", within[up], up, most)
				}
			}
		case engine.StepCompleted, engine.StepFailed:
			within[up]--
		}
	}
	return nil
}

// time says where something went on longer than it may, or a run that did succeeded.
func (w *witness) time(h *heard, moment int) error {
	end := time.Duration(math.MaxInt64)
	began := h.events[0].Time
	if limit, ok := w.root.limits["timeout"].(string); ok && !h.again {
		end = duration(limit)
	}
	if moment != none {
		end = min(end, time.Duration(moment)*time.Millisecond)
	}
	for _, e := range h.events {
		n := w.nodes[e.Path]
		if e.Turn == "" || n.isLast() {
			continue
		}
		late := e.Time.Sub(began) > end
		if late && !n.lingers() {
			return fmt.Errorf("%s of %s after %s, the run's time was up after %s", e.Type, e.Turn, e.Time.Sub(began), end)
		}
		if late && e.Turn == "/" && h.Status == engine.Completed {
			return errors.New("it ended too late, and completed")
		}
		limit := n.timeout
		if n.isLeaf() {
			limit = cmp.Or(limit, n.file().patience)
		}
		tries := 1
		if n.isLeaf() {
			tries, _ = n.tries()
		}
		if (e.Type == engine.StepCompleted || e.Type == engine.StepFailed) && limit != "" && tries == 1 && !h.again && n.catch == nil && !n.lingers() && e.Duration > duration(limit) {
			return fmt.Errorf("%s took %s with a timeout of %s", e.Turn, e.Duration, limit)
		}
	}
	return nil
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

// canonical tells whether a value is made of what JSON knows, and its numbers are whole where they can be.
func canonical(v any) bool {
	switch v := v.(type) {
	case nil, bool, string, int64:
		return true
	case float64:
		return v != math.Trunc(v) || math.Abs(v) >= 1<<53 && !math.IsInf(v, 0)
	case []any:
		return !slices.ContainsFunc(v, func(v any) bool { return !canonical(v) })
	case map[string]any:
		for _, v := range v {
			if !canonical(v) {
				return false
			}
		}
		return true
	}
	return false
}
