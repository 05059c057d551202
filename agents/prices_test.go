package agents

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBuiltinPrices(t *testing.T) {
	t.Parallel()
	p := BuiltinPrices()
	if want := "npm package @pydantic/genai-prices 0.1.8 of 2026-09-23, MIT licence"; p.Source() != want {
		t.Errorf("the source is %s, not %s", p.Source(), want)
	}
	if len(builtinPrices) > 150<<10 {
		t.Errorf("the table takes %d bytes", len(builtinPrices))
	}
	var providers []string
	for name, price := range p.All() {
		provider, _, _ := strings.Cut(name, "/")
		providers = append(providers, provider)
		for long := price.Long; long != nil; long = long.Long {
			if long.Input < price.Input || long.Output < price.Output || long.Cached < price.Cached || long.Written < price.Written {
				t.Errorf("%s: a long request costs less than a short one", name)
			}
		}
		if strings.ToLower(name) != name {
			t.Errorf("%s is not in lower case", name)
		}
	}
	slices.Sort(providers)
	for _, provider := range Providers() {
		if _, ok := slices.BinarySearch(providers, provider.Name); ok == provider.Local {
			t.Errorf("%s has prices: %t", provider.Name, ok)
		}
	}
}

func TestPriceOf(t *testing.T) {
	t.Parallel()
	mini := &Price{Input: 0.4, Output: 1.6, Cached: 0.1}
	tests := map[string]struct {
		ref  string
		want *Price
	}{
		"a name":                             {"openai/gpt-4.1-mini", mini},
		"in other letters":                   {"openai/GPT-4.1-Mini", mini},
		"a snapshot":                         {"openai/gpt-4.1-mini-2025-04-14", mini},
		"a snapshot that no row names":       {"openai/gpt-4.1-mini-2027-01-31", mini},
		"of another form":                    {"openai/gpt-4.1-mini-20270131", mini},
		"no date":                            {"openai/gpt-4.1-mini-2027-13-31", nil},
		"a dearer snapshot":                  {"openai/gpt-4o-2024-05-13", &Price{Input: 5, Output: 15}},
		"a beginning":                        {"anthropic/claude-sonnet-4-5-20250929", &Price{Input: 3, Output: 15, Cached: 0.3, Written: 3.75, Above: 200000, Long: &Price{Input: 6, Output: 22.5, Cached: 0.6, Written: 7.5}}},
		"the longest of several":             {"gemini/gemini-2.5-flash-lite-preview-09-2025", &Price{Input: 0.1, Output: 0.4, Cached: 0.01}},
		"a tuned model":                      {"openai/ft:gpt-4o-2024-08-06:us::x", &Price{Input: 3.75, Output: 15}},
		"dearer for a long input":            {"openai/gpt-5.4", &Price{Input: 2.5, Output: 15, Cached: 0.25, Above: 271999, Long: &Price{Input: 5, Output: 22.5, Cached: 0.5}}},
		"the dearest of the day":             {"deepseek/deepseek-chat", &Price{Input: 0.27, Output: 1.1, Cached: 0.07}},
		"dearer from another year on":        {"gemini/gemini-3.6-flash", &Price{Input: 1.5, Output: 7.5, Cached: 0.15}},
		"cheaper since":                      {"openai/o3", &Price{Input: 2, Output: 8, Cached: 0.5}},
		"with slashes":                       {"openrouter/anthropic/claude-opus-5.5", &Price{Input: 4, Output: 20, Cached: 0.2, Written: 5}},
		"free":                               {"openrouter/allenai/molmo-7b-d:free", &Price{}},
		"as at the one who made it":          {"azure/gpt-4.1-mini", mini},
		"unless the provider has its own":    {"azure/o4-mini", &Price{Input: 1.1, Output: 4.4, Cached: 0.28}},
		"of another provider":                {"groq/gpt-4.1-mini", nil},
		"unknown":                            {"openai/gpt-99", nil},
		"what answers with pictures":         {"openai/gpt-image-1", nil},
		"no text":                            {"openai/text-embedding-3-small", nil},
		"a beginning alone":                  {"openai/ft:gpt", nil},
		"a name that looks like a row":       {"openai/gpt-5-nano-*", &Price{Input: 0.05, Output: 0.4, Cached: 0.005}},
		"nothing":                            {"openai/", nil},
		"the mock":                           {"mock", &Price{}},
		"a mock with a name":                 {"mock/slow", &Price{}},
		"at home":                            {"ollama/llama3.2", &Price{}},
		"at home too":                        {"vllm/gpt-4.1-mini", &Price{}},
		"a program's own":                    {"mine/gpt-4.1-mini", nil},
		"a program's own that it had priced": {"mine/priced", &Price{Input: 1, Output: 2}},
	}
	prices, err := ReadPrices(strings.NewReader(`{"mine/priced": {"input": 1, "output": 2}}`))
	if err != nil {
		t.Fatal(err)
	}
	set := NewSet(WithPrices(prices), WithProvider("mine", func(string) (Model, error) { return &Mock{}, nil }))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := set.Price(tt.ref)
			if ok != (tt.want != nil) || ok && !cmp.Equal(got, *tt.want) {
				t.Errorf("%s costs %+v, %t", tt.ref, got, ok)
			}
		})
	}
}

