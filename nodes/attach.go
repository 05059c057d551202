package nodes

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// maxAttached bounds the files that go with one prompt together, in bytes. Each is bounded where files are read.
const maxAttached = 20 << 20

// attaching is what goes with an agent's prompt: expressions that give paths, or lists of them.
type attaching struct {
	folder string // where they begin
	paths  []*spec.Expr
}

func attachingOf(n *spec.Node, d definition) attaching {
	a := attaching{folder: n.Pipeline.Folder}
	place := d.at("attach")
	if place == nil {
		return a
	}
	if a.paths = place.Exprs("attach"); a.paths == nil && place.Has("attach") {
		a.paths = []*spec.Expr{place.Expr("attach")}
	}
	return a
}

// needs are the files that must be allowed to be read, as far as they are known.
func (a attaching) needs() []spec.Need {
	var needs []spec.Need
	for _, x := range a.paths {
		need := spec.Need{Grant: "read", Pos: x.Pos}
		if path, whole := x.Constant(); whole {
			need.Name = a.path(spec.AsText(path))
		}
		needs = append(needs, need)
	}
	return needs
}

// path is a path as the working directory knows it.
func (a attaching) path(written string) string {
	path := filepath.FromSlash(written)
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(a.folder, path)
}

// read reads the files. Their names are the paths as written.
func (a attaching) read(c *engine.Call) ([]agents.Attachment, error) {
	var all []agents.Attachment
	size := 0
	for _, x := range a.paths {
		v, err := c.Eval(x)
		if err != nil {
			return nil, err
		}
		paths, err := pathsIn(v)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			attachment, err := a.one(c, path, maxAttached-size)
			var denied *engine.Error
			switch {
			case errors.As(err, &denied):
				return nil, err
			case err != nil:
				return nil, engine.Errorf(engine.BadRequest, "attaching %s: %w", short(path), err)
			}
			size += len(attachment.Data)
			all = append(all, attachment)
		}
	}
	return all, nil
}

// one reads one file, for which there is so much room.
func (a attaching) one(c *engine.Call, path string, room int) (agents.Attachment, error) {
	data, err := c.Read(a.path(path))
	if err != nil {
		return agents.Attachment{}, err
	}
	if len(data) > room {
		return agents.Attachment{}, fmt.Errorf("with it, the files are larger than %d MiB together", maxAttached>>20)
	}
	return agents.Attach(path, data)
}

// pathsIn are the paths that a value gives; nothing gives none.
func pathsIn(v any) ([]string, error) {
	list, many := v.([]any)
	if !many && v != nil {
		list = []any{v}
	}
	var paths []string
	for _, entry := range list {
		path, ok := entry.(string)
		if !ok || path == "" {
			return nil, engine.Errorf(engine.BadRequest, "attach needs paths, not %s", short(entry))
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// names are those of attachments, as expressions read them.
func names(attachments []agents.Attachment) []any {
	out := make([]any, len(attachments))
	for i, a := range attachments {
		out[i] = a.Name
	}
	return out
}
