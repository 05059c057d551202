package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/flowrun/flowrun/spec"
)

// Grants are what the user allows a pipeline to reach for. The zero Grants allow nothing.
type Grants struct {
	All bool
	By  map[string]Grant // by exec, net, env, read, mcp
}

// Grant allows names of one sort, or all of them.
type Grant struct {
	Any   bool
	Names []string
}

// Allow tells whether a need is granted. What is not known before it runs needs a grant of all names; a file, one of any
// path, for it is looked at again when it is known. A host that leads into the network of this machine must be named.
func (g Grants) Allow(n spec.Need) bool {
	if g.All || g.By[n.Grant].Any && (n.Grant != "net" || !Inward(n.Name) || thisMachine(n.Name)) {
		return true
	}
	return g.names(n.Grant, n.Name)
}

// With are the grants with what needs ask for, each by its name as far as it has one.
func (g Grants) With(needs ...spec.Need) Grants {
	by := map[string]Grant{}
	maps.Copy(by, g.By)
	for _, n := range needs {
		grant := by[n.Grant]
		if n.Name == "" {
			grant.Any = true
		} else {
			grant.Names = append(slices.Clip(grant.Names), n.Name)
		}
		by[n.Grant] = grant
	}
	return Grants{All: g.All, By: by}
}

// names tells whether a name is granted, and not just any.
func (g Grants) names(sort, name string) bool {
	return slices.ContainsFunc(g.By[sort].Names, func(granted string) bool {
		switch {
		case sort == "read":
			return name == "" || spec.Within(name, granted)
		case sort == "net" && name != "":
			return sameHost(granted, name)
		}
		return granted == name
	})
}

// MostNeeds is how many needs a list shows.
const MostNeeds = 100

// ListNeeds describes needs in lines for people: the flag that grants each, its place, and below it what exactly is
// reached for. What is too much to be read is counted. The lines hold text of the file.
func ListNeeds(needs []spec.Need) []string {
	var lines []string
	for i, n := range needs {
		if i == MostNeeds {
			return append(lines, fmt.Sprintf("  and %d more", len(needs)-i))
		}
		why := n.Pos.String()
		if n.Name == "" {
			why += ": " + cmp.Or(n.Why, "what it is shows only when it runs")
		}
		lines = append(lines, fmt.Sprintf("  %s  (%s)", abridged(n.Flag()), why))
		if n.What != "" {
			lines = append(lines, "      "+abridged(n.What))
		}
	}
	return lines
}

// abridged is a text with so much of its beginning and its end as can be read at a glance.
func abridged(s string) string {
	const head, tail = 600, 200
	r := []rune(s)
	if len(r) <= head+tail {
		return s
	}
	return fmt.Sprintf("%s …(%d more characters)… %s", string(r[:head]), len(r)-head-tail, string(r[len(r)-tail:]))
}

// missing are the needs that are not granted.
func (g Grants) missing(needs []spec.Need) []spec.Need {
	var out []spec.Need
	for _, n := range needs {
		if !g.Allow(n) {
			out = append(out, n)
		}
	}
	return out
}
