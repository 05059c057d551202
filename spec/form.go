package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Form is how the value of a field is written. The forms are those of this package.
type Form interface {
	// takes tells whether a value is of this form at all, so that OneOf can choose.
	takes(t *tree) bool
	// read checks a value that it takes and gives what the accessors of [Object] find; nil where it was refused.
	read(r *reader, t *tree, f *Field) any
	// schema is the form as JSON Schema.
	schema(g *generator) ordered
	// String says in the docs what is written here.
	String() string
}

// Text is text without expressions.
type Text struct {
	Pattern *regexp.Regexp
	Is      string                                // what it is, for the docs; "text" where empty
	Check   func(s string) (problem, hint string) // says what is wrong with a text, if anything
}

func (Text) takes(t *tree) bool { return t.isText() }

func (x Text) read(r *reader, t *tree, f *Field) any {
	if x.Pattern != nil && !x.Pattern.MatchString(t.text) {
		return r.refuse(t, "", "%s must be %s, not %s", f.Name, x, quote(t.text))
	}
	if strings.Contains(t.text, "${{") {
		return r.refuse(t, "", "%s takes no ${{ }}: it is read before anything runs", f.Name)
	}
	if x.Check != nil {
		if problem, hint := x.Check(t.text); problem != "" {
			return r.refuse(t, hint, "%s", problem)
		}
	}
	return t.text
}

func (x Text) String() string {
	if x.Is != "" {
		return x.Is
	}
	return "text"
}

// NameForm is a name that the file gives to something.
type NameForm struct{}

var (
	namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// The first are words of the expression language, the others segments of paths.
	reserved = map[string]bool{
		"nil": true, "true": true, "false": true, "in": true, "not": true, "and": true, "or": true, "let": true, "if": true, "else": true,
		"matches": true, "contains": true, "startsWith": true, "endsWith": true,
		"do": true, "default": true, "catch": true, "finally": true,
	}
)

func (NameForm) takes(t *tree) bool { return t.isText() }

func (x NameForm) read(r *reader, t *tree, f *Field) any {
	if !r.isName(t, f.Name) {
		return nil
	}
	if f.Renames != "" && t.text != f.Renames && (slices.Contains(everywhere, t.text) || len(r.load.lang.localsOf(t.text)) > 0) {
		return r.refuse(t, "", "%s cannot be %s, a name that expressions know already", f.Name, quote(t.text))
	}
	return t.text
}

func (NameForm) String() string { return "a name of letters, digits and _" }

// maxName is how many characters a name may have: it stands in messages and in every event.
const maxName = 200

// isName reports what keeps a text from being a name.
func (r *reader) isName(t *tree, what string) bool {
	switch {
	case reserved[t.text]:
		r.problem(t, "", "%s cannot be %s, a word of the language", what, quote(t.text))
	case len(t.text) > maxName:
		r.problem(t, "", "%s must have at most %d characters, not %d", what, maxName, utf8.RuneCountInString(t.text))
	case !namePattern.MatchString(t.text):
		hint := ""
		if fixed := nameFrom(t.text); strings.Trim(fixed, "_") != "" && len(fixed) <= 64 {
			hint = "write " + fixed
			if strings.Contains(t.text, "-") {
				hint += ": an expression takes - for a minus"
			}
		}
		r.problem(t, hint, "%s must have letters, digits and _ only, and begin with a letter or _, not %s", what, quote(t.text))
	default:
		return true
	}
	return false
}

// nameFrom makes a name out of any text.
func nameFrom(s string) string {
	s = regexp.MustCompile(`[^A-Za-z0-9_]+`).ReplaceAllString(s, "_")
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "_" + s
	}
	if reserved[s] {
		s += "_"
	}
	return s
}

// Flag is true or false.
type Flag struct{}

func (Flag) takes(t *tree) bool { return t.form == scalarForm && t.tag == "!!bool" }

func (Flag) read(_ *reader, t *tree, _ *Field) any { return strings.EqualFold(t.text, "true") }

func (Flag) String() string { return "true or false" }

// Only is the one word that stands for leaving something out or taking it as it is, such as false.
type Only struct{ Value bool }

func (x Only) takes(t *tree) bool {
	return t.form == scalarForm && t.tag == "!!bool" && strings.EqualFold(t.text, x.String())
}

func (x Only) read(*reader, *tree, *Field) any { return x.Value }

func (x Only) String() string { return strconv.FormatBool(x.Value) }

// Whole is a whole number.
type Whole struct {
	Min int
	Max int    // 0: none
	Is  string // what it is, for the docs; the bounds where empty
}

func (Whole) takes(t *tree) bool { return t.form == scalarForm && t.tag == "!!int" }

func (x Whole) read(r *reader, t *tree, f *Field) any {
	n, err := strconv.Atoi(t.text)
	if err != nil || n < x.Min || x.Max > 0 && n > x.Max {
		return r.refuse(t, "", "%s must be %s, not %s", f.Name, x, quote(t.text))
	}
	return n
}

