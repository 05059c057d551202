package spec

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/types"
)

// Type is what is known of a value before anything runs. The zero Type is any.
type Type struct {
	base   base
	elem   *Type           // of a list
	fields map[string]Type // of an object
	open   bool            // the object may have other fields
}

type base uint8

const (
	anyBase base = iota
	boolBase
	integerBase
	numberBase
	stringBase
	listBase
	objectBase
)

// The types that are not made of others. A value that may be nil is Any.
var (
	Any     = Type{}
	Bool    = Type{base: boolBase}
	Integer = Type{base: integerBase}
	Number  = Type{base: numberBase}
	String  = Type{base: stringBase}
)

// ListOf is a list of elements of one type.
func ListOf(elem Type) Type { return Type{base: listBase, elem: &elem} }

// ObjectOf is an object with these fields and no others.
func ObjectOf(fields map[string]Type) Type { return Type{base: objectBase, fields: fields} }

// Elem is the type of a list's elements, any for what is no list.
func (t Type) Elem() Type {
	if t.base == listBase {
		return *t.elem
	}
	return Any
}

// IsList tells whether it is certain that a value is, or is not, a list.
func (t Type) IsList() (list, certain bool) { return t.base == listBase, t.base != anyBase }

// admits tells whether a value may be of the type, its parts left aside.
func (t Type) admits(v any) bool {
	ok := true
	switch t.base {
	case boolBase:
		_, ok = v.(bool)
	case integerBase:
		_, ok = v.(int64)
	case stringBase:
		_, ok = v.(string)
	case listBase:
		_, ok = v.([]any)
	case objectBase:
		_, ok = v.(map[string]any)
	}
	return ok
}

// Equal tells whether two types say the same.
func (t Type) Equal(u Type) bool {
	if t.base != u.base || t.open != u.open {
		return false
	}
	if t.base == listBase {
		return t.elem.Equal(*u.elem)
	}
	if identity(t.fields) == identity(u.fields) {
		return true
	}
	return maps.EqualFunc(t.fields, u.fields, Type.Equal)
}

// Either is what is known of a value that has one of the types.
func Either(ts ...Type) Type {
	if len(ts) == 0 {
		return Any
	}
	for _, t := range ts[1:] {
		if !t.Equal(ts[0]) {
			return Any
		}
	}
	return ts[0]
}

// String is the type in the words of JSON Schema.
func (t Type) String() string {
	switch t.base {
	case listBase:
		if t.elem.base == anyBase {
			return "list"
		}
		return "list of " + t.elem.String()
	case objectBase:
		if len(t.fields) == 0 {
			return "object"
		}
		return "object with " + strings.Join(slices.Sorted(maps.Keys(t.fields)), ", ")
	}
	return [...]string{"any", "boolean", "integer", "number", "string", "", ""}[t.base]
}

// natures are types as the expression checker knows them. Those of objects are kept, so that many expressions may read
// a large one, and pass it on, at little cost.
type natures struct {
	byFields map[uintptr]object
	byData   map[*nature.TypeData]Type
}

// object is the type of objects with its nature.
type object struct {
	types.Map
	typ    Type // which keeps its fields where they are
	nature nature.Nature
}

// Nature is asked for by each expression that reads such an object.
func (o object) Nature() nature.Nature { return o.nature }

func newNatures() natures {
	return natures{map[uintptr]object{}, map[*nature.TypeData]Type{}}
}

// identity is where the fields of a type are.
func identity(fields map[string]Type) uintptr { return reflect.ValueOf(fields).Pointer() }

func (ns natures) of(t Type) types.Type {
	switch t.base {
	case boolBase:
		return types.Bool
	case integerBase:
		return types.Int64
	case numberBase:
		return types.Float64
	case stringBase:
		return types.String
	case listBase:
		return types.Array(ns.of(*t.elem))
	case objectBase:
		return ns.object(t)
	}
	return types.Any
}

func (ns natures) object(t Type) types.Type {
	at := identity(t.fields)
	if o, ok := ns.byFields[at]; ok && o.typ.open == t.open {
		return o
	}
	m := ns.fields(t)
	o := object{m, t, m.Nature()}
	if at != 0 {
		ns.byFields[at] = o
	}
	if !t.open {
		ns.byData[o.nature.TypeData] = t
	}
	return o
}

// fields is an object's type that is not kept.
func (ns natures) fields(t Type) types.Map {
	m := make(types.Map, len(t.fields)+1)
	for name, f := range t.fields {
		m[name] = ns.of(f)
	}
	if t.open {
		m[types.Extra] = types.Any
	}
	return m
}

// typeOf is what the expression checker found out about a result. A float is any: with an integral value it is an
// integer when it runs.
func (ns natures) typeOf(n *nature.Nature) Type {
	if n != nil && n.TypeData != nil {
		if t, known := ns.byData[n.TypeData]; known {
			return t
		}
	}
	switch {
	case n == nil || n.Nil || n.Type == nil:
		return Any
	case n.Kind == reflect.Bool:
		return Bool
	case n.IsInteger:
		return Integer
	case n.Kind == reflect.String:
		return String
	case n.Kind == reflect.Slice && n.Ref != nil:
		return ListOf(ns.typeOf(n.Ref))
	case n.Kind == reflect.Slice && n.Type.Elem().Kind() != reflect.Uint8:
		return ListOf(Any)
	case n.Kind == reflect.Map && n.Strict && n.TypeData != nil:
		fields := make(map[string]Type, len(n.Fields))
		for name, f := range n.Fields {
			fields[name] = ns.typeOf(&f)
		}
		return ObjectOf(fields)
	case n.Kind == reflect.Map:
		return Type{base: objectBase, open: true}
	}
	return Any
}

// fieldNames lists the fields of a type and of what it is made of, for a suggestion.
func (t Type) fieldNames() []string {
	if t.base == listBase {
		return t.elem.fieldNames()
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.fields)) {
		names = append(append(names, name), t.fields[name].fieldNames()...)
	}
	return names
}
