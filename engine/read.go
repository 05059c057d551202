package engine

import (
	"errors"
	"slices"

	"github.com/flowrun/flowrun/spec"
)

// Read is the door to files: it gives a regular file of at most 10 MiB that the user allowed to be read. Where a path
// allows it, no link leads away from there. Unlike [Ask] it counts for no question. An error of kind permission says what
// is not allowed, any other why there is no such file.
func (c *Call) Read(name string) ([]byte, error) {
	if err := c.granted(spec.Need{Grant: "read", Name: name}); err != nil {
		return nil, err
	}
	return c.visit.run.grants.read(name)
}

// read reads a file that is granted, by way of what grants it.
func (g Grants) read(name string) ([]byte, error) {
	by := g.By["read"]
	if g.All || by.Any {
		return spec.ReadFile(nil, name)
	}
	i := slices.IndexFunc(by.Names, func(granted string) bool { return spec.Within(name, granted) })
	if i < 0 { // a link that was made meanwhile
		return nil, errors.New("it is not where it was")
	}
	return spec.ReadWithin(name, by.Names[i])
}