// The most that a request may cost is never less than what it costs, however its input is made up.
func TestMost(t *testing.T) {
	t.Parallel()
	claude := Price{Input: 3, Output: 15, Cached: 0.3, Written: 3.75, Above: 100, Long: &Price{Input: 6, Output: 22.5, Written: 7.5}}
	odd := Price{Input: 1, Output: 1, Cached: 2, Above: 100, Long: &Price{Input: 0.5, Output: 0.5}}
	tests := map[string]struct {
		price Price
		usage Usage
		want  Cost
	}{
		"all of it is written":          {claude, Usage{Input: 100, Output: 2}, (100*375 + 2*1500) * 10_000},
		"a long one":                    {claude, Usage{Input: 101, Output: 2}, (101*750 + 2*2250) * 10_000},
		"remembered may cost more":      {odd, Usage{Input: 10}, 20_000_000},
		"a long one may cost less":      {odd, Usage{Input: 101}, 202_000_000},
		"nothing":                       {Price{}, Usage{Input: 1, Output: 1}, 0},
		"more than anybody could count": {Price{Input: maxPrice}, Usage{Input: math.MaxInt}, math.MaxInt64},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.price.Most(tt.usage); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
			for _, u := range []Usage{tt.usage, {Input: tt.usage.Input, Written: tt.usage.Input}, {Input: tt.usage.Input, Cached: tt.usage.Input}, {Input: tt.usage.Input / 2}} {
				if cost := tt.price.Cost(u); cost > tt.price.Most(tt.usage) {
					t.Errorf("%+v costs %d", u, cost)
				}
			}
		})
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	price := Price{Input: 0.4, Output: 1.6, Cached: 0.1, Written: 0.5}
	long := Price{Input: 2.5, Output: 15, Above: 200000, Long: &Price{Input: 5, Output: 22.5}}
	tests := map[string]struct {
		price Price
		usage Usage
		want  Cost
	}{
		"nothing":                          {price, Usage{Calls: 1}, 0},
		"input and output":                 {price, Usage{Input: 1000, Output: 10}, 416_000_000},
		"a part is remembered":             {price, Usage{Input: 1000, Cached: 600, Written: 100}, (300*400 + 600*100 + 100*500) * 1000},
		"thoughts are output":              {price, Usage{Output: 10, Reasoning: 10}, 16_000_000},
		"remembered without another price": {Price{Input: 3}, Usage{Input: 10, Cached: 5, Written: 5}, 30_000_000},
		"what floats round":                {Price{Input: 0.1, Output: 0.2}, Usage{Input: 3, Output: 3}, 900_000},
		"more than six decimals":           {Price{Input: 0.0000001}, Usage{Input: 1}, 1},
		"an input at the limit":            {long, Usage{Input: 200000, Output: 1}, (200000*25 + 150) * 100_000},
		"an input above it":                {long, Usage{Input: 200001, Output: 1}, (200001*50 + 225) * 100_000},
		"free":                             {Price{}, Usage{Input: math.MaxInt, Output: math.MaxInt}, 0},
		"more parts than the whole":        {price, Usage{Input: 10, Cached: 20}, 2_000_000},
		"negative":                         {price, Usage{Input: -10, Output: -10}, 0},
		"all the money":                    {Price{Input: maxPrice, Output: maxPrice}, Usage{Input: math.MaxInt32, Output: math.MaxInt32}, math.MaxInt64},
		"an endless price":                 {Price{Input: math.Inf(1)}, Usage{Input: 1}, math.MaxInt64},
		"no number":                        {Price{Input: math.NaN()}, Usage{Input: 1}, math.MaxInt64},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.price.Cost(tt.usage); got != tt.want {
				t.Errorf("it costs %d, not %d", got, tt.want)
			}
		})
	}
	if got := Cost(1_234_567_890_000).String(); got != "$1.234568" {
		t.Errorf("it is written %s", got)
	}
}

