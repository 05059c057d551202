package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// defaultText is a field's default as a file would say it.
func defaultText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Duration:
		return shortDuration(v)
	case []string:
		return strings.Join(v, ", ")
	}
	return fmt.Sprint(v)
}

// shortDuration is a duration without its zero parts: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Topics are what [Language.Explain] knows: the kinds, then the fields of the header and those of every node.
func (l *Language) Topics() []string {
	names := l.kindNames()
	for _, f := range slices.Concat(l.Header, l.Common) {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

// Explain describes a kind or a field in plain text; false where there is none of that name. Without a name it lists
// all there are.
func (l *Language) Explain(name string) (string, bool) {
	var b strings.Builder
	if name == "" {
		fmt.Fprintf(&b, "A pipeline is one node with a header. A node has exactly one of these keys:\n\n")
		for _, k := range l.Kinds {
			wrap(&b, fmt.Sprintf("  %-15s", k.Name), k.Summary)
		}
		fmt.Fprintf(&b, "\nEvery node takes:\n\n")
		writeFields(&b, l.Common, "  ")
		fmt.Fprintf(&b, "\nThe top of a file takes:\n\n")
		writeFields(&b, l.Header, "  ")
		fmt.Fprintf(&b, "\nflowrun explain NAME tells more about each.\n")
		return b.String(), true
	}
	if k := l.Kind(name); k != nil {
		wrap(&b, k.Name+":", sentence(k.Summary))
		b.WriteByte('\n')
		writeFields(&b, flat("", k.Fields), "  ")
		var names []string
		for _, f := range k.all[len(k.Fields):] {
			names = append(names, f.Name)
		}
		b.WriteByte('\n')
		wrap(&b, "and what every", leafOrNode(k)+" takes: "+strings.Join(names, ", "))
		if k.Example != "" {
			fmt.Fprintf(&b, "\nExample:\n\n%s", indent(k.Example, "  "))
		}
		return b.String(), true
	}
	top, common := field(l.Header, name), field(l.Common, name)
	if top != nil && common != nil {
		writeTopic(&b, "at the top of a file", top)
		b.WriteByte('\n')
		writeTopic(&b, "on any other node", common)
	} else if f := cmp.Or(top, common); f != nil {
		writeTopic(&b, "", f)
	}
	return b.String(), b.Len() > 0
}

// ExplainSheet describes the files of a sheet in plain text, as [Language.Explain] does a kind. What a field within
// another takes is left out where one at the top has its name, and so was told.
func ExplainSheet(name string, s Sheet) string {
	var b strings.Builder
	wrap(&b, name+":", sentence(s.Title+", in NAME"+s.Ending))
	b.WriteByte('\n')
	var told []Field
	for _, f := range flat("", s.Fields) {
		within := func(top Field) bool { return strings.Contains(f.Name, "."+top.Name+".") }
		same := func(top Field) bool { return strings.HasSuffix(f.Name, "."+top.Name) }
		if slices.ContainsFunc(s.Fields, within) {
			continue
		}
		if slices.ContainsFunc(s.Fields, same) {
			f.Locals = nil
		}
		told = append(told, f)
	}
	writeFields(&b, told, "  ")
	return b.String()
}

// writeTopic describes a field; where says which, where two have the name.
func writeTopic(b *strings.Builder, where string, f *Field) {
	head := f.Name
	if where != "" {
		head += ", " + where
	}
	wrap(b, head+":", sentence(f.Summary))
	b.WriteByte('\n')
	wrap(b, " ", f.Form.String())
	if fields := flat("", Nested(f.Form)); len(fields) > 0 {
		b.WriteByte('\n')
		writeFields(b, fields, "  ")
	}
	if len(f.Locals) > 0 {
		b.WriteByte('\n')
		writeLocals(b, *f, "  ", 15)
	}
}

// flat lists fields with those within them, each by the way that leads to it: mock, mock.reply.
func flat(way string, fields []Field) []Field {
	var all []Field
	for _, f := range fields {
		f.Name = way + f.Name
		all = append(append(all, f), flat(f.Name+".", Nested(f.Form))...)
	}
	return all
}

func leafOrNode(k *Shape) string {
	if k.Leaf {
		return "leaf"
	}
	return "node"
}

func writeFields(b *strings.Builder, fields []Field, indent string) {
	longest := 15
	for _, f := range fields {
		longest = max(longest, len(f.Name))
	}
	for _, f := range fields {
		note := ""
		if f.Required {
			note = " (required)"
		} else if d := defaultText(f.Default); d != "" {
			note = fmt.Sprintf(" (default %s)", d)
		}
		wrap(b, fmt.Sprintf("%s%-*s", indent, longest, f.Name), f.Summary+note)
		writeLocals(b, f, indent+"  ", longest-2)
	}
}

// writeLocals lists the names that only one field may read.
func writeLocals(b *strings.Builder, f Field, indent string, width int) {
	for _, l := range f.Locals {
		wrap(b, fmt.Sprintf("%s%-*s", indent, width, l.Name), "in "+f.Name+": "+l.Summary)
	}
}

// wrap writes words behind a head, over as many lines of 80 columns as they take, below each other.
func wrap(b *strings.Builder, head, words string) {
	const width = 80
	line := head
	for _, word := range strings.Fields(words) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", utf8.RuneCountInString(head))
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// Nested are the fields of a mapping within a form, those that its nodes take beside their own among them; nil where it
// has none.
func Nested(f Form) []Field {
	switch f := f.(type) {
	case Record:
		return f.Fields
	case Map:
		return Nested(f.Of)
	case List:
		return Nested(f.Of)
	case NodeMap:
		return f.Extra
	case OneOf:
		for _, alternative := range f {
			if fields := Nested(alternative); fields != nil {
				return fields
			}
		}
	}
	return nil
}

func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n"+by) + "\n"
}

// Reference is the language as a page of Markdown.
func (l *Language) Reference() string {
	var b strings.Builder
	b.WriteString("# Language reference\n\nGenerated from the shapes of the kinds; `flowrun explain` prints the same. ")
	b.WriteString("A pipeline file is one node with a header.\n\n## The header\n\n")
	table(&b, l.Header)
	sections(&b, l.Header)
	b.WriteString("## What every node takes\n\n")
	table(&b, l.Common)
	sections(&b, l.Common)
	b.WriteString("## Kinds of nodes\n\nA node is a mapping with exactly one of these keys.\n\n")
	for _, k := range l.Kinds {
		fmt.Fprintf(&b, "- [`%s`](#%s) %s\n", k.Name, k.Name, k.Summary)
	}
	b.WriteByte('\n')
	for i := range l.Kinds {
		k := &l.Kinds[i]
		fmt.Fprintf(&b, "### %s\n\n%s", k.Name, sentence(k.Summary))
		if k.Leaf {
			b.WriteString(" It is a leaf: each time it runs is a step.")
		}
		b.WriteString("\n\n")
		table(&b, k.Fields)
		sections(&b, k.Fields)
		locals(&b, k.Fields)
		if k.Example != "" {
			fmt.Fprintf(&b, "```yaml\n%s```\n\n", k.Example)
		}
	}
	b.WriteString("## Functions\n\nBeside those of expr-lang:\n\n| function | gives |\n|---|---|\n")
	for _, f := range Functions() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Usage, cell(f.Summary))
	}
	return b.String()
}