func (x Whole) String() string {
	if x.Is != "" {
		return x.Is
	}
	if x.Max > 0 {
		return fmt.Sprintf("a whole number from %d to %d", x.Min, x.Max)
	}
	return fmt.Sprintf("a whole number of at least %d", x.Min)
}

// Real is a number with or without a fraction.
type Real struct{ Min, Max float64 }

func (Real) takes(t *tree) bool {
	return t.form == scalarForm && (t.tag == "!!int" || t.tag == "!!float")
}

func (x Real) read(r *reader, t *tree, f *Field) any {
	n, err := strconv.ParseFloat(t.text, 64)
	if err != nil || n < x.Min || n > x.Max {
		return r.refuse(t, "", "%s must be %s, not %s", f.Name, x, quote(t.text))
	}
	return n
}

func (x Real) String() string { return fmt.Sprintf("a number from %v to %v", x.Min, x.Max) }

// Duration is a time span with its unit: 500ms, 1h30m.
type Duration struct{ Positive bool }

// A takes any scalar, so that a number without a unit gets its own message.
func (Duration) takes(t *tree) bool { return t.form == scalarForm && t.tag != "!!bool" && !t.isNull() }

func (x Duration) read(r *reader, t *tree, f *Field) any {
	d, err := ParseDuration(t.text)
	if err == nil && (d > 0 || d == 0 && !x.Positive) {
		return d
	}
	hint := ""
	if t.tag == "!!int" && t.text != "0" {
		hint = fmt.Sprintf("add a unit: %ss", t.text)
	}
	return r.refuse(t, hint, "%s must be %s, not %s", f.Name, x, quote(t.text))
}

func (x Duration) String() string {
	if x.Positive {
		return "a duration such as 500ms, 30s or 1h30m"
	}
	return "a duration such as 0s, 500ms or 1h30m"
}

// ParseDuration reads a duration as pipelines and the command line write it: with a unit and not below zero.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || s == "0" || strings.HasPrefix(s, "+") {
		return 0, fmt.Errorf("%s is not a duration such as 500ms, 30s or 1h30m", quote(s))
	}
	return d, nil
}

// Word is one of a few words.
type Word struct{ Of []string }

func (Word) takes(t *tree) bool { return t.isText() }

func (x Word) read(r *reader, t *tree, f *Field) any {
	for _, w := range x.Of {
		if w == t.text {
			return w
		}
	}
	return r.refuse(t, "", "%s must be %s, not %s%s", f.Name, oneOf(x.Of), quote(t.text), DidYouMean(t.text, x.Of))
}

func (x Word) String() string { return oneOf(x.Of) }

// List is a list of values of one form.
type List struct {
	Of  Form
	Min int
}

func (List) takes(t *tree) bool { return t.form == listForm }

func (x List) read(r *reader, t *tree, f *Field) any {
	if len(t.items) < x.Min {
		return r.refuse(t, "", "%s must have at least %d entries", f.Name, x.Min)
	}
	out := make([]any, 0, len(t.items))
	for _, item := range t.items {
		if v := r.value(x.Of, item, f); v != nil {
			out = append(out, v)
		}
	}
	return out
}

func (x List) String() string { return "a list: " + x.Of.String() }

// Map is a mapping of names that the file gives to values of one form.
type Map struct {
	Of    Form
	Names bool  // the keys are names that expressions use
	Keys  *Text // what other keys must be; nil where any will do
}

func (Map) takes(t *tree) bool { return t.form == mappingForm && !t.braces }

func (x Map) read(r *reader, t *tree, f *Field) any {
	var out []Entry
	for _, p := range t.pairs {
		if x.Names && !r.isName(p.key, "a name in "+f.Name) {
			continue
		}
		if x.Keys != nil && r.value(*x.Keys, p.key, &Field{Name: "a name in " + f.Name}) == nil {
			continue
		}
		if v := r.value(x.Of, p.value, f); v != nil {
			out = append(out, Entry{p.key.text, p.key.Pos, v})
		}
	}
	return out
}

func (x Map) String() string { return "a mapping by name: " + x.Of.String() }

// Record is a mapping with known fields.
type Record struct {
	Fields []Field
	Rules  []Rule
	Is     string // what it is, for messages; a mapping with its fields where empty
}

func (Record) takes(t *tree) bool { return t.form == mappingForm && !t.braces }

func (x Record) read(r *reader, t *tree, f *Field) any {
	o := r.object(t, x.Fields)
	before := r.load.count()
	var meant []string
	for _, p := range t.pairs {
		if r.load.full() {
			break
		}
		if field(x.Fields, p.key.text) == nil {
			hint := ""
			if strings.ContainsAny(p.key.text, `"'`) {
				hint = `YAML reads what stands before ": " as a key; quote the whole expression`
			}
			r.problem(p.key, hint, "unknown key %s in %s%s", quote(p.key.text), f.Name, DidYouMean(p.key.text, fieldNames(x.Fields)))
			meant = append(meant, nearest(p.key.text, fieldNames(x.Fields)))
			continue
		}
		r.field(o, field(x.Fields, p.key.text), p.value)
	}
	r.complete(o, f.Name, x.Fields, x.Rules, meant)
	o.flawed = r.load.count() > before
	return o
}

