package spec

import "fmt"

// What one expression may take. The numbers are in docs/expressions.md.
const (
	maxSource   = 8 << 10    // bytes of its text
	maxNesting  = 64         // brackets, predicates and unary operators within one another
	maxParts    = 10_000     // nodes of its syntax tree
	allParts    = 500_000    // nodes of the syntax trees of all that a pipeline's files hold, equal ones counted once
	maxSteps    = 10_000_000 // parts of predicates worked out, values compared and copied, 64 bytes of text read
	maxMemory   = 64 << 20   // bytes of all texts, lists and objects that it makes
	maxResult   = 16 << 20   // bytes of its value: its texts and keys, and valueSize for each value in it
	maxLevels   = 1000       // lists and objects within one another
	maxPatterns = 16         // regular expressions
	maxPattern  = 1000       // instructions of one regular expression
	allPatterns = 200_000    // instructions of all that a pipeline's files hold, schemas too
)

const (
	valueSize = 8   // bytes that a value takes at least
	slotSize  = 32  // bytes of an entry in a list, with the list's room to grow
	mapSize   = 384 // bytes of a small map
	readSize  = 64  // bytes of a text that are read in one step
	loopSteps = 32  // that it takes to begin a loop within another, whose list may be empty
)

// budget is what is left to one evaluation of an expression. Its methods panic with a [*limitError] when nothing is:
// the operators of expr-lang's virtual machine know no other way to fail, and it recovers.
type budget struct{ steps, bytes int64 }

func newBudget() *budget { return &budget{maxSteps, maxMemory} }

// limitError says which bound an expression reached.
type limitError struct{ message string }

func (e *limitError) Error() string { return e.message }

var (
	errSteps  = &limitError{fmt.Sprintf("it takes more than %d steps, which is the most that an expression may take", maxSteps)}
	errMemory = &limitError{fmt.Sprintf("it takes more than %d MiB of memory, which is the most that an expression may take", maxMemory>>20)}
	errResult = &limitError{fmt.Sprintf("its value is larger than %d MiB", maxResult>>20)}
	errDepth  = &limitError{fmt.Sprintf("it makes a value that nests deeper than %d levels", maxLevels)}
)

// step pays for work. n may be so large that it wrapped around.
func (b *budget) step(n int64) {
	if n < 0 || n > b.steps {
		panic(errSteps)
	}
	b.steps -= n
}

// take pays for memory.
func (b *budget) take(n int64) {
	if n < 0 || n > b.bytes {
		panic(errMemory)
	}
	b.bytes -= n
}

// read pays for going through a text.
func (b *budget) read(s string) { b.step(int64(len(s)) / readSize) }

// list pays for a new list.
func (b *budget) list(n int) {
	b.step(int64(n))
	b.take(int64(n) * slotSize)
}

// text is a value as text, at the budget's cost.
func (b *budget) text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return b.json(v)
}

// json is a value as JSON, at the budget's cost: for the text and as much again while it is written.
func (b *budget) json(v any) string {
	c := canon{left: b.bytes / 2, each: valueSize, depth: maxLevels, escape: true, full: errMemory}
	before := c.left
	v, err := c.value(v)
	if err != nil {
		panic(err)
	}
	b.take(2 * (before - c.left))
	b.step((before - c.left) / valueSize)
	return AsJSON(v)
}

// walk pays for going through a value and all that it holds.
func (b *budget) walk(v any, depth int) {
	if depth > maxLevels {
		panic(errDepth)
	}
	b.step(1)
	switch v := v.(type) {
	case string:
		b.read(v)
	case []any:
		for _, item := range v {
			b.walk(item, depth+1)
		}
	case map[string]any:
		for k, item := range v {
			b.read(k)
			b.walk(item, depth+1)
		}
	case map[any]any:
		for k, item := range v {
			b.walk(k, depth+1)
			b.walk(item, depth+1)
		}
	case map[any][]any:
		for k, item := range v {
			b.walk(k, depth+1)
			b.walk(item, depth+1)
		}
	case []int:
		b.step(int64(len(v)))
	case []string:
		for _, s := range v {
			b.read(s)
		}
		b.step(int64(len(v)))
	}
}
