package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// tree is a YAML value with its place: aliases and merge keys resolved, tags refused.
type tree struct {
	Pos
	form    treeForm
	text    string // of a scalar
	tag     string // of a scalar: !!str, !!int, !!float, !!bool, !!null
	plain   bool   // a scalar without quotes
	block   bool   // a scalar after | or >
	comment string // behind a scalar on its line
	items   []*tree
	pairs   []pair
	braces  bool // {{ }} was written, which YAML reads as a mapping within a mapping
	refused bool // a problem was reported in place of the value
}

type pair struct{ key, value *tree }

type treeForm uint8

const (
	scalarForm treeForm = iota
	listForm
	mappingForm
)

const (
	maxDepth    = 100       // levels of one file, aliases expanded
	maxExpanded = 100_000   // values that aliases and merge keys may add
	maxValues   = 2_000_000 // of all files of a pipeline
)

// isNull tells whether nothing was written.
func (t *tree) isNull() bool { return t.form == scalarForm && t.tag == "!!null" }

// isText tells whether a scalar is text to YAML, not a number, boolean or nothing.
func (t *tree) isText() bool { return t.form == scalarForm && t.tag == "!!str" }

// get is the value of a key, nil where it is not there.
func (t *tree) get(key string) *tree {
	for _, p := range t.pairs {
		if p.key.text == key {
			return p.value
		}
	}
	return nil
}

// what says in a message what was found.
func (t *tree) what() string {
	switch {
	case t.braces:
		return "a mapping of a mapping"
	case t.form == listForm:
		return "a list"
	case t.form == mappingForm:
		return "a mapping"
	case t.isNull():
		return "nothing"
	case t.isText():
		return "the text " + quote(t.text)
	}
	return t.text
}

// empty is the problem of a file without a document.
const empty = "the file is empty"

// treeOf reads the one YAML document of a file. A problem is reported and the value left out.
func treeOf(file string, src []byte, report func(Diagnostic)) *tree {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(src))
	err := d.Decode(&doc)
	if err == io.EOF {
		report(Diagnostic{Pos: Pos{file, 1, 1}, Message: empty})
		return nil
	}
	if err != nil {
		report(syntaxError(file, src, err))
		return nil
	}
	b := &treeBuilder{file: file, report: report, open: map[*yaml.Node]bool{}}
	root := b.build(doc.Content[0], 0)
	var second yaml.Node
	if err := d.Decode(&second); err == nil {
		b.problem(&second, "", "a file holds one YAML document; a second one begins here")
	} else if err != io.EOF {
		report(syntaxError(file, src, err))
	}
	return root
}

// roughly tells how many values there are: a bound of what YAML's parser makes, which is 200 bytes for each, before it
// does. What looks like a value within a text counts.
func roughly(src []byte) int {
	n := 0
	for i, c := range src {
		switch c {
		case ',', '[', '{':
			n++
		case ':', '-', '?':
			if next := i + 1; next == len(src) || src[next] == ' ' || src[next] == '\n' || src[next] == '\r' || src[next] == '\t' {
				n++
				if c == ':' {
					n++ // for the key
				}
			}
		}
	}
	return n
}

type treeBuilder struct {
	file     string
	report   func(Diagnostic)
	open     map[*yaml.Node]bool // anchors that are being expanded
	expanded int
	aliases  int // how many aliases enclose this value
	anchors  int // how many values with an anchor, so that they may be read again
}

func (b *treeBuilder) pos(n *yaml.Node) Pos { return Pos{b.file, n.Line, n.Column} }

