package engine

import "strconv"

// Where a visit is: its node's path, the turn that names the execution, and the place in an error.

// place says where and who, once.
func (v *Visit) place(e *Error) *Error {
	if e.Node != "" {
		return e
	}
	placed := *e
	placed.Message = v.run.stream.mask.shorten(placed.Message)
	placed.Node, placed.Path, placed.Item = v.label(), v.Path(), v.nearestItem()
	if placed.Pos.File == "" {
		placed.Pos = v.vx.node.Pos
	}
	return &placed
}

// nearestItem is the number of the item within which the visit runs; nil where there is none.
func (v *Visit) nearestItem() *int {
	for ; v != nil; v = v.up {
		if v.item != none {
			return &v.item
		}
	}
	return nil
}

// label is what messages call the node: its name, or else its path.
func (v *Visit) label() string {
	if v.vx.node.Name != "" {
		return v.vx.node.Name
	}
	return v.Path()
}

// Path is the node's place in the pipeline, with the nodes that include its file: the same in every visit.
func (v *Visit) Path() string { return v.trace(false) }

// Turn names the execution: the path with the counts of all visits on the way.
func (v *Visit) Turn() string {
	if v.turn == "" { // not kept here: several children may ask at once
		return v.trace(true)
	}
	return v.turn
}

func (v *Visit) trace(counts bool) string {
	up := ""
	if v.up != nil && v.up.vx != nil {
		if up = v.up.turn; up == "" || !counts {
			up = v.up.trace(counts)
		}
	}
	switch {
	case v.vx.segment == "":
		return "/"
	case up == "/" && !(counts && v.item != none):
		up = ""
	}
	if v.vx == v.file.unit.finally {
		up += v.file.unit.underRoot()
	}
	if !counts {
		return up + "/" + v.vx.segment
	}
	if v.item != none {
		up += "[" + strconv.Itoa(v.item) + "]"
	}
	s := up + "/" + v.vx.segment
	if v.count > 1 {
		s += "#" + strconv.Itoa(v.count)
	}
	return s
}
