package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/spec"
)

// paramFlags reads name=value: a text where the parameter is one, else a value as a file would say it.
func paramFlags(c *urfave.Context, pipeline *spec.Pipeline) (map[string]any, error) {
	types := map[string]*spec.Schema{}
	for _, param := range pipeline.Params {
		types[param.Name] = param.Schema
	}
	params := map[string]any{}
	for _, given := range c.StringSlice("param") {
		name, text, ok := strings.Cut(given, "=")
		if !ok {
			return nil, usage("--param is name=value, not %q", given)
		}
		params[name] = text
		if s := types[name]; s != nil && s.Check(name, text) != nil {
			if v, err := spec.ParseValue(text); err == nil {
				params[name] = v
			}
		}
	}
	return params, nil
}

// input is what --input or --input-file give.
func (p *program) input(c *urfave.Context, pipeline *spec.Pipeline) (any, error) {
	text, name := c.String("input"), "--input"
	switch {
	case c.IsSet("input-file"):
		name = c.String("input-file")
		b, err := p.readInput(name)
		if err != nil {
			return nil, usage("reading the input: %v", err)
		}
		text = string(b)
	case !c.IsSet("input"):
		return nil, nil
	}
	ext := strings.ToLower(filepath.Ext(name))
	structured := c.IsSet("input-file") && (ext == ".json" || ext == ".yaml" || ext == ".yml")
	if !structured && (pipeline.Input == nil || pipeline.Input.Check("input", text) == nil) {
		return text, nil
	}
	v, err := spec.ParseValue(text)
	if err != nil {
		return nil, usage("reading %s: %v", name, err)
	}
	return v, nil
}

// maxInput bounds an input, in bytes.
const maxInput = 64 << 20

func (p *program) readInput(name string) ([]byte, error) {
	from := p.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = fmt.Errorf("it is larger than %d MiB", maxInput>>20)
	}
	return b, err
}
