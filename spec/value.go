package spec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Canonical gives v as flowrun's values are everywhere: nil, bool, int64, float64, string, []any and map[string]any,
// where a number without a fraction that fits is an int64. So a value is the same whether it stayed in the process or
// went through a file or a wire. Values are shared and must not be changed; a part of v that is canonical already is
// not copied. NaN, infinities and what is no JSON are errors.
func Canonical(v any) (any, error) {
	c := canon{left: math.MaxInt64, depth: math.MaxInt}
	return c.value(v)
}

// ErrTooLarge is the error of a value that takes more than it may.
var ErrTooLarge = errors.New("the value is too large")

// CanonicalWithin is [Canonical] for a value that takes at most so many bytes: about those of its JSON, which is not
// written for that. A larger one is an [ErrTooLarge].
func CanonicalWithin(v any, bytes int) (any, error) {
	const each = 3 // a digit and a half with a comma, or quotes and a comma around a text
	c := canon{left: int64(bytes) + each, each: each, depth: math.MaxInt, escape: true, full: ErrTooLarge}
	return c.value(v)
}

// canon makes values canonical, within bounds.
type canon struct {
	left   int64 // bytes that values may still take, with their texts and keys
	each   int64 // bytes for each value
	depth  int   // levels that they may still nest
	escape bool  // texts count as they are in JSON
	full   error // where nothing is left
}

func (c *canon) value(whole any) (any, error) {
	if c.left -= c.each; c.left < 0 {
		return nil, c.full
	}
	switch v := whole.(type) {
	case nil, bool, int64:
		return whole, nil
	case string:
		s, err := c.text(v)
		if err == nil && s == v {
			return whole, nil // as it is, for a text is copied when it becomes a value
		}
		return s, err
	case int:
		return int64(v), nil
	case float64:
		return canonicalFloat(v)
	case json.Number:
		return canonicalNumber(v)
	}
	if c.depth == 0 {
		return nil, errDepth
	}
	c.depth--
	v, err := c.container(whole)
	c.depth++
	return v, err
}

func (c *canon) container(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		return c.list(v)
	case map[string]any:
		return c.object(v)
	}
	return c.other(reflect.ValueOf(v))
}

func (c *canon) text(s string) (string, error) {
	valid := s
	if !utf8.ValidString(s) {
		valid = strings.ToValidUTF8(s, "\uFFFD")
	}
	c.left -= int64(max(len(s), len(valid)))
	if c.escape {
		for i := range len(valid) {
			switch b := valid[i]; {
			case b == '"', b == '\\', b == '\n', b == '\r', b == '\t':
				c.left--
			case b < ' ':
				c.left -= 5 // \u0000
			case b == 0xe2 && (strings.HasPrefix(valid[i:], "\u2028") || strings.HasPrefix(valid[i:], "\u2029")):
				c.left -= 3 // which JSON for browsers escapes
			}
		}
	}
	if c.left < 0 {
		return "", c.full
	}
	return valid, nil
}

func canonicalFloat(f float64) (any, error) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil, fmt.Errorf("%v is not a number that JSON has", f)
	case f == math.Trunc(f) && f >= -1<<63 && f < 1<<63:
		return int64(f), nil
	}
	return f, nil
}

func canonicalNumber(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil, fmt.Errorf("%s is not a number that fits", quote(string(n)))
	}
	return canonicalFloat(f)
}

func (c *canon) list(list []any) (any, error) {
	if list == nil {
		return []any{}, nil
	}
	var out []any // made when the first item changes
	for i, item := range list {
		v, err := c.value(item)
		if err != nil {
			return nil, err
		}
		if out == nil && !same(v, item) {
			out = append(make([]any, 0, len(list)), list[:i]...)
		}
		if out != nil {
			out = append(out, v)
		}
	}
	if out != nil {
		return out, nil
	}
	return list, nil
}

func (c *canon) object(object map[string]any) (any, error) {
	if object == nil {
		return map[string]any{}, nil
	}
	var out map[string]any // made when the first member changes
	for k, item := range object {
		key, err := c.text(k)
		if err != nil {
			return nil, err
		}
		v, err := c.value(item)
		if err != nil {
			return nil, err
		}
		if same(v, item) && key == k {
			continue
		}
		if out == nil {
			out = maps.Clone(object)
		}
		if key != k {
			if _, taken := out[key]; taken {
				return nil, sameKeys(key)
			}
			delete(out, k)
		}
		out[key] = v
	}
	if out == nil {
		return object, nil
	}
	return out, nil
}

