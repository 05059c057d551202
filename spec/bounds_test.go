package spec

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// doubling is an expression whose value n lets of lists make grow exponentially.
func doubling(n int, tail string) string {
	var b strings.Builder
	b.WriteString(`let v0 = ["lol", "lol"]; `)
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "let v%d = [v%d, v%d]; ", i, i-1, i-1)
	}
	return b.String() + strings.ReplaceAll(tail, "V", fmt.Sprintf("v%d", n))
}

func nested(open, close string, n int) string {
	return strings.Repeat(open, n) + "1" + strings.Repeat(close, n)
}

// bombs are expressions that would take all time or all memory, with what is said of them. s is a text of 1 MiB, l a list
// of 3,000 numbers, deep a JSON text of 10,000 levels.
var bombs = map[string]struct{ src, want string }{
	"brackets":                 {nested("(", ")", 1_000_000), "at most 8192 are allowed"},
	"lists":                    {nested("[", "]", 1_000_000), "at most 8192 are allowed"},
	"brackets that fit":        {nested("(", ")", 3000), "deeper than 64 levels"},
	"brackets after a comment": {"1 // \"\n + " + nested("(", ")", 100), "deeper than 64 levels"},
	"not":                      {strings.Repeat("!", 1_000_000) + "true", "at most 8192 are allowed"},
	"not that fits":            {strings.Repeat("!", 3000) + "true", "deeper than 64 levels"},
	"not as a word":            {strings.Repeat("not ", 2000) + "true", "deeper than 64 levels"},
	"minus":                    {strings.Repeat("-", 1_000_000) + "1", "at most 8192 are allowed"},
	"comparisons of three":     {nested("1<(", ")<1", 60), "too large"},
	"elvis":                    {nested("(1 ?: ", ") ?: 1", 60), "too large"},
	"overloads":                {nested("sort(", ")", 60), "list"},
	"overloads of replace":     {strings.Repeat("replace(", 60) + "s" + strings.Repeat(`, "a", "b")`, 60), ""},

	"a range":                   {"1..1000000000", "64 MiB"},
	"a range that wraps around": {"-9223372036854775807..9223372036854775807", "64 MiB"},
	"a range that counts":       {"len(1..999999999)", "64 MiB"},
	"the sum of a range":        {"sum(1..9223372036854775807)", "64 MiB"},
	"in a range":                {"any(1..100000, # not in 1..100000)", "64 MiB"},
	"three loops":               {"sum(1..10000, sum(1..10000, sum(1..10000, #)))", "steps"},
	"four loops":                {"all(1..10000, all(1..10000, all(1..10000, all(1..10000, # > 0))))", "steps"},
	"three loops over values":   {"count(l, let a = #; count(l, let b = #; count(l, a + b == #) > 0) > 0)", "steps"},
	"loops of nothing":          {"all(1..10000, all(1..10000, all(1..0, # > 0)))", "steps"},
	"a loop of objects":         {"map(1..1000000, ({a: #}))", "more than"},
	"a loop of lists":           {"map(1..1000000, [#, #])", "64 MiB"},
	"a list of lists of lists":  {"reduce(1..1000000, [#acc], 1)", "64 MiB"},
	"a deep list":               {"reduce(1..10000, [#acc], 1)", "deeper than 1000"},

	"doubling texts by let":    {"let a = s + s; let b = a + a; let c = b + b; let d = c + c; let e = d + d; let f = e + e; len(f + f)", "64 MiB"},
	"doubling texts by reduce": {`len(reduce(1..60, #acc + #acc, "ab"))`, "64 MiB"},
	"a loop of texts":          {`map(1..90000, s + "y")`, "64 MiB"},
	"upper case":               {"map(1..90000, upper(s))", "64 MiB"},
	"repeat":                   {`repeat("a", 1000000000)`, "64 MiB"},
	"repeat that wraps around": {`repeat("ab", 9223372036854775807)`, "64 MiB"},
	"join":                     {`join(map(1..4000, s), "")`, "64 MiB"},
	"join by a separator":      {`join(map(1..4000, ""), s)`, "64 MiB"},
	"replace":                  {`replace(s, "", s)`, "64 MiB"},
	"split":                    {`map(1..600, split(s, ""))`, "64 MiB"},
	"splitAfter":               {`map(1..600, splitAfter(s, ""))`, "64 MiB"},
	"base64":                   {"map(1..600, toBase64(s))", "64 MiB"},
	"a template's worth":       {"s + s + s + s + s + s + s + s + s + s + s + s", "64 MiB"},
	"a large value":            {"[s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s]", "larger than 16 MiB"},

	"toJSON":                     {doubling(60, "toJSON(V)"), "64 MiB"},
	"json":                       {doubling(60, "json(V)"), "64 MiB"},
	"string":                     {doubling(60, "string(V)"), "64 MiB"},
	"votes":                      {doubling(60, "votes([V])"), "64 MiB"},
	"equal":                      {doubling(60, "V == [v59, v59]"), "steps"},
	"unequal":                    {doubling(60, "V != [v59, v59]"), "steps"},
	"objects that are equal":     {doubling(60, "{a: V} == {a: [v59, v59]}"), "steps"},
	"in":                         {doubling(60, "[v59, v59] in [V]"), "steps"},
	"uniq":                       {doubling(60, "uniq([V, [v59, v59]])"), "steps"},
	"uniq of many":               {"uniq(map(1..100000, [#]))", "steps"},
	"flatten":                    {doubling(60, "flatten(V)"), ""},
	"flatten of what is deep":    {"flatten(reduce(1..5000, [#acc], 1))", "deeper than 1000"},
	"equality of what is deep":   {"reduce(1..5000, [#acc], 1) == reduce(1..5000, [#acc], 1)", "deeper than 1000"},
	"JSON of what is deep":       {"json(reduce(1..5000, [#acc], 1))", "deeper than 1000"},
	"max":                        {doubling(60, "max(V)"), ""},
	"median":                     {doubling(60, "median(V)"), ""},
	"sort":                       {doubling(60, "sort([V, V])"), ""},
	"the value":                  {doubling(60, "V"), "larger than 16 MiB"},
	"an object":                  {doubling(60, "{a: {b: V}}"), "larger than 16 MiB"},
	"a message that shows it":    {doubling(60, "join([V])"), "entry 0 is a list"},
	"a message about a key":      {doubling(60, "s[V]"), "found a list where a key"},
	"a message about an index":   {doubling(60, "l[V:]"), "found a list where a key"},
	"a message about a slice":    {doubling(60, "(5)[V:]"), ""},
	"a message about a pair":     {doubling(60, "fromPairs([V, V, [V, 1]])"), ""},
	"keys of objects":            {doubling(60, "keys(groupBy([1], V))"), ""},
	"keys of pairs":              {doubling(60, "to_map([[V, 1]])"), "64 MiB"},
	"deep JSON":                  {"parse_json(deep)", "deeper than 1000"},
	"deep JSON by another name":  {"fromJSON(deep)", "deeper than 1000"},
	"much JSON":                  {`parse_json("[" + repeat("{},", 300000) + "{}]")`, "64 MiB"},
	"expr's own, not overridden": {doubling(60, "[::toJSON(V)]"), "64 MiB"},

	"regexes by the hundred":  {strings.Repeat(`s matches "a+b" or `, 100) + "true", "at most 16 patterns"},
	"a regex worked out":      {`s matches (s + "(")`, "written out"},
	"a large regex":           {`s matches "(x{1000}){1000}"`, ""},
	"another large regex":     {`s matches "` + strings.Repeat("x{1000}", 100) + `"`, "too large"},
	"a slow regex":            {`any(1..1000, s matches "(a?){100}b")`, "steps"},
	"texts gone through":      {`count(1..100000, s contains "xy" or len(s) > # or s == s + "")`, ""},
	"texts compared":          {"let t = upper(s); let u = upper(s); count(1..100000, t < u)", "steps"},
	"texts cut":               {"trim(s, s)", "steps"},
	"texts as keys":           {"count(1..100000, ({a: 1})[s] == nil)", "steps"},
	"texts as sorted by them": {`sortBy(1..100000, s)`, "steps"},
	"texts in groups":         {`groupBy(1..100000, s)`, "steps"},

	"bytes": {`let v0 = [b"` + strings.Repeat("x", 4000) + `"]; ` + doubling(60, "V")[len(`let v0 = ["lol", "lol"]; `):], "larger than 16 MiB"},

	"arguments":         {`trim("a", "b", "c")`, "too many arguments to call trim"},
	"arguments of join": {`join([], "b", "c")`, "too many arguments to call join"},

	"the whole environment": {"$env", "$env"},
	"the environment, bent": {"[(let $env = 1; $env), $env]", "$env"},
	"the clock":             {"now()", "there is no function now"},
	"the clock, bent":       {"::now()", "there is no function now"},
	"a date":                {`date("2020-01-01")`, "there is no function date"},
	"a time zone":           {`timezone("UTC")`, "there is no function timezone"},
	"a duration":            {`duration("1h")`, "there is no function duration"},

	"division by zero":               {"1 / 0", "not a number that JSON has"},
	"division by zero in between":    {"1 / 0 > 5 ? 1 : 2", "not a number that JSON has"},
	"zero by zero":                   {"0 / 0 == 1", "not a number that JSON has"},
	"a remainder of zero":            {"1 % 0", "a remainder needs a divisor other than 0"},
	"overflow of +":                  {"9223372036854775807 + 1", "no integer of 64 bits"},
	"overflow of + below":            {"-9223372036854775807 + -2", "no integer of 64 bits"},
	"overflow of -":                  {"-9223372036854775807 - 2", "no integer of 64 bits"},
	"overflow of *":                  {"9223372036854775807 * 2", "no integer of 64 bits"},
	"overflow of unary -":            {"-(-9223372036854775807 - 1)", "no integer of 64 bits"},
	"overflow of **":                 {"10 ** 400 > 1", "not a number that JSON has"},
	"overflow of abs":                {"abs(-9223372036854775807 - 1)", "no integer of 64 bits"},
	"overflow of int":                {"int(1e19)", "no integer of 64 bits"},
	"overflow of sum":                {"sum([9223372036854775807, 1])", "no integer of 64 bits"},
	"overflow of sum by predicate":   {"sum(1..3, # * 4611686018427387904)", "no integer of 64 bits"},
	"overflow of floats":             {"1e308 * 10 > 1", "not a number that JSON has"},
	"overflow of sums of floats":     {"sum([1e308, 1e308]) > 1", "not a number that JSON has"},
	"overflow of mean":               {"mean([1e308, 1e308]) > 1", "not a number that JSON has"},
	"infinity as text":               {`float("Inf") > 1`, "not a number that JSON has"},
	"a text that is not a number":    {`float("NaN") > 1`, "not a number that JSON has"},
	"a text that is no whole number": {`int("9223372036854775808")`, "invalid operation"},
}

