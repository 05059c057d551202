package agents

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:generate node prices.mjs

// builtinPrices is a price file as [ReadPrices] has it, of which prices.LICENSE is the licence.
//
//go:embed prices.json
var builtinPrices []byte

// Price is what a model takes, in US dollars for a million tokens, each of at least 0.
type Price struct {
	Input   float64 `json:"input"`
	Output  float64 `json:"output"`
	Cached  float64 `json:"cached,omitempty"`  // for the part of the input that the provider remembered; 0: as Input
	Written float64 `json:"written,omitempty"` // for the part of the input that it will remember; 0: as Input
	Above   int     `json:"above,omitempty"`   // a request of more tokens of input
	Long    *Price  `json:"long,omitempty"`    // costs this, all of it; nil: no request does
}

// Cost is an amount in picodollars, a millionth of a millionth of a US dollar, so that sums are exact in any order.
type Cost int64

// USD is the amount in US dollars.
func (c Cost) USD() float64 { return float64(c) / 1e12 }

// String writes the amount in dollars, to a millionth.
func (c Cost) String() string { return fmt.Sprintf("$%.6f", c.USD()) }

// Cost is what one request costs; that of several is the sum of each one's. A price counts to six decimals, the rest is
// rounded up. What an int64 cannot hold, 9.2 million dollars, is given as that.
func (p Price) Cost(u Usage) Cost {
	if p.Long != nil && u.Input > p.Above {
		return p.Long.Cost(u)
	}
	var c Cost
	c.add(u.Input-u.Cached-u.Written, p.Input)
	c.add(u.Cached, either(p.Cached, p.Input))
	c.add(u.Written, either(p.Written, p.Input))
	c.add(u.Output, p.Output)
	return c
}

// Most is the most that one request may cost that uses no more than u: all of its input may be of the dearest sort.
func (p Price) Most(u Usage) Cost {
	var c Cost
	c.add(u.Input, max(p.Input, p.Cached, p.Written))
	c.add(u.Output, p.Output)
	if p.Long != nil && u.Input > p.Above {
		c = max(c, p.Long.Most(u))
	}
	return c
}

func either(price, other float64) float64 {
	if price == 0 {
		return other
	}
	return price
}

// add adds tokens at a price for a million of them.
func (c *Cost) add(tokens int, price float64) {
	each := math.Round(price * 1e6)
	if each/1e6 < price {
		each++
	}
	if tokens <= 0 || each == 0 {
		return
	}
	over, sum := uint64(1), uint64(0)
	if each > 0 && each < math.MaxInt64 {
		over, sum = bits.Mul64(uint64(tokens), uint64(each))
	}
	if over > 0 || sum > uint64(math.MaxInt64-*c) {
		sum = uint64(math.MaxInt64 - *c)
	}
	*c += Cost(sum)
}

// Prices is a table of prices. It does not change.
type Prices struct {
	source string
	rows   map[string]Price // by provider/name, in lower case
	begins map[string]Price // by what such a name begins with
}

// Source says where the built-in prices come from, and of which date they are.
func (p *Prices) Source() string { return p.source }

// Of is the price of a provider's model: of its name; of its name without the date behind it; of the longest beginning
// that the table has. What azure has no price for costs what it does at the one who made it.
func (p *Prices) Of(provider, model string) (Price, bool) {
	for _, provider := range append([]string{provider}, makers(provider)...) {
		ref := strings.ToLower(provider + "/" + model)
		for _, name := range []string{ref, undated(ref)} {
			if price, ok := p.rows[name]; ok {
				return price, true
			}
		}
		for n := len(ref); n > 0 && len(p.begins) > 0; n-- {
			if price, ok := p.begins[ref[:n]]; ok {
				return price, true
			}
		}
	}
	return Price{}, false
}

// makers are whose models a provider sells at their prices, as the source of the table has it.
func makers(provider string) []string {
	if provider == "azure" {
		return []string{"openai", "anthropic", "deepseek"}
	}
	return nil
}

// undated is a name without the date of a snapshot: -2025-04-14 or -20250414.
func undated(name string) string {
	for _, layout := range []string{"-2006-01-02", "-20060102"} {
		if n := len(name) - len(layout); n > 0 {
			if _, err := time.Parse(layout, name[n:]); err == nil {
				return name[:n]
			}
		}
	}
	return name
}

// All is every row in order: provider/name, with a * behind what names only begin with, and its price.
func (p *Prices) All() iter.Seq2[string, Price] {
	all := maps.Clone(p.rows)
	for begin, price := range p.begins {
		all[begin+"*"] = price
	}
	return func(yield func(string, Price) bool) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(name, all[name]) {
				return
			}
		}
	}
}

// WithPrices takes prices from p instead of [BuiltinPrices].
func WithPrices(p *Prices) Option {
	return func(s *Set) { s.prices = p }
}

// Prices is the table of the set.
func (s *Set) Prices() *Prices {
	if s.prices != nil {
		return s.prices
	}
	return BuiltinPrices()
}

// Price is what the model called provider/name takes, where that is known. What runs at home, and the mock, take
// nothing unless the set's own table says so.
func (s *Set) Price(ref string) (Price, bool) {
	name, model, _ := strings.Cut(ref, "/")
	atHome := func(p Provider) bool { return p.Name == name && p.Local }
	free := s.own[name] == nil && (name == "mock" || slices.ContainsFunc(Providers(), atHome))
	if free && s.prices == nil { // which is known without reading the table
		return Price{}, true
	}
	price, ok := s.Prices().Of(name, model)
	return price, ok || free
}

// BuiltinPrices is the table that comes with flowrun.
func BuiltinPrices() *Prices { return builtin() }