func (b *treeBuilder) problem(n *yaml.Node, hint, format string, args ...any) {
	b.report(Diagnostic{Pos: b.pos(n), Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (b *treeBuilder) build(n *yaml.Node, depth int) *tree {
	if depth > maxDepth {
		b.problem(n, "", "the file nests deeper than %d levels", maxDepth)
		return nil
	}
	if b.aliases > 0 {
		if b.expanded++; b.expanded == maxExpanded {
			b.problem(n, "", "aliases add more than %d values to the file", maxExpanded)
		}
		if b.expanded >= maxExpanded {
			return nil
		}
	}
	if n.Kind == yaml.AliasNode {
		return b.alias(n, depth)
	}
	if !b.tagFits(n) {
		return nil
	}
	t := &tree{Pos: b.pos(n), comment: n.LineComment}
	if n.Anchor != "" {
		b.open[n] = true
		b.anchors++
		defer func() { delete(b.open, n); b.anchors-- }()
	}
	switch n.Kind {
	case yaml.ScalarNode:
		b.scalar(t, n)
	case yaml.SequenceNode:
		t.form = listForm
		t.items = make([]*tree, 0, len(n.Content))
		for i, c := range n.Content {
			if item := b.build(c, depth+1); item != nil {
				t.items = append(t.items, item)
			}
			b.done(&n.Content[i])
		}
	case yaml.MappingNode:
		t.form = mappingForm
		b.mapping(t, n, depth)
	}
	return t
}

// done lets go of a node of yaml.v3 that nothing will read again, so that a large file is not held twice.
func (b *treeBuilder) done(n **yaml.Node) {
	if b.anchors == 0 && (*n).Anchor == "" {
		*n = nil
	}
}

func (b *treeBuilder) alias(n *yaml.Node, depth int) *tree {
	if b.open[n.Alias] {
		b.problem(n, "", "the anchor %q holds itself", n.Value)
		return nil
	}
	b.aliases++
	defer func() { b.aliases-- }()
	return b.build(n.Alias, depth+1)
}

// tagFits refuses explicit tags: YAML takes the ! of an expression for one.
func (b *treeBuilder) tagFits(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return true
	}
	hint := ""
	if n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		hint = fmt.Sprintf("YAML takes ! for a tag; write: not %s", shorten(strings.TrimSpace(n.Tag[1:]+" "+n.Value)))
	}
	b.problem(n, hint, "explicit YAML tags such as %s are not allowed", quote(n.Tag))
	return false
}

var (
	decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)
	real    = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?$`)
)

func (b *treeBuilder) scalar(t *tree, n *yaml.Node) {
	t.text, t.tag = n.Value, n.ShortTag()
	t.block = n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	t.plain = n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 && !t.block
	switch t.tag {
	case "!!str":
		if t.plain && tooLarge(t.text) {
			b.problem(n, "quote it if it is text", "the number %s is too large", quote(t.text))
		}
	case "!!bool", "!!null":
	case "!!int":
		if !decimal.MatchString(t.text) {
			b.problem(n, "write it in decimal, or quote it if it is text", "the number %s is not plain decimal", quote(t.text))
		}
	case "!!float":
		if _, err := strconv.ParseFloat(t.text, 64); err != nil || !real.MatchString(t.text) {
			b.problem(n, "quote it if it is text", "%s is not a number that JSON has", quote(t.text))
			t.text = "0"
		}
	default: // dates, which JSON does not have
		t.tag = "!!str"
	}
}

// tooLarge tells whether a text is a number that no float can be, which YAML takes for text.
func tooLarge(text string) bool {
	if text == "" || !strings.ContainsRune("+-.0123456789", rune(text[0])) {
		return false
	}
	_, err := strconv.ParseFloat(text, 64)
	return errors.Is(err, strconv.ErrRange)
}

func (b *treeBuilder) mapping(t *tree, n *yaml.Node, depth int) {
	seen := make(map[string]*tree, len(n.Content)/2)
	t.pairs = make([]pair, 0, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.ShortTag() == "!!merge" {
			if len(merges) > 0 {
				b.problem(k, "list the anchors: <<: [*a, *b]", "duplicate key \"<<\"")
			}
			merges = append(merges, v)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			if t.braces = k.Kind == yaml.MappingNode && k.Style&yaml.FlowStyle != 0; !t.braces {
				b.problem(k, "", "a key must be text")
			}
			continue
		}
		if !b.tagFits(k) {
			continue
		}
		key := &tree{Pos: b.pos(k), text: k.Value, tag: "!!str"}
		if first := seen[k.Value]; first != nil {
			b.problem(k, "", "duplicate key %s, first on line %d", quote(k.Value), first.Line)
			continue
		}
		seen[k.Value] = key
		value := b.build(v, depth+1)
		if value == nil {
			value = &tree{Pos: b.pos(v), refused: true}
		}
		t.pairs = append(t.pairs, pair{key, value})
		b.done(&n.Content[i])
		b.done(&n.Content[i+1])
	}
	for _, m := range merges {
		b.merge(t, m, seen, depth)
	}
}

// merge adds what a merge key (<<) names and t does not say itself.
func (b *treeBuilder) merge(t *tree, n *yaml.Node, seen map[string]*tree, depth int) {
	from := b.build(n, depth+1)
	if from == nil {
		return
	}
	sources := []*tree{from}
	if from.form == listForm {
		sources = from.items
	}
	for _, s := range sources {
		if s.form != mappingForm {
			b.problem(n, "", "<< must name a mapping, not %s", s.what())
			continue
		}
		for _, p := range s.pairs {
			if seen[p.key.text] == nil {
				seen[p.key.text] = p.key
				t.pairs = append(t.pairs, p)
			}
		}
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxError gives the parser's complaint a place and, for the traps of expressions in YAML, a hint.
func syntaxError(file string, src []byte, err error) Diagnostic {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		m = []string{"", "", err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	if line > 0 && ofParser.MatchString(m[2]) {
		line++ // the parser, unlike the scanner, counts from 0
	}
	lines := strings.Split(string(src), "\n")
	line = min(max(line, 1), len(lines))
	for line > 1 && strings.TrimSpace(lines[line-1]) == "" {
		line-- // what is missing is missing behind this
	}
	text := strings.TrimRight(lines[line-1], "\r")
	d := Diagnostic{
		Pos:     Pos{file, line, 1 + len(text) - len(strings.TrimLeft(text, " \t"))},
		Message: "this is not YAML: " + m[2],
	}
	if alias := unknownAnchor.FindStringSubmatch(m[2]); alias != nil {
		d.Line, d.Column = aliasPlace(lines, alias[1])
		d.Message = fmt.Sprintf("no anchor &%s stands before *%s", shorten(alias[1]), shorten(alias[1]))
		return d
	}
	switch {
	case strings.Contains(m[2], "incompatible YAML document"):
		d.Message, d.Hint = "a %YAML directive can ask for version 1.1 only", "leave the line out"
	case strings.HasPrefix(strings.TrimLeft(text, " "), "\t"):
		d.Hint = "YAML wants spaces, not tabs"
	case leadingTag.MatchString(text) && !strings.Contains(m[2], "mapping values"):
		d.Hint = "YAML takes ! for a tag; quote the expression, or write not in its place"
	case strings.Contains(text, "${{") && strings.Contains(text, "{ ") || flowTemplate.MatchString(text):
		d.Hint = "inside { } and [ ] quote a text that holds ${{ }}"
	case strings.Contains(text, "?") && flowValue.MatchString(text):
		d.Hint = "inside { } and [ ] quote an expression that holds ?"
	case quotedPart.MatchString(text):
		d.Hint = "an expression that begins with a quote or a bracket needs quotes around all of it"
	case strings.Contains(text, " ? ") && strings.Contains(text, " : "):
		d.Hint = "quote an expression that holds \": \""
	case strings.Contains(m[2], "mapping values"):
		d.Hint = "quote a text that holds \": \", or write it below |"
	}
	return d
}

var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)

// aliasPlace finds where an alias stands, comments left aside.
func aliasPlace(lines []string, name string) (line, column int) {
	alias := regexp.MustCompile(`(?:^|[\s,\[{:])(\*` + regexp.QuoteMeta(name) + `)(?:$|[\s,\]}:])`)
	for i, text := range lines {
		code, _, _ := strings.Cut(" "+text, " #")
		if m := alias.FindStringSubmatchIndex(code); m != nil {
			return i + 1, utf8.RuneCountInString(code[:m[2]])
		}
	}
	return 1, 1
}

// ofParser matches what yaml.v3 says in its parserc.go of tokens that do not fit each other.
var ofParser = regexp.MustCompile(`^did not find expected (<|node content|'-'|key|',')`)

// leadingTag is a value that begins with the ! of an expression.
var leadingTag = regexp.MustCompile(`:\s+![^!\s]`)

// flowValue is a line whose value begins with a brace or a bracket.
var flowValue = regexp.MustCompile(`^\s*(?:- +)*(?:[^\s:{\[]+: +)?[{\[]`)

// quotedPart is a value that goes on behind its closing quote or bracket.
var quotedPart = regexp.MustCompile(`:\s+("[^"]*"|'[^']*'|\[[^\]]*\]|\{[^}]*\})\s*[^\s,\]}#]`)

var flowTemplate = regexp.MustCompile(`[{\[,].*:?\s*\$\{\{`)
