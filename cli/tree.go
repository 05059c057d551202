package cli

import (
	"container/list"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// tree is what of a run is at work, as its events tell. Of nodes that ended it keeps numbers only, so it is as large as
// what runs at once. An event costs as much as its node is deep.
type tree struct {
	open map[string]*node // by turn
	top  *node            // above the root and finally
}

// node is one that is at work.
type node struct {
	turn     string
	label    string // what people call it; "" where it has no name
	kind     string
	parent   *node
	place    *list.Element // among the parent's children
	children list.List     // *node, those at work
	order    [3]int        // among its siblings: its item, line and column
	began    time.Time
	model    string
	used     engine.Usage // that calls here and below used
	said     []byte       // the end of what its agent says
	tools    []string     // that it called and that have not returned
	attempt  int          // the last that failed
	again    time.Time    // when the next begins

	items                          int // children that began and are items
	most                           int // children at work at once
	done, failed, skipped, stopped int // children that ended
}

// few is how many children at once or items are still told of one by one.
const few = 12

func newTree() *tree { return &tree{open: map[string]*node{}, top: &node{turn: "/"}} }

// hear takes an event in, and gives the node that it is of; of one that has just ended what it came to.
func (t *tree) hear(e engine.Event) *node {
	if e.Turn == "" { // of the whole run
		return t.top
	}
	if e.Type == engine.StepStarted {
		return t.start(e)
	}
	n := t.open[e.Turn]
	if n == nil { // it never began
		parent, _ := t.parent(e.Turn)
		n = &node{parent: parent}
		parent.count(e)
		return n
	}
	switch e.Type {
	case engine.RunStarted:
		n.model, n.said = e.Model, nil
	case engine.ModelDelta:
		n.say(e.Text)
	case engine.RunCompleted:
		for up := n; up != nil; up = up.parent {
			up.used.Add(e.Usage)
		}
	case engine.ToolCalled:
		n.said = nil
		n.tools = append(n.tools, e.Tool)
	case engine.ToolReturned:
		if i := slices.Index(n.tools, e.Tool); i >= 0 {
			n.tools = slices.Delete(n.tools, i, i+1)
		}
	case engine.StepRetried:
		n.attempt, n.again = e.Attempt, e.Time.Add(e.Delay)
	case engine.StepCompleted, engine.StepFailed:
		n.parent.children.Remove(n.place)
		delete(t.open, e.Turn)
		n.parent.count(e)
	}
	return n
}

// asked is the model that a node at work asked last; empty where it asked none.
func (t *tree) asked(turn string) string {
	if n := t.open[turn]; n != nil {
		return n.model
	}
	return ""
}

func (t *tree) start(e engine.Event) *node {
	parent, item := t.parent(e.Turn)
	n := &node{turn: e.Turn, kind: e.Kind, parent: parent, began: e.Time}
	if e.Label != e.Turn {
		n.label = label(e)
	}
	n.order = [3]int{0, e.Pos.Line, e.Pos.Column}
	if e.Item != nil {
		n.order[0] = *e.Item
	}
	parent.insert(n)
	parent.most = max(parent.most, parent.children.Len())
	if item {
		parent.items++
	}
	t.open[e.Turn] = n
	return n
}

// parent finds the nearest node at work above a turn, and whether the turn is an item's.
func (t *tree) parent(turn string) (n *node, item bool) {
	if n, item = nearest(t.open, turn); n == nil {
		n = t.top
	}
	return n, item
}

// nearest finds the nearest turn above another, and whether that is of an item: /list[7]/do has the parent /list. It is
// the root's where there is no other, and nil where that is not there.
func nearest[T any](turns map[string]*T, turn string) (t *T, item bool) {
	if turn == "/" {
		return nil, false
	}
	for above := turn; above != ""; {
		above = above[:strings.LastIndexByte(above, '/')]
		if t := turns[above]; t != nil {
			return t, false
		}
		if i := strings.LastIndexByte(above, '['); i >= 0 && strings.HasSuffix(above, "]") {
			if t := turns[above[:i]]; t != nil {
				return t, true
			}
		}
	}
	return turns["/"], false
}

// insert puts a child in its place, as written or in the order of items. Those that begin at once do so in nearly that
// order, so it looks for the place near the end only.
func (n *node) insert(child *node) {
	after := n.children.Back()
	for range 64 {
		if after == nil || slices.Compare(after.Value.(*node).order[:], child.order[:]) <= 0 {
			break
		}
		after = after.Prev()
	}
	if after == nil {
		child.place = n.children.PushFront(child)
	} else {
		child.place = n.children.InsertAfter(child, after)
	}
}

// count counts a child that ended.
func (n *node) count(e engine.Event) {
	switch {
	case e.Type == engine.StepSkipped:
		n.skipped++
	case e.Type == engine.StepCompleted:
		n.done++
	case e.Type == engine.StepFailed && e.Error.Kind == engine.Cancelled:
		n.stopped++
	case e.Type == engine.StepFailed:
		n.failed++
	}
}

// say keeps the end of a text.
func (n *node) say(text string) {
	const enough = 600 // bytes, for a line of a wide terminal
	if len(text) > enough {
		text = text[len(text)-enough:]
	}
	if more := len(n.said) + len(text) - 2*enough; more > 0 {
		n.said = append(n.said[:0], n.said[len(n.said)-enough:]...)
	}
	n.said = append(n.said, text...)
}

// wide tells whether its children are too many to tell of each.
func (n *node) wide() bool { return n.most > few || n.items > few }

// crowded tells whether it stands somewhere below a wide node.
func (n *node) crowded() bool {
	for up := n.parent; up != nil; up = up.parent {
		if up.wide() {
			return true
		}
	}
	return false
}

// sum says how many children came to what.
func (n *node) sum() string {
	var s []string
	for _, c := range []struct {
		n    int
		came string
	}{{n.done, "done"}, {n.failed, "failed"}, {n.skipped, "skipped"}, {n.stopped, "stopped"}, {n.children.Len(), "running"}} {
		if c.n > 0 {
			s = append(s, fmt.Sprintf("%d %s", c.n, c.came))
		}
	}
	return strings.Join(s, ", ")
}