var builtin = sync.OnceValue(func() *Prices {
	p := &Prices{rows: map[string]Price{}, begins: map[string]Price{}}
	if err := p.read(builtinPrices); err != nil {
		panic("agents: prices.json: " + err.Error()) // a test reads it
	}
	return p
})

// maxPrices bounds a price file, in bytes.
const maxPrices = 1 << 20

// ReadPrices reads a price file, and gives the built-in table with its rows in place of those of the same name. It is a
// JSON object such as
//
//	{
//	  "source": "a note for people, such as our contract of May",
//	  "openai/gpt-4.1-mini": {"input": 0.4, "output": 1.6, "cached": 0.1, "written": 0.4},
//	  "azure/ours-*": {"input": 1, "output": 2, "above": 200000, "long": {"input": 2, "output": 3}}
//	}
//
// in which the fields are those of [Price], source, cached, written, and above with long may be missing, and a * stands
// for the rest of a name. An error names the row.
func ReadPrices(r io.Reader) (*Prices, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPrices+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxPrices {
		return nil, fmt.Errorf("a price file has at most %d MiB", maxPrices>>20)
	}
	p := &Prices{rows: maps.Clone(builtin().rows), begins: maps.Clone(builtin().begins)}
	if err := p.read(data); err != nil {
		return nil, err
	}
	p.source = builtin().source
	return p, nil
}

func (p *Prices) read(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	seen := map[string]bool{}
	err := object(d, "a price file", func(name string) error {
		lower := strings.ToLower(name)
		if seen[lower] {
			return fmt.Errorf("%q stands there twice", truncate(name))
		}
		seen[lower] = true
		if name == "source" {
			t, err := d.Token()
			text, ok := t.(string)
			if err == nil && !ok {
				err = errors.New("source must be a text")
			}
			p.source = text
			return err
		}
		if err := p.readRow(d, name); err != nil {
			return fmt.Errorf("%q: %w", truncate(name), err)
		}
		return nil
	})
	if err != nil {
		return readable(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more text stands behind the prices")
	}
	return nil
}

func (p *Prices) readRow(d *json.Decoder, name string) error {
	provider, model, _ := strings.Cut(name, "/")
	if provider == "" || strings.Trim(model, " *") == "" || strings.Contains(strings.TrimSuffix(name, "*"), "*") {
		return errors.New("a price is for provider/name, or for all that begin so, provider/name*")
	}
	price, err := readPrice(d, true)
	if err != nil {
		return err
	}
	if begin, ok := strings.CutSuffix(strings.ToLower(name), "*"); ok {
		p.begins[begin] = price
	} else {
		p.rows[begin] = price
	}
	return nil
}

func readPrice(d *json.Decoder, short bool) (Price, error) {
	var p Price
	seen := map[string]bool{}
	fields := map[string]*float64{"input": &p.Input, "output": &p.Output, "cached": &p.Cached, "written": &p.Written}
	err := object(d, "a price", func(name string) error {
		if seen[name] {
			return fmt.Errorf("%s stands there twice", name)
		}
		seen[name] = true
		var err error
		switch to := fields[name]; {
		case to != nil:
			*to, err = readDollars(d, name)
		case short && name == "above":
			p.Above, err = readTokens(d, name)
		case short && name == "long":
			var long Price
			if long, err = readPrice(d, false); err != nil {
				err = fmt.Errorf("long: %w", err)
			}
			p.Long = &long
		default:
			err = fmt.Errorf("unknown key %q; a price has input, output, cached, written, and above with long", truncate(name))
		}
		return err
	})
	switch {
	case err != nil:
		return Price{}, err
	case !seen["input"] || !seen["output"]:
		return Price{}, errors.New("input and output are needed")
	case seen["above"] != seen["long"]:
		return Price{}, errors.New("above and long go together")
	case seen["cached"] && p.Cached == 0 && p.Input > 0, seen["written"] && p.Written == 0 && p.Input > 0:
		return Price{}, errors.New("cached and written must be above 0; without them they are what input is")
	}
	return p, nil
}

// maxPrice is a dollar for a token.
const maxPrice = 1e6

func readDollars(d *json.Decoder, name string) (float64, error) {
	written, err := readNumber(d, name)
	if err != nil {
		return 0, err
	}
	v, err := written.Float64()
	switch {
	case err != nil || v < 0 || v > maxPrice:
		return 0, fmt.Errorf("%s must be from 0 to %d dollars for a million tokens, not %s", name, int(maxPrice), truncate(written.String()))
	case math.Round(v*1e6)/1e6 != v:
		return 0, fmt.Errorf("%s must have at most six decimals, not %s", name, truncate(written.String()))
	}
	return v, nil
}

func readTokens(d *json.Decoder, name string) (int, error) {
	written, err := readNumber(d, name)
	if err != nil {
		return 0, err
	}
	n, err := written.Int64()
	if err != nil || n < 1 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%s must be a whole number of tokens, not %s", name, truncate(written.String()))
	}
	return int(n), nil
}

func readNumber(d *json.Decoder, name string) (json.Number, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	n, ok := t.(json.Number)
	if !ok {
		return "", fmt.Errorf("%s must be a number", name)
	}
	return n, nil
}

// object reads an object, and calls field for each of its keys, which reads the value.
func object(d *json.Decoder, what string, field func(name string) error) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("%s must be an object in braces", what)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if err := field(t.(string)); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// readable says that what is no JSON is none.
func readable(err error) error {
	var wrong *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is no JSON: it ends too early")
	case errors.As(err, &wrong):
		return fmt.Errorf("it is no JSON: %w", err)
	}
	return err
}