func sameKeys(key string) error { return fmt.Errorf("two keys are both %s", quote(key)) }

// same tells whether Canonical left an item as it was. A list or object that it kept is the very same one.
func same(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && b != nil && len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && b != nil && reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
	case float64:
		b, ok := b.(float64)
		return ok && a == b
	case int64:
		b, ok := b.(int64)
		return ok && a == b
	case string:
		b, ok := b.(string)
		return ok && a == b
	}
	return a == b
}

func (c *canon) other(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if u := v.Uint(); u > math.MaxInt64 {
			return canonicalFloat(float64(u))
		}
		return int64(v.Uint()), nil
	case reflect.Float32:
		return canonicalFloat(v.Float())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if c.left -= int64(v.Len()); c.left < 0 {
				return nil, c.full
			}
			break // bytes are text in JSON
		}
		if c.left < int64(v.Len()) {
			return nil, c.full
		}
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = c.value(v.Index(i).Interface()); err != nil {
				return nil, err
			}
		}
		return out, nil
	case reflect.Map:
		if v.Type() == reflect.TypeFor[map[any]any]() || v.Type() == reflect.TypeFor[map[any][]any]() {
			return c.anyMap(v)
		}
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, fmt.Errorf("%s is not a value that JSON has", v.Type())
	}
	if c.left -= int64(len(b)); c.left < 0 {
		return nil, c.full
	}
	return ParseJSON(string(b))
}

// anyMap makes the keys text, as expressions that group by a number give them. Lists whose keys become the same text, as
// 1 and "1" do, are joined, in an order that does not depend on the map's.
func (c *canon) anyMap(v reflect.Value) (any, error) {
	type entry struct {
		key, kind, raw string
		value          any
	}
	var entries []entry
	for it := v.MapRange(); it.Next(); {
		k := it.Key().Interface()
		key, err := c.value(k)
		if err != nil {
			return nil, err
		}
		value, err := c.value(it.Value().Interface())
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{AsText(key), fmt.Sprintf("%T", k), fmt.Sprint(k), value})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.kind, b.kind), strings.Compare(a.raw, b.raw))
	})
	out := make(map[string]any, len(entries))
	for _, e := range entries {
		before, taken := out[e.key]
		switch {
		case !taken:
			out[e.key] = e.value
		case v.Type() == reflect.TypeFor[map[any][]any]():
			out[e.key] = slices.Concat(before.([]any), e.value.([]any))
		default:
			return nil, sameKeys(e.key)
		}
	}
	return out, nil
}

// Copy is a canonical value that shares nothing with v, for code that is not ours.
func Copy(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = Copy(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = Copy(item)
		}
		return out
	}
	return v
}

// ParseJSON reads one JSON value, canonical.
func ParseJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, notJSON(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the JSON value")
	}
	return Canonical(v)
}

// ParseReply is [ParseJSON] for what a command or a server answered: a text whose value would take more than 128 MiB of
// memory is an [ErrTooLarge], and one that nests deeper than 1000 levels an error as well.
func ParseReply(s string) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, full := r.(*limitError); !full {
				panic(r)
			}
			v, err = nil, ErrTooLarge
		}
	}()
	b := budget{steps: math.MaxInt64, bytes: 2 * maxMemory}
	if b.payJSON(s) != nil {
		return nil, fmt.Errorf("it nests deeper than %d levels", maxLevels)
	}
	return ParseJSON(s)
}

func notJSON(err error) error {
	if err == io.EOF {
		return fmt.Errorf("it is empty, not JSON")
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// AsJSON is a canonical value as compact JSON with sorted keys.
func AsJSON(v any) string { return string(AppendJSON(nil, v)) }

// AppendJSON adds a canonical value as [AsJSON] has it.
func AppendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case string:
		if strings.IndexFunc(v, quotes) < 0 {
			b = append(b, '"')
			b = append(b, v...)
			return append(b, '"')
		}
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendJSON(b, item)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(AppendJSON(b, k), ':')
			b = AppendJSON(b, v[k])
		}
		return append(b, '}')
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("a value that is not canonical: %v", err))
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}

// quotes tells whether a character is more than itself in a JSON text, or may be.
func quotes(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }

// AsText is a canonical value as it is put into a text: a string as it is, anything else as JSON.
func AsText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return AsJSON(v)
}
