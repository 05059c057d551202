package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/flowrun/flowrun/spec"
)

// picture is a tree as lines of text.
type picture struct {
	now           time.Time
	width, height int // of the lines, in columns, and how many there may be
	colours       bool
	rows          []row
}

// row is a line of a picture in its parts.
type row struct {
	indent                    int
	mark, name, lasts, detail string
	colour                    string // of the mark
	said                      string // after the detail, of which the end matters
}

// lines draws what is at work in t: the root first, siblings in their order. What has no place is counted.
func (p picture) lines(t *tree) []string {
	if p.height <= 0 {
		return nil
	}
	p.children(t.top, 0, p.height)
	names := 0
	for _, r := range p.rows {
		names = max(names, r.indent+2+displaywidth.String(r.name))
	}
	names = min(names, p.width, max(10, p.width*2/5))
	lines := make([]string, len(p.rows))
	for i, r := range p.rows {
		lines[i] = p.line(r, names)
	}
	return lines
}

// node draws a node and what is below it in at most so many lines, of which there is at least one.
func (p *picture) node(n *node, depth, room int) {
	if only := n.only(); only != nil {
		p.node(only, depth, room)
		return
	}
	p.rows = append(p.rows, p.row(n, depth))
	p.children(n, depth+1, room-1)
}

// children draws those at work below n. Each has a line as long as there is room, and what is left goes to the first.
func (p *picture) children(n *node, depth, room int) {
	shown := n.children.Len()
	if shown == 0 || room == 0 {
		return
	}
	hidden := 0
	if shown > room {
		hidden, shown = shown-room+1, room-1
	}
	spare := room - shown
	if hidden > 0 {
		spare = 0
	}
	for at := n.children.Front(); shown > 0; at, shown = at.Next(), shown-1 {
		child := at.Value.(*node)
		takes := child.lines(1 + spare)
		p.node(child, depth, takes)
		spare -= takes - 1
	}
	if hidden > 0 {
		p.rows = append(p.rows, row{indent: p.indent(depth), mark: " ", name: fmt.Sprintf("… %d more", hidden)})
	}
}

// lines is how many lines the node could fill, counted to the given bound.
func (n *node) lines(bound int) int {
	if only := n.only(); only != nil {
		return only.lines(bound)
	}
	lines := 1
	for at := n.children.Front(); at != nil && lines < bound; at = at.Next() {
		lines += at.Value.(*node).lines(bound - lines)
	}
	return lines
}

// only is the one child of a container that has no name and so tells nothing that the child does not.
func (n *node) only() *node {
	if n.label == "" && n.children.Len() == 1 && n.most == 1 && n.items == 0 {
		return n.children.Front().Value.(*node)
	}
	return nil
}

// indent is by how many columns something so deep stands to the right: by a quarter of the width at most.
func (p *picture) indent(depth int) int { return 2 * min(depth, p.width/8) }

func (p *picture) row(n *node, depth int) row {
	r := row{indent: p.indent(depth), mark: "▾", name: n.label, lasts: fmt.Sprintf("%.1fs", p.now.Sub(n.began).Seconds()), detail: n.kind, colour: cyan}
	if n.label == "" { // where it is within the parent: chain[1], or [7] of an item
		at := strings.TrimPrefix(strings.TrimPrefix(n.turn, n.parent.turn), "/")
		r.name = strings.TrimSuffix(at, "/do")
	}
	switch {
	case p.now.Before(n.again):
		r.mark, r.colour = "↻", yellow
		r.detail = fmt.Sprintf("attempt %d failed, again in %.1fs", n.attempt, n.again.Sub(p.now).Seconds())
		return r
	case n.most > 1 || n.items > 0:
		r.detail = n.sum()
	case n.most == 0:
		const turns = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
		r.mark = string([]rune(turns)[p.now.UnixMilli()/100%10])
		if len(n.tools) > 0 {
			r.detail, r.said = "", "calls "+strings.Join(n.tools, ", ")
		} else if r.said = strings.Join(strings.Fields(strings.ToValidUTF8(string(n.said), "")), " "); r.said != "" {
			r.detail = ""
		} else if n.model != "" {
			r.detail = n.model
		}
	}
	if n.used.Tokens() > 0 {
		r.detail = strings.TrimPrefix(r.detail+", "+spent(n.used), ", ")
	}
	return r
}

// line lays a row out, its name in a column of the given width. What has no room is left out.
func (p *picture) line(r row, names int) string {
	name := displaywidth.TruncateString(spec.Escape(r.name), max(1, names-r.indent-2), "…")
	line := strings.Repeat(" ", r.indent) + p.paint(r.mark, r.colour) + " " + name
	begins := r.indent + 2 + displaywidth.String(name)
	lasts := fmt.Sprintf("%*s %6s", max(0, names-begins), "", r.lasts)
	left := p.width - begins - len(lasts)
	if r.lasts == "" || left < 0 {
		return line
	}
	line += lasts
	if r.detail != "" && left > 3 {
		detail := displaywidth.TruncateString(spec.Escape(r.detail), left-2, "…")
		line += "  " + detail
		left -= 2 + displaywidth.String(detail)
	}
	if r.said != "" && left > 8 {
		line += "  " + p.paint(ending(spec.Escape(r.said), left-2), grey)
	}
	return line
}

func (p *picture) paint(s, colour string) string {
	if !p.colours || colour == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// ending is the end of a text that fits into so many columns.
func ending(s string, columns int) string {
	over := displaywidth.String(s) - columns
	if over <= 0 {
		return s
	}
	over++ // for the mark
	cut := 0
	for g := displaywidth.StringGraphemes(s); over > 0 && g.Next(); {
		over -= g.Width()
		cut += len(g.Value())
	}
	return "…" + s[cut:]
}
