package nodes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/spec"
)

// inputArgument is what a pipeline that is a tool is given as its input.
const inputArgument = "input"

// arguments are what a tool takes, as a schema.
type arguments struct {
	names  []string
	values map[string]*spec.Schema // nil: anything
	needed []string
}

func newArguments(params []spec.Entry) *arguments {
	a := &arguments{values: map[string]*spec.Schema{}}
	for _, p := range params {
		schema := p.Value.(*spec.Schema)
		_, optional := schema.Default()
		a.add(p.Name, schema, optional)
	}
	return a
}

func (a *arguments) add(name string, schema *spec.Schema, optional bool) {
	a.names, a.values[name] = append(a.names, name), schema
	if !optional {
		a.needed = append(a.needed, name)
	}
}

// pipelineArguments are the input and the params of a pipeline.
func pipelineArguments(p *spec.Pipeline) *arguments {
	a := &arguments{values: map[string]*spec.Schema{}}
	optional := false
	if p.Input != nil {
		_, optional = p.Input.Default()
	}
	a.add(inputArgument, p.Input, optional)
	for _, param := range p.Params {
		a.add(param.Name, param.Schema, param.HasDefault)
	}
	return a
}

// MarshalJSON is the schema as JSON Schema, in the order written.
func (a *arguments) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"type":"object","properties":{`)
	for i, name := range a.names {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(name) // of a text
		b.Write(key)
		b.WriteByte(':')
		schema := []byte("{}")
		if s := a.values[name]; s != nil {
			schema, _ = s.MarshalJSON() // as it was read
		}
		b.Write(schema)
	}
	needed, _ := json.Marshal(append([]string{}, a.needed...)) // of texts
	fmt.Fprintf(&b, `},"required":%s,"additionalProperties":false}`, needed)
	return b.Bytes(), nil
}

// Check says what in v does not fit.
func (a *arguments) Check(name string, v any) error { return a.check(name, v, true) }

// check is Check; values are left out where they are not known yet.
func (a *arguments) check(name string, v any, values bool) error {
	args, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s must be an object", name)
	}
	var problems []string
	for _, key := range a.needed {
		if _, ok := args[key]; !ok && !a.meant(key, args) {
			problems = append(problems, fmt.Sprintf("%s.%s is missing", name, key))
		}
	}
	for key, value := range args {
		schema, known := a.values[key]
		if !known {
			problems = append(problems, fmt.Sprintf("%s.%s is unknown%s", name, abridge(key), spec.DidYouMean(key, a.names)))
		} else if schema != nil && values {
			if err := schema.Check(name+"."+key, value); err != nil {
				problems = append(problems, err.Error())
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	if more := len(problems) - 5; more > 0 {
		problems = append(problems[:5], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(problems, "; "))
}

// meant tells whether an unknown argument is a misspelt one: it is reported as unknown then, and not as missing.
func (a *arguments) meant(name string, args map[string]any) bool {
	for key := range args {
		if _, known := a.values[key]; !known && spec.DidYouMean(key, []string{name}) != "" {
			return true
		}
	}
	return false
}

// complete adds what was left out and has a default.
func (a *arguments) complete(args map[string]any) map[string]any {
	for _, name := range a.names {
		if _, given := args[name]; given || a.values[name] == nil {
			continue
		}
		if v, ok := a.values[name].Default(); ok {
			args[name] = v
		}
	}
	return args
}

func abridge(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}
