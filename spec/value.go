package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Canonical gives v as flowrun's values are everywhere: nil, bool, int64, float64, string, []any and map[string]any,
// where a number without a fraction that fits is an int64. So a value is the same whether it stayed in the process or
// went through a file or a wire. Values are shared and must not be changed; a part of v that is canonical already is
// not copied. NaN, infinities and what is no JSON are errors.
func Canonical(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return strings.ToValidUTF8(v, "\uFFFD"), nil
		}
		return v, nil
	case int:
		return int64(v), nil
	case float64:
		return canonicalFloat(v)
	case json.Number:
		return canonicalNumber(v)
	case []any:
		return canonicalList(v)
	case map[string]any:
		return canonicalObject(v)
	}
	return canonicalOther(reflect.ValueOf(v))
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

func canonicalList(list []any) (any, error) {
	if list == nil {
		return []any{}, nil
	}
	var out []any // made when the first item changes
	for i, item := range list {
		c, err := Canonical(item)
		if err != nil {
			return nil, err
		}
		if out == nil && !same(c, item) {
			out = append(make([]any, 0, len(list)), list[:i]...)
		}
		if out != nil {
			out = append(out, c)
		}
	}
	if out != nil {
		return out, nil
	}
	return list, nil
}

func canonicalObject(object map[string]any) (any, error) {
	if object == nil {
		return map[string]any{}, nil
	}
	var changed map[string]any
	for k, item := range object {
		c, err := Canonical(item)
		if err != nil {
			return nil, err
		}
		key := strings.ToValidUTF8(k, "\uFFFD")
		if same(c, item) && key == k {
			continue
		}
		if changed == nil {
			changed = make(map[string]any)
		}
		if key != k {
			changed[k] = dropped{}
		}
		changed[key] = c
	}
	if changed == nil {
		return object, nil
	}
	out := make(map[string]any, len(object))
	for k, item := range object {
		out[k] = item
	}
	for k, item := range changed {
		if _, gone := item.(dropped); gone {
			delete(out, k)
		} else {
			out[k] = item
		}
	}
	return out, nil
}

type dropped struct{}

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
		return ok && len(a) == len(b)
	}
	return a == b
}

func canonicalOther(v reflect.Value) (any, error) {
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
			break // bytes are text in JSON
		}
		out := make([]any, v.Len())
		for i := range out {
			c, err := Canonical(v.Index(i).Interface())
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	case reflect.Map:
		if v.Type() == reflect.TypeFor[map[any]any]() || v.Type() == reflect.TypeFor[map[any][]any]() {
			return canonicalAnyMap(v)
		}
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, fmt.Errorf("%s is not a value that JSON has", v.Type())
	}
	return ParseJSON(string(b))
}

// canonicalAnyMap makes the keys text, as expressions that group by a number give them.
func canonicalAnyMap(v reflect.Value) (any, error) {
	out := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, err := Canonical(it.Key().Interface())
		if err != nil {
			return nil, err
		}
		if out[AsText(key)], err = Canonical(it.Value().Interface()); err != nil {
			return nil, err
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

func notJSON(err error) error {
	if err == io.EOF {
		return fmt.Errorf("it is empty, not JSON")
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// AsJSON is a canonical value as compact JSON with sorted keys.
func AsJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("a value that is not canonical: %v", err))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// AsText is a canonical value as it is put into a text: a string as it is, anything else as JSON.
func AsText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return AsJSON(v)
}
