package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/flowrun/flowrun/spec"
)

// What a leaf did before, where a run begins again and the file or a part of its work is another.

// written is a digest of all that the file says of a leaf: its own fields, with what they name in the header.
func (vx *vertex) written() []byte {
	vx.asked.Do(func() {
		vx.says = sha256.Sum256(vx.node.AppendWritten([]byte(vx.kind.Name + " " + vx.body.Uses + " ")))
	})
	return vx.says[:]
}

// basis is what a leaf's work rests on: what its file says of it, what it receives, what its expressions read, and what
// was said before it in the run, where it remembers. Secrets are not among that, lest a digest of them be kept, nor is
// the run, of which another may go on with the work.
func (v *Visit) basis() string {
	b := spec.AppendJSON(slices.Clip(v.vx.written()), v.prev)
	e := &env{v, v.prev, v.locals}
	for _, name := range v.vx.names {
		if name != "prev" && name != "run" && name != "secrets" {
			b = spec.AppendJSON(append(append(append(b, '\n'), name...), '='), e.Value(name))
		}
	}
	for _, name := range v.vx.steps {
		b = spec.AppendJSON(append(append(append(b, '\n'), name...), ':'), e.Step(name))
	}
	if v.vx.body.Window > 0 {
		for _, m := range v.remembered("") {
			b = spec.AppendJSON(append(b, '\n'), []any{m.Agent, m.Prompt, m.Reply})
		}
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// known is how the same work ended before; nil where it is not known, or where what a catch made of it says nothing of
// the work itself. It works out the basis.
func (v *Visit) known() *Finished {
	r := v.run
	if r.turns == nil || v.passing() {
		return nil
	}
	own := v.own()
	if own.basis == "" { // at the first attempt
		own.basis = v.basis()
	}
	if r.reuse == nil {
		return nil
	}
	if f, ok := r.reuse(v.Turn(), own.basis); ok && f.ended() && (f.Error == nil || f.Caught || v.vx.catch == nil) {
		if len(f.Said) > 0 { // which this run remembers, too
			own.memory = &f.Said[0].Memory
		}
		return f
	}
	return nil
}

// ended tells whether the work was done, with success or without.
func (f *Finished) ended() bool {
	return f.Status == string(Completed) || f.Status == string(Failed) && f.Error != nil
}