func (x Record) String() string {
	if x.Is != "" {
		return x.Is
	}
	return "a mapping with " + strings.Join(fieldNames(x.Fields), ", ")
}

// recordFields are the fields of a value that may be a mapping with known ones.
func recordFields(form Form) []Field {
	switch x := form.(type) {
	case Record:
		return x.Fields
	case AsWritten:
		return recordFields(x.Form)
	case OneOf:
		for _, alternative := range x {
			if fields := recordFields(alternative); fields != nil {
				return fields
			}
		}
	}
	return nil
}

// Raw is a mapping taken as it is.
type Raw struct{}

func (Raw) takes(t *tree) bool { return t.form == mappingForm && !t.braces }

func (Raw) read(_ *reader, t *tree, _ *Field) any { return t.data() }

func (Raw) String() string { return "a mapping, taken as it is" }

// Literal is any value, taken as it is.
type Literal struct{}

func (Literal) takes(t *tree) bool { return !t.braces }

func (Literal) read(_ *reader, t *tree, _ *Field) any { return t.data() }

func (Literal) String() string { return "any value, taken as it is" }

// AsWritten is a mapping of another form, which checks it, taken as it is.
type AsWritten struct{ Form Form }

func (x AsWritten) takes(t *tree) bool { return t.form == mappingForm && x.Form.takes(t) }

func (x AsWritten) read(r *reader, t *tree, f *Field) any {
	if x.Form.read(r, t, f) == nil {
		return nil
	}
	return t.data()
}

func (x AsWritten) String() string { return x.Form.String() }

// data is a tree as a canonical value.
func (t *tree) data() any {
	switch t.form {
	case listForm:
		out := make([]any, len(t.items))
		for i, item := range t.items {
			out[i] = item.data()
		}
		return out
	case mappingForm:
		out := make(map[string]any, len(t.pairs))
		for _, p := range t.pairs {
			out[p.key.text] = p.value.data()
		}
		return out
	}
	switch t.tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(t.text, "true")
	case "!!int":
		if i, err := strconv.ParseInt(t.text, 10, 64); err == nil {
			return i
		}
		fallthrough
	case "!!float":
		f, _ := strconv.ParseFloat(t.text, 64)
		v, _ := canonicalFloat(f)
		return v
	}
	return t.text
}

// OneOf is a value that may be written in several forms; the first that takes it reads it.
type OneOf []Form

func (x OneOf) takes(t *tree) bool {
	for _, f := range x {
		if f.takes(t) {
			return true
		}
	}
	return false
}

func (x OneOf) read(r *reader, t *tree, f *Field) any {
	for _, form := range x {
		if form.takes(t) {
			return form.read(r, t, f)
		}
	}
	return nil
}

func (x OneOf) String() string {
	words := make([]string, len(x))
	for i, f := range x {
		words[i] = f.String()
	}
	return strings.Join(words, ", or ")
}

// Ref names an entry of a section of the header.
type Ref struct {
	Section string
	Parts   bool // a dot and the name of something within the entry may follow
	// Also accepts what is no entry: it says what is wrong with such a name, nothing where it will do.
	Also func(s string) (problem, hint string)
}

type reference struct {
	name  string
	entry any // nil where Also accepted the name
}

func (Ref) takes(t *tree) bool { return t.isText() }

func (x Ref) read(r *reader, t *tree, f *Field) any {
	ref := &reference{name: t.text}
	r.later(func() { r.resolve(x, ref, t, f) })
	return ref
}

func (x Ref) String() string { return "a name in " + x.Section }

// entry finds an entry of a section of the header, once that is known.
func (r *reader) entry(section, name string) (Entry, bool) {
	if r.sections[section] == nil {
		entries := map[string]Entry{}
		for _, e := range r.p.Header.Entries(section) {
			entries[e.Name] = e
		}
		r.sections[section] = entries
	}
	e, ok := r.sections[section][name]
	return e, ok
}

// resolve finds what a reference names, once the header is known.
func (r *reader) resolve(x Ref, ref *reference, t *tree, f *Field) {
	name := ref.name
	if x.Parts {
		name, _, _ = strings.Cut(name, ".")
	}
	if e, ok := r.entry(x.Section, name); ok {
		ref.entry = e.Value
		r.p.used[e.Pos] = true
		return
	}
	var names []string
	for _, e := range r.p.Header.Entries(x.Section) {
		names = append(names, e.Name)
	}
	if x.Also == nil {
		hint := ""
		const few = 20
		if len(names) > 0 && len(names) <= few && nearest(name, names) == "" {
			hint = fmt.Sprintf("%s has %s", x.Section, oneOf(names))
		}
		r.problem(t, hint, "%s names %s, which is not in %s%s", f.Name, quote(ref.name), x.Section, DidYouMean(name, names))
		return
	}
	if problem, hint := x.Also(ref.name); problem != "" {
		r.problem(t, hint, "%s%s", problem, DidYouMean(ref.name, names))
	}
}