// TestReplacedPrices holds that a file's rows replace those of the same name, and no other.
func TestReplacedPrices(t *testing.T) {
	t.Parallel()
	p, err := ReadPrices(strings.NewReader(`{
		"source": "a note",
		"openai/GPT-4.1-mini": {"input": 0.5, "output": 2},
		"openai/gpt-4*": {"input": 7, "output": 7},
		"azure/ours-*": {"input": 1, "output": 2, "cached": 0.25, "written": 1.5, "above": 1000, "long": {"input": 2, "output": 3}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	ours := Price{Input: 1, Output: 2, Cached: 0.25, Written: 1.5, Above: 1000, Long: &Price{Input: 2, Output: 3}}
	for ref, want := range map[string]Price{
		"openai/gpt-4.1-mini":            {Input: 0.5, Output: 2},
		"openai/gpt-4.1-mini-2029-01-01": {Input: 0.5, Output: 2},
		"openai/gpt-4.1-mini-2025-04-14": {Input: 0.4, Output: 1.6, Cached: 0.1}, // which has a row of its own
		"openai/gpt-4.1":                 {Input: 2, Output: 8, Cached: 0.5},
		"openai/gpt-4.9":                 {Input: 7, Output: 7},
		"azure/ours-1":                   ours,
	} {
		provider, model, _ := strings.Cut(ref, "/")
		if got, _ := p.Of(provider, model); !cmp.Equal(got, want) {
			t.Errorf("%s costs %+v, not %+v", ref, got, want)
		}
	}
	if got, _ := BuiltinPrices().Of("openai", "gpt-4.1-mini"); got.Input != 0.4 {
		t.Errorf("the built-in price has become %+v", got)
	}
}

func TestReadPricesErrors(t *testing.T) {
	t.Parallel()
	row := func(fields string) string { return `{"openai/m": {` + fields + `}}` }
	tests := map[string]struct{ src, want string }{
		"nothing":              {"", "it is no JSON: it ends too early"},
		"a cut file":           {`{"openai/m": {"input": 1`, `it is no JSON: it ends too early`},
		"YAML":                 {"openai/m: {input: 1}", "it is no JSON: invalid character 'o' looking for beginning of value"},
		"a list":               {"[]", "a price file must be an object in braces"},
		"null":                 {"null", "a price file must be an object in braces"},
		"more behind it":       {"{} {}", "more text stands behind the prices"},
		"no slash":             {`{"gpt": {"input": 1, "output": 1}}`, `"gpt": a price is for provider/name, or for all that begin so, provider/name*`},
		"a provider alone":     {`{"openai/*": {"input": 1, "output": 1}}`, `"openai/*": a price is for provider/name, or for all that begin so, provider/name*`},
		"a star in the middle": {`{"openai/a*b": {"input": 1, "output": 1}}`, `"openai/a*b": a price is for provider/name, or for all that begin so, provider/name*`},
		"a source of numbers":  {`{"source": 1}`, "source must be a text"},
		"twice":                {`{"openai/m": {"input": 1, "output": 1}, "openai/M": {"input": 2, "output": 2}}`, `"openai/M" stands there twice`},
		"a number alone":       {`{"openai/m": 1}`, `"openai/m": a price must be an object in braces`},
		"no price":             {row(``), `"openai/m": input and output are needed`},
		"no output":            {row(`"input": 1`), `"openai/m": input and output are needed`},
		"a key twice":          {row(`"input": 1, "output": 1, "input": 2`), `"openai/m": input stands there twice`},
		"an unknown key":       {row(`"input": 1, "output": 1, "ouput": 2`), `"openai/m": unknown key "ouput"; a price has input, output, cached, written, and above with long`},
		"a text":               {row(`"input": "1", "output": 1`), `"openai/m": input must be a number`},
		"null for a number":    {row(`"input": null, "output": 1`), `"openai/m": input must be a number`},
		"an object":            {row(`"input": {}, "output": 1`), `"openai/m": input must be a number`},
		"negative":             {row(`"input": -0.1, "output": 1`), `"openai/m": input must be from 0 to 1000000 dollars for a million tokens, not -0.1`},
		"too much":             {row(`"input": 1, "output": 1e7`), `"openai/m": output must be from 0 to 1000000 dollars for a million tokens, not 1e7`},
		"no float":             {row(`"input": 1, "output": 1e999999999`), `"openai/m": output must be from 0 to 1000000 dollars for a million tokens, not 1e999999999`},
		"NaN":                  {row(`"input": NaN, "output": 1`), `it is no JSON: "openai/m": invalid character 'N' looking for beginning of value`},
		"too fine":             {row(`"input": 0.0000001, "output": 1`), `"openai/m": input must have at most six decimals, not 0.0000001`},
		"free when remembered": {row(`"input": 1, "output": 1, "cached": 0`), `"openai/m": cached and written must be above 0; without them they are what input is`},
		"above without long":   {row(`"input": 1, "output": 1, "above": 1000`), `"openai/m": above and long go together`},
		"a part of a token":    {row(`"input": 1, "output": 1, "above": 1.5, "long": {}`), `"openai/m": above must be a whole number of tokens, not 1.5`},
		"no tokens":            {row(`"input": 1, "output": 1, "above": 0, "long": {}`), `"openai/m": above must be a whole number of tokens, not 0`},
		"long without a price": {row(`"input": 1, "output": 1, "above": 1, "long": {"input": 1}`), `"openai/m": long: input and output are needed`},
		"long in long":         {row(`"input": 1, "output": 1, "above": 1, "long": {"above": 2}`), `"openai/m": long: unknown key "above"; a price has input, output, cached, written, and above with long`},
		"too large":            {strings.Repeat(" ", maxPrices+1), "a price file has at most 1 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ReadPrices(strings.NewReader(tt.src))
			if got := fmt.Sprint(err); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
	if _, err := ReadPrices(endless{}); err == nil {
		t.Error("a file without end is read")
	}
}

// endless is a file of white space.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func FuzzReadPrices(f *testing.F) {
	f.Add([]byte(`{"source": "s", "openai/m*": {"input": 1, "output": 2, "cached": 0.1, "written": 3, "above": 5, "long": {"input": 1, "output": 2}}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := ReadPrices(strings.NewReader(string(src)))
		if err != nil {
			return
		}
		for name, price := range p.All() {
			if c := price.Cost(Usage{Input: 1000, Cached: 10, Written: 10, Output: 10}); c < 0 {
				t.Fatalf("%s costs %d", name, c)
			}
		}
	})
}

func BenchmarkPriceOf(b *testing.B) {
	p := BuiltinPrices()
	for b.Loop() {
		p.Of("anthropic", "claude-sonnet-4-5-20250929")
	}
}

func BenchmarkReadPrices(b *testing.B) {
	for b.Loop() {
		p := &Prices{rows: map[string]Price{}, begins: map[string]Price{}}
		if err := p.read(builtinPrices); err != nil {
			b.Fatal(err)
		}
	}
}