func TestBombs(t *testing.T) {
	input := map[string]any{"s": strings.Repeat("x", 1<<20), "l": make([]any, 3000), "deep": strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)}
	for i := range input["l"].([]any) {
		input["l"].([]any)[i] = int64(i)
	}
	for name, tt := range bombs {
		t.Run(name, func(t *testing.T) {
			var message string
			took, mebibytes := fastest(func() { message = explode("let s = input.s; let l = input.l; let deep = input.deep; "+tt.src, input) })
			if !strings.Contains(message, tt.want) || message == "" {
				t.Errorf("got %.200q, want %q", message, tt.want)
			}
			if took > patience*2*time.Second || mebibytes > patience*300 {
				t.Errorf("it took %v and %d MiB", took, mebibytes)
			}
		})
	}
}

// fastest tells what something takes at best: a busy machine may need several times as long, but not three times in a row.
func fastest(do func()) (took time.Duration, mebibytes uint64) {
	took = time.Hour
	for range 3 {
		start, before := time.Now(), allocated()
		do()
		took, mebibytes = min(took, time.Since(start)), (allocated()-before)>>20
		if took < patience*2*time.Second {
			break
		}
	}
	return took, mebibytes
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// explode gives what is said of an expression when it is compiled or evaluated.
func explode(src string, input any) string {
	p, problems := Parse("p.yaml", ".", []byte("set: "+AsJSON(src)+"\n"), tiny())
	if err := problems.Err(); err != nil {
		return problems.Error()
	}
	v, err := p.Root.Expr("set").Eval(Values{"input": input, "prev": input})
	if err != nil {
		return err.Error()
	}
	if s := AsText(v); len(s) < 100 {
		return "it gives " + s
	}
	return "it gives much"
}

func TestBombsInTemplates(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"braces":               {"${{ " + nested("{", "}", 100_000) + " }}", "at most 8192 are allowed"},
		"braces that fit":      {"${{ " + nested("{", "}", 1000) + " }}", "deeper than 64 levels"},
		"braces never closed":  {"${{ " + strings.Repeat("{", 100_000), "never closed"},
		"marks never closed":   {strings.Repeat("${{", 100_000), "never closed"},
		"marks that are text":  {strings.Repeat("$${{", 100_000), "it gives much"},
		"closing braces":       {"${{ 1 }}" + strings.Repeat("}}", 100_000), "it gives much"},
		"many expressions":     {strings.Repeat("${{ 1 }}", 20_000), "it gives much"},
		"many that are wrong":  {strings.Repeat("${{ 1 + }}", 10_000), "unexpected token"},
		"texts put together":   {strings.Repeat("${{ input.s }}", 17), "larger than 16 MiB"},
		"budgets put together": {strings.Repeat("${{ len(map(1..900000, #)) }}", 4), "64 MiB"},
	}
	input := map[string]any{"s": strings.Repeat("x", 1<<20)}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var message string
			took, _ := fastest(func() { message = explode(tt.src, input) })
			if !strings.Contains(message, tt.want) {
				t.Errorf("got %.200q, want %q", message, tt.want)
			}
			if took > patience*2*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// The error of a bound says so, and where the field is.
func TestLimitErrors(t *testing.T) {
	tests := map[string]struct {
		src, pos string
		limit    bool
	}{
		"steps":      {"set: count(1..10000, count(1..10000, true) > 0)", "p.yaml:1:6", true},
		"memory":     {"set:\n  a: ok\n  b: ${{ repeat(\"a\", 1000000000) }}", "p.yaml:3:10", true},
		"a value":    {"set: map(1..30, repeat(\"a\", 1000000))", "p.yaml:1:6", true},
		"a template": {"set: x ${{ 1 }} ${{ repeat(\"a\", 17000000) }}", "p.yaml:1:6", true},
		"depth":      {"set: json(reduce(1..2000, [#acc], 1))", "p.yaml:1:6", true},
		"division":   {"set: 1 / 0", "p.yaml:1:6", false},
		"a type":     {"set: len(prev)", "p.yaml:1:6", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, tt.src).Root.Expr("set").Eval(Values{})
			e, ok := err.(*EvalError)
			if !ok || e.Limit != tt.limit || e.Pos.String() != tt.pos {
				t.Errorf("got %+v, want limit %v at %s", err, tt.limit, tt.pos)
			}
		})
	}
}

