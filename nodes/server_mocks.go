package nodes

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/agents/mcp"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// serverMocks answer in place of a server.
type serverMocks struct {
	name  string
	whole *Mock            // for tools without one of their own
	by    map[string]*Mock // by the name that the server gives a tool
	live  bool             // the server may be asked all the same
}

// mocksOfServer are those of a server; nil where it has none.
func (o *options) mocksOfServer(name string) *serverMocks {
	if o.mocks == nil {
		return nil
	}
	m := &serverMocks{name: name, whole: o.mockBy(name), by: map[string]*Mock{}}
	for word, mock := range o.mocks.By {
		if part, ok := strings.CutPrefix(word, name+"."); ok && mock != nil {
			m.by[part] = mock
		}
	}
	if m.whole == nil && len(m.by) == 0 {
		return nil
	}
	m.live = o.mocks.Live && m.whole == nil
	return m
}

// of is the mock of one of the server's tools; nil where there is none.
func (m *serverMocks) of(part string) *Mock {
	if m == nil {
		return nil
	}
	return cmp.Or(m.by[part], m.whole)
}

// alone tells whether the server is not there: it is not started, and not asked.
func (m *serverMocks) alone() bool { return m != nil && !m.live }

// reads are the expressions of the mocks.
func (m *serverMocks) reads() []*spec.Expr {
	if m == nil {
		return nil
	}
	reads := m.whole.reads()
	for _, part := range slices.Sorted(maps.Keys(m.by)) {
		reads = append(reads, m.by[part].reads()...)
	}
	return reads
}

// tools are those that a server which is not there is taken to have: the one of a name, or those with mocks and those
// that are called. They take anything.
func (m *serverMocks) tools(part string, called []string) []mcp.Tool {
	parts := []string{part}
	if part == "" {
		parts = slices.Collect(maps.Keys(m.by))
		for _, word := range called {
			if part, ok := strings.CutPrefix(word, m.name+"."); ok {
				parts = append(parts, part)
			}
		}
		slices.Sort(parts)
	}
	var tools []mcp.Tool
	for _, part := range slices.Compact(parts) {
		tools = append(tools, mcp.Tool{Name: part, Schema: json.RawMessage(`{"type":"object"}`)})
	}
	return tools
}

// refused is the error of calling a tool that has no mock.
func (m *serverMocks) refused(part string) error {
	return engine.Errorf(engine.Permission, "%w: the server %s is not started, and there is none for %s.%s", ErrUnmocked, m.name, m.name, part)
}
