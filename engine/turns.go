package engine

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Turns keeps the position of a run: which turns are finished, and where unfinished containers are. Every visit asks
// it first, and waits for what it records before the outcome is used; so a run that was cut off goes on where it was.
//
// A turn names one execution of a node: the path with the count of every ancestor's visit, such as /refine/draft#2 or
// /findings[17]/lookup.
type Turns interface {
	// Find tells what is kept of a turn.
	Find(turn string) Kept
	// Listed are the latest results of the nodes that the run's result lists.
	Listed() map[string]Named
	// Record takes an entry. Entries come one at a time, in their order; the function returned waits until this one
	// and all before it are kept, and may be nil where they are already.
	Record(Entry) (kept func() error)
	// Err is why nothing more can be kept, nil while all can: nothing is asked of the world then.
	Err() error
}

// Kept is what is known of a turn; the zero Kept where it was never begun.
type Kept struct {
	Finished *Finished
	Cursor   *Cursor
	Begun    bool    // something below it is finished
	Spent    Tally   // what it and the turns below have used
	Failed   ByAgent // of that, what it used before it failed and began anew
	Last     int     // the highest number among them
}

// Entry is a finished turn, which replaces all that was kept below it, or the cursor of one that goes on. One of the root
// may say instead that the run failed and goes on: the failed turns that led from there to its error count no more.
type Entry struct {
	Turn     string    `json:"turn"`
	Name     string    `json:"name,omitempty"` // of a finished node that the run's result lists
	Finished *Finished `json:"finished,omitempty"`
	Cursor   *Cursor   `json:"cursor,omitempty"`
	Reopened bool      `json:"reopened,omitempty"`
	// Memory is what the agent that finished remembers of it; nil where it remembers nothing.
	Memory *Memory `json:"memory,omitempty"`
	// Item tells that it is an item's end: until the turn around it begins again, nothing in this run asks for it.
	Item bool `json:"-"`
}

// Memory is an exchange with an agent, for those to come in the same session.
type Memory struct {
	Agent  string `json:"agent"`
	Prompt string `json:"prompt"`
	Reply  string `json:"reply"`
	Tokens int    `json:"tokens"` // of prompt and reply together
}

// Finished is how a turn ended.
type Finished struct {
	Number int `json:"number"` // in the order of finishing, from 1
	Named
	Caught   bool             `json:"caught,omitempty"`   // catch or on_error took the error
	Together bool             `json:"together,omitempty"` // the error is of what ran below together: each failure there is a cause
	Basis    string           `json:"basis,omitempty"`    // of a leaf: what it is and what it was given, in a digest
	Tally    Tally            `json:"tally"`
	Names    map[string]Named `json:"names,omitempty"` // of nodes below, that expressions may read later
	// Stopped are the nodes below that the run's result lists and that were stopped: they have no finished turn.
	Stopped map[string]Named `json:"stopped,omitempty"`
	Said    []Said           `json:"said,omitempty"` // by agents in it and below, that they may recall later
}

// Cursor is where an unfinished turn goes on; what ran before stands in it, no longer below.
type Cursor struct {
	State    Value            `json:"state"`             // the container's own; what a leaf noted
	Attempt  int              `json:"attempt,omitempty"` // attempts of a leaf that failed
	Pause    time.Time        `json:"pause,omitzero"`    // when the next attempt is due
	Deadline time.Time        `json:"deadline,omitzero"` // of the attempt that sleeps
	Wake     time.Time        `json:"wake,omitzero"`     // the end of its sleep
	Caught   *Error           `json:"caught,omitempty"`  // the failure for which the catch is due
	Asked    int              `json:"asked,omitempty"`   // questions that a leaf has put to the world
	Started  time.Time        `json:"started,omitzero"`  // when it began, where a time limit counts from then
	Counts   []int            `json:"counts,omitempty"`  // visits of the children
	Tally    Tally            `json:"tally"`
	Names    map[string]Named `json:"names,omitempty"`
	Said     []Said           `json:"said,omitempty"`
	Folded   string           `json:"folded,omitempty"` // the one turn below that it replaces; empty: all
	Beside   bool             `json:"beside,omitempty"` // it replaces none of them
}

// Named is the latest result of a named node.
type Named struct {
	Output Value  `json:"output"`
	Status string `json:"status"` // completed, failed, skipped, cancelled or waiting
	Error  *Error `json:"error,omitempty"`
	Visits int    `json:"visits"`
}

// Value is a canonical value that stays one when it goes through JSON.
type Value struct{ V any }

// MarshalJSON writes the value.
func (v Value) MarshalJSON() ([]byte, error) { return spec.AppendJSON(nil, v.V), nil }

// UnmarshalJSON reads the value.
func (v *Value) UnmarshalJSON(b []byte) (err error) {
	v.V, err = spec.ParseJSON(string(b))
	return err
}

type errorJSON struct {
	Kind    ErrorKind `json:"kind"`
	Message string    `json:"message"`
	Node    string    `json:"node,omitempty"`
	Path    string    `json:"path,omitempty"`
	Item    *int      `json:"item,omitempty"`
	File    string    `json:"file,omitempty"`
	Line    int       `json:"line,omitempty"`
	Column  int       `json:"column,omitempty"`
}

// MarshalJSON writes what is data in the error: its cause and stack are not.
func (e *Error) MarshalJSON() ([]byte, error) { return json.Marshal(e.data()) }

func (e *Error) data() errorJSON {
	return errorJSON{e.Kind, e.Message, e.Node, e.Path, e.Item, e.Pos.File, e.Pos.Line, e.Pos.Column}
}