func table(b *strings.Builder, fields []Field) {
	b.WriteString("| key | value | meaning |\n|---|---|---|\n")
	for _, f := range fields {
		note := ""
		if f.Required {
			note = "; required"
		} else if d := defaultText(f.Default); d != "" {
			note = fmt.Sprintf("; default `%s`", d)
		}
		if f.Leaves {
			note += "; leaves only"
		}
		fmt.Fprintf(b, "| `%s` | %s%s | %s |\n", f.Name, cell(f.Form.String()), note, cell(f.Summary))
	}
	b.WriteByte('\n')
}

// sections lists the fields of the mappings among some fields.
func sections(b *strings.Builder, fields []Field) {
	for _, f := range fields {
		if inner := Nested(f.Form); len(inner) > 0 {
			fmt.Fprintf(b, "In `%s`:\n\n", f.Name)
			table(b, inner)
			sections(b, inner)
		}
	}
}

// locals lists the names that only some fields may read.
func locals(b *strings.Builder, fields []Field) {
	seen := map[string]bool{}
	for _, f := range fields {
		for _, l := range f.Locals {
			line := fmt.Sprintf("- `%s` in `%s`: %s\n", l.Name, f.Name, l.Summary)
			if !seen[line] {
				seen[line] = true
				b.WriteString(line)
			}
		}
	}
	if len(seen) > 0 {
		b.WriteByte('\n')
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