// Within the bounds an expression gives what it gives in expr-lang.
func TestWithinBounds(t *testing.T) {
	sources := []string{
		`trim("  a ")`, `trim("xxaxx", "x")`, `trimPrefix("ab", "a")`, `trimPrefix(" a")`, `trimSuffix("ab", "b")`, `trimSuffix("a ")`,
		`splitAfter("a,b,c", ",")`, `splitAfter("a,b,c", ",", 2)`, `replace("aaa", "a", "b")`, `replace("aaa", "a", "b", 2)`, `replace("ab", "", "-")`,
		`repeat("ab", 3)`, `repeat("", 1000000)`, `sort([3, 1, 2])`, `sort([3, 1, 2], "desc")`, `sort(["b", "a"])`, `sort(3..1)`, `sort(1..3, "desc")`,
		`uniq([1, 1.0, 2.5, 2.5, "a", "a", nil, nil, [1], [1], true, true, false])`, `uniq([1.5, 1, 1.5])`, `flatten([1, [2, [3, []]]])`, `reverse([1, 2])`, `concat([1], [2, 3], 4..5)`,
		`min([3, 1])`, `max(1, 5, [7, [9]])`, `mean([1, 2, 3, 4])`, `median([3, 1, 2, 4])`, `median(1..3)`, `sum([1, 2.5])`, `sum([1, 2], # * 2)`, `sum([])`, `sum(1..4)`,
		`sum([1, 2], sum([3, 4], # * 2) + #)`, `count([true, false, true])`, `count(1..5, # > 2)`, `reduce(1..4, #acc * #)`, `reduce(1..4, #acc + #index, 10)`,
		`fromPairs([["a", 1], ["b", 2]])`, `toBase64("h\u00e9")`, `fromBase64("aGk=")`, `upper("a")`, `lower("A")`, `len("\u00e4b")`, `len([1])`, `len({a: 1})`,
		`indexOf("abc", "c")`, `lastIndexOf("abcc", "c")`, `hasPrefix("ab", "a")`, `hasSuffix("ab", "a")`, `abs(-3)`, `abs(-2.5)`, `int("12")`, `int(2.9)`, `float("2.5")`, `float(2)`,
		`ceil(1.2)`, `floor(1.2)`, `round(1.5)`, `bitand(6, 3)`, `bitnot(1)`, `type(1)`, `type([])`,
		`1..3`, `3..1`, `2 in 1..3`, `"a" in {a: 1}`, `nil in [nil]`, `1 not in [2, 3]`, `"a" in ["a", "b"]`, `[1] in [[1]]`,
		`[1] == [1.0]`, `{a: [1]} == {a: [1]}`, `{a: 1} != {a: 2}`, `[1, 2] != [1]`, `nil == nil`, `[nil] == [nil]`, `true != false`, `1..3 == [1, 2, 3]`,
		`2 ** 10`, `2 ^ 3`, `7 / 2`, `7 % 3`, `-(-3)`, `-2.5`, `+3`, `1 + 2.5`, `2 - 5`, `2.5 * 2`, `"a" + "b"`, `"a" < "b"`, `2 >= 1.5`, `1 < 2 < 3`, `not true`, `true and not false or false`,
		`"abc" contains "b"`, `"abc" startsWith "a"`, `"abc" endsWith "a"`, `"abc" matches "^a.c$"`, `"a" not contains "b"`,
		`{a: nil}.a?.b`, `{a: nil}?.a ?? "x"`, `get({a: 1}, "a")`, `get([1], 5)`, `first([])`, `first([1])`, `last([1, 2])`, `take([1, 2, 3], 2)`, `{"a b": 1}["a b"]`, `{("a" + "b"): 1}`,
		`[1, 2, 3][1:]`, `[1, 2, 3][:-1]`, `[1, 2, 3][-1]`, `"abc"[1:2]`, `let x = 2; x * x`, `1; 2`, `true ? 1 : 2`, `if 1 > 2 { "a" } else { "b" }`,
		`groupBy(1..4, # % 2)`, `groupBy(["a", "bb", "c"], len(#))`, `sortBy([{a: 2}, {a: 1}], .a)`, `sortBy([{a: "x"}, {a: "y"}], .a, "desc")`,
		`filter(1..5, # > 2)[0]`, `map(filter(1..5, # > 2), # * 2)`, `len(filter(1..5, # > 2))`, `filter(1..9, # > 2) | filter(# < 5) | map(# + #index)`,
		`find(1..5, # > 2)`, `findIndex(1..5, # > 2)`, `findLast(1..5, # < 3)`, `findLastIndex(1..5, # < 3)`, `find([], true)`,
		`all([], false)`, `any(1..3, # == 2)`, `none(1..3, # == 5)`, `one(1..3, # == 2)`, `map(1..2, map(3..4, #))`, `map(1..2, {let y = #; map(1..2, # * y)})`,
	}
	for _, src := range sources {
		program, err := expr.Compile(src, expr.Env(map[string]any{}))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		want, err := vm.Run(program, map[string]any{})
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if want, err = Canonical(want); err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := evaluate(t, "set: ["+AsJSON("${{ "+src+" }}")+"]", nil); err != nil || AsJSON(got) != AsJSON([]any{want}) {
			t.Errorf("%s gives %v and %v, in expr-lang %v", src, got, err, want)
		}
	}
}

