package nodes_test

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The expressions of random pipelines: each is written as flowrun reads it, and worked out here without flowrun.
// Values are those of JSON: nil, int, string, []any and map[string]any.

// expression is a piece of the expression language, or the whole value of a field, and what it means.
type expression struct {
	source any // a string, save for the value of a field
	value  func(*scene) any
}

// MarshalJSON writes the expression as a field of a file holds it.
func (x expression) MarshalJSON() ([]byte, error) { return json.Marshal(x.source) }

// pending stands where an expression will be drawn.
var pending = expression{"nil", func(*scene) any { return nil }}

// breaking stands where an expression will be drawn that has no value.
var breaking = expression{"nil", func(*scene) any { return broken }}

func constant(v any) expression {
	return expression{asJSON(v), func(*scene) any { return v }}
}

// environ is what files know of the environment.
var environ = object{"E": "ë"}

// broken is the value of an expression that has none.
var broken = &struct{ string }{"broken"}

// beyond fails: it reads behind the end of a list.
func beyond(x expression) expression {
	return expression{fmt.Sprintf("[0][%s < 0 ? 0 : 1]", length(x).source), func(*scene) any { return broken }}
}

// read is a name, or a field of one as in error.kind.
func read(path string) expression {
	of, field, found := strings.Cut(path, ".")
	return expression{path, func(s *scene) any {
		if found {
			return s.read(of).(object)[field]
		}
		return s.read(of)
	}}
}

// stepOf is steps.NAME?.FIELD.
func stepOf(name, field string) expression {
	return expression{"steps." + name + "?." + field, func(s *scene) any {
		r, _ := s.v.names.get(name).(object)
		return r[field]
	}}
}

const brief = 24 // characters of a value that texts repeat

// shown is the beginning of a value as text.
func shown(x expression) expression {
	return expression{fmt.Sprintf("truncate(string(%s), %d)", x.source, brief), func(s *scene) any {
		text := []rune(asText(x.value(s)))
		if len(text) > brief {
			text = append(text[:brief-1:brief-1], '…')
		}
		return string(text)
	}}
}

// joined puts texts together.
func joined(parts []expression) expression {
	return expression{each(parts, " + "), func(s *scene) any {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(p.value(s).(string))
		}
		return b.String()
	}}
}

// template is a text with an expression in it.
func template(before string, x expression, after string) expression {
	return expression{before + "${{ " + x.source.(string) + " }}" + after, func(s *scene) any { return before + asText(x.value(s)) + after }}
}

// length is the number of characters of a value as text.
func length(x expression) expression {
	return expression{fmt.Sprintf("len(string(%s))", x.source), func(s *scene) any { return len([]rune(asText(x.value(s)))) }}
}

// oneOf is one of some texts, by a number.
func oneOf(texts []string, by expression) expression {
	return expression{fmt.Sprintf("%s[%s %% %d]", asJSON(texts), by.source, len(texts)), func(s *scene) any {
		return texts[by.value(s).(int)%len(texts)]
	}}
}

func lessThan(x expression, n int) expression {
	return expression{fmt.Sprintf("%s < %d", x.source, n), func(s *scene) any { return x.value(s).(int) < n }}
}

func modulo(x expression, n int) expression {
	return expression{fmt.Sprintf("%s %% %d", x.source, n), func(s *scene) any { return x.value(s).(int) % n }}
}

func equal(x expression, to string) expression {
	return expression{fmt.Sprintf("%s == %q", x.source, to), func(s *scene) any { return x.value(s) == to }}
}

func both(x, y expression) expression {
	return expression{fmt.Sprintf("(%s) and (%s)", x.source, y.source), func(s *scene) any { return x.value(s).(bool) && y.value(s).(bool) }}
}

// listOf and objectOf are written as expressions; dataOf is a list in YAML, of templates.
func listOf(items []expression) expression {
	return expression{"[" + each(items, ", ") + "]", func(s *scene) any { return values(items, s) }}
}

func dataOf(items []expression) expression {
	return expression{items, func(s *scene) any { return values(items, s) }}
}

func objectOf(key string, x expression) expression {
	return expression{fmt.Sprintf("{%s: %s}", key, x.source), func(s *scene) any { return object{key: x.value(s)} }}
}

func each(all []expression, separator string) string {
	sources := make([]string, len(all))
	for i, x := range all {
		sources[i] = x.source.(string)
	}
	return strings.Join(sources, separator)
}

func values(all []expression, s *scene) []any {
	out := make([]any, len(all))
	for i, x := range all {
		out[i] = x.value(s)
	}
	return out
}

// asJSON is a value as compact JSON with sorted keys.
func asJSON(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// asText is a value as it is put into a text.
func asText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return asJSON(v)
}

// scene is what an expression of a visit reads.
type scene struct {
	v      *visit
	prev   any
	locals object // names in addition to those of the visit
}

func (s *scene) read(name string) any {
	file := object{"prev": s.prev, "input": s.v.input, "params": s.v.params, "env": environ, "run": object{"key": "r:" + s.v.turn()}}
	for _, known := range []object{s.locals, s.v.locals, file} {
		if value, ok := known[name]; ok {
			return value
		}
	}
	panic("nothing is called " + name)
}
