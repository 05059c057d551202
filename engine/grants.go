package engine

import (
	"net"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/spec"
)

// Grants are what the user allows a pipeline to reach for. The zero Grants allow nothing.
type Grants struct {
	All bool
	By  map[string]Grant // by exec, net, env, read
}

// Grant allows names of one sort, or all of them.
type Grant struct {
	Any   bool
	Names []string
}

// Allow tells whether a need is granted. What is not known before it runs needs a grant of all names; a file, one of any
// path, for it is looked at again when it is known.
func (g Grants) Allow(n spec.Need) bool {
	by := g.By[n.Grant]
	if g.All || by.Any {
		return true
	}
	return slices.ContainsFunc(by.Names, func(name string) bool {
		switch {
		case n.Grant == "read":
			return n.Name == "" || spec.Within(n.Name, name)
		case n.Grant == "net" && n.Name != "":
			return sameHost(name, n.Name)
		}
		return name == n.Name
	})
}

// sameHost tells whether a grant of a host, with or without a port, covers another.
func sameHost(granted, host string) bool {
	if strings.EqualFold(granted, host) {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	return err == nil && strings.EqualFold(strings.Trim(granted, "[]"), name)
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