func TestLargeButWithinBounds(t *testing.T) {
	text := strings.Repeat("line\n", 200_000)
	list := make([]any, 1_000_000)
	for i := range list {
		list[i] = int64(i)
	}
	tests := map[string]struct {
		src   string
		input any
		want  string
	}{
		"brackets":         {nested("(", ")", 64), nil, "1"},
		"brackets in text": {`len("` + strings.Repeat("(", 1000) + `")`, nil, "1000"},
		"a long source":    {strings.Repeat("1 + ", 2000) + "1", nil, "2001"},
		"a million":        {"len(1..1000000)", nil, "1000000"},
		"a million chosen": {"len(filter(input, # % 2 == 0))", list, "500000"},
		"a megabyte":       {`len(split(input, "\n"))`, text, "200001"},
		"words":            {`len(uniq(split(input, "\n")))`, text, "2"},
		"a thousand each":  {"len(filter(1..1000, {let n = #; any(1..1000, # == n)}))", nil, "1000"},
		"JSON":             {`len(parse_json("[" + repeat("{\"a\": 1}, ", 20000) + "1]"))`, nil, "20001"},
		"as JSON":          {"len(json(input))", list, "6888891"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := evaluate(t, "set: "+AsJSON(tt.src), tt.input)
			if err != nil || AsText(got) != tt.want {
				t.Errorf("got %v and %v, want %s", got, err, tt.want)
			}
		})
	}
}
