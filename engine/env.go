package engine

import (
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Local is a name that a container gives to its children or to one of its expressions.
type Local struct {
	Name  string
	Value any
}

// localList is names and those given further out.
type localList struct {
	names []Local
	up    *localList
}

func locals(up *localList, add []Local) *localList {
	if len(add) == 0 {
		return up
	}
	return &localList{add, up}
}

// env is what the expressions of a visit read.
type env struct {
	v      *Visit
	prev   any
	locals *localList
}

// Value gives a name's value.
func (e *env) Value(name string) any {
	for at := e.locals; at != nil; at = at.up {
		for i := len(at.names) - 1; i >= 0; i-- { // the last has the last word
			if at.names[i].Name == name {
				return at.names[i].Value
			}
		}
	}
	switch name {
	case "prev":
		return e.prev
	case "input":
		return e.v.file.input
	case "params":
		return e.v.file.params
	case "env":
		return e.v.declared(e.v.file.unit.pipeline.Env())
	case "secrets":
		return e.v.declared(e.v.file.unit.pipeline.Secrets())
	case "run":
		return e.v.runInfo()
	}
	return nil
}

// Step gives the result of a named node.
func (e *env) Step(name string) any {
	if slot, ok := e.v.file.unit.slots[name]; ok {
		return e.v.frame.get(slot).value()
	}
	return nil
}

// declared are environment variables that the file declares, nil where one is not set.
func (v *Visit) declared(names []string) map[string]any {
	out := make(map[string]any, len(names))
	for _, n := range names {
		out[n] = v.run.env[n]
	}
	return out
}

func (v *Visit) runInfo() map[string]any {
	info := v.run.info
	return map[string]any{"id": info.ID, "user_id": info.UserID, "session_id": info.SessionID,
		"started_at": info.StartedAt.Format(time.RFC3339Nano), "key": v.Key()}
}

// Key names this execution of the node, the same again when the run goes on after a crash.
func (v *Visit) Key() string { return v.run.info.ID + ":" + v.Turn() }

// Along is the visit as its expressions read it on one way through a graph, with the results known there.
func (v *Visit) Along(names map[string]Named) *Visit {
	along := *v
	along.frame = newLane(v.frame, v.file.unit, v.vx.below(), names)
	return &along
}

// Adopt takes over results from the ways through a graph when it has ended.
func (v *Visit) Adopt(names map[string]Named) { v.frame.restore(v.file.unit, names) }

// Eval works out an expression of the node, with prev and some more names as given.
func (v *Visit) Eval(x *spec.Expr, prev any, more ...Local) (any, error) {
	return x.Eval(&env{v, prev, locals(v.locals, more)})
}

// Test works out a condition.
func (v *Visit) Test(x *spec.Expr, prev any, more ...Local) (bool, error) {
	out, err := v.Eval(x, prev, more...)
	if err != nil {
		return false, err
	}
	return out.(bool), nil // a condition's expression gives nothing else
}