// UnmarshalJSON reads an error back.
func (e *Error) UnmarshalJSON(b []byte) error {
	var j errorJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*e = Error{Kind: j.Kind, Message: j.Message, Node: j.Node, Path: j.Path, Item: j.Item, Pos: spec.Pos{File: j.File, Line: j.Line, Column: j.Column}}
	return nil
}

// Position is the position of a run, kept in memory: the [Turns] of a run that nothing outlives. The zero Position is
// a run's beginning. It can be used by several goroutines at once.
type Position struct {
	mu     sync.Mutex
	root   place
	listed map[string]listing
}

// listing is a result that the run's lists.
type listing struct {
	Named
	last bool // of what ran finally
}

// place is a turn, or a step on the way to one.
type place struct {
	finished *Finished
	cursor   *Cursor
	places   map[string]*place
	items    *Finished // what was used by items, and the last of their numbers, that are forgotten but for that
	before   *place    // of a turn that failed: what was there before it had ended
	failed   ByAgent   // used before it failed and began anew
}

// NewPosition is the position after some entries.
func NewPosition(entries []Entry) *Position {
	p := &Position{}
	for _, e := range entries {
		p.Record(e)
	}
	return p
}

// Find tells what is kept of a turn.
func (p *Position) Find(turn string) Kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.root.find(turn, false)
	if at == nil {
		return Kept{}
	}
	k := Kept{Finished: at.finished, Cursor: at.cursor, Begun: len(at.places) > 0, Failed: at.failed}
	k.Spent, k.Last = at.spent()
	return k
}

// Listed are the latest results of the nodes that the run's result lists.
func (p *Position) Listed() map[string]Named {
	p.mu.Lock()
	defer p.mu.Unlock()
	listed := make(map[string]Named, len(p.listed))
	for name, l := range p.listed {
		listed[name] = l.Named
	}
	return listed
}

// Record keeps an entry.
func (p *Position) Record(e Entry) (kept func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Reopened {
		p.reopen()
		return nil
	}
	at := p.root.find(e.Turn, true)
	switch {
	case e.Finished != nil:
		p.list(e)
		var before *place
		if e.Finished.failed() {
			before = &place{cursor: at.cursor, places: at.places, items: at.items, failed: at.failed}
		}
		*at = place{finished: e.Finished, before: before}
	case e.Cursor.Beside:
		at.cursor, at.failed = e.Cursor, nil // its tally has that
	case e.Cursor.Folded != "":
		at.cursor, at.failed = e.Cursor, nil
		at.remove(strings.TrimPrefix(e.Cursor.Folded, strings.TrimSuffix(e.Turn, "/")))
	default:
		*at = place{cursor: e.Cursor}
	}
	return nil
}

// Forget drops the end of an item, of which only what it used counts from now on, with the turn around it. It is for
// who has it elsewhere: there may be more items than memory.
func (p *Position) Forget(item string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.root.find(item, false)
	around := strings.LastIndexByte(item, '[')
	if at == nil || around < 0 {
		return
	}
	used, last := at.spent()
	p.root.remove(item)
	pl := p.root.find(item[:around], true)
	if pl.items == nil {
		pl.items = &Finished{}
	}
	pl.items.Tally.add(used)
	pl.items.Number = max(pl.items.Number, last)
}

// Err is nil: memory keeps all.
func (p *Position) Err() error { return nil }

// Reset makes it the beginning again.
func (p *Position) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.root, p.listed = place{}, nil
}

func (p *Position) list(e Entry) {
	if p.listed == nil {
		p.listed = map[string]listing{}
	}
	last := p.root.finished != nil // nothing else runs then
	for name, n := range e.Finished.Stopped {
		p.listed[name] = listing{n, last}
	}
	if e.Name != "" {
		p.listed[e.Name] = listing{e.Finished.Named, last}
	}
}

// find follows a turn's segments, names after / and items in brackets, from the root's turn, which is / alone.
func (pl *place) find(turn string, grow bool) *place {
	if turn == "/" {
		return pl
	}
	for turn != "" {
		var segment string
		segment, turn = cutSegment(turn)
		next := pl.places[segment]
		if next == nil {
			if !grow {
				return nil
			}
			next = &place{}
			if pl.places == nil {
				pl.places = map[string]*place{}
			}
			pl.places[segment] = next
		}
		pl = next
	}
	return pl
}

func cutSegment(turn string) (segment, rest string) {
	if n := strings.IndexAny(turn[1:], "/[") + 1; n > 0 {
		return turn[:n], turn[n:]
	}
	return turn, ""
}

// remove drops a turn below and the steps on the way that lead nowhere any more.
func (pl *place) remove(turn string) {
	segment, rest := cutSegment(turn)
	next := pl.places[segment]
	if next == nil {
		return
	}
	if rest != "" {
		next.remove(rest)
	}
	if rest == "" || next.empty() {
		delete(pl.places, segment)
	}
}

func (pl *place) empty() bool {
	return len(pl.places) == 0 && pl.finished == nil && pl.cursor == nil && len(pl.failed) == 0 && pl.items == nil
}

func (pl *place) spent() (t Tally, last int) {
	switch {
	case pl.finished != nil:
		t, last = pl.finished.Tally.clone(), pl.finished.Number
	case pl.cursor != nil:
		t = pl.cursor.Tally.clone()
	}
	t.Usage = t.Usage.with(pl.failed)
	if pl.items != nil {
		t.add(pl.items.Tally)
		last = max(last, pl.items.Number)
	}
	for _, below := range pl.places {
		used, n := below.spent()
		t.add(used)
		last = max(last, n)
	}
	return t, last
}
