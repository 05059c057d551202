package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/spec"
)

func (p *program) modelsCommand() *urfave.Command {
	return &urfave.Command{
		Name: "models", Usage: "list providers and prices of models, or check a model", ArgsUsage: "[NAME]",
		Description: "Without NAME the providers are listed, with the environment variables that they\nneed. NAME is a provider, whose prices are listed, or provider/name, one model.\nThe exit code is 1 where a model that is checked gives no answer.\n",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "check", Usage: "ask `MODEL`, written provider/name, a short question, and tell whether it answers"},
			&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text, or json; prices are then such as --prices reads"},
			pricesFlag(),
		},
		Action: func(c *urfave.Context) error {
			set, err := modelSet(c)
			if err != nil {
				return err
			}
			asJSON := c.String("output") == "json"
			name := c.Args().First()
			switch {
			case c.IsSet("check") && name != "":
				return usage("--check takes the one model that it checks, and no %q besides", name)
			case c.IsSet("check"):
				return p.checkModel(set, c.String("check"), asJSON)
			case strings.Contains(name, "/"):
				return p.modelPrice(set, name, asJSON)
			case name != "":
				return p.providerPrices(set, name, asJSON)
			}
			return p.providers(set, asJSON)
		},
	}
}

func pricesFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "prices", Usage: "take prices from `PATH`, in place of the built-in ones of the same models"}
}

// modelSet is the models that a command asks, with the prices that it was given.
func modelSet(c *urfave.Context) (*agents.Set, error) {
	var opts []agents.Option
	if c.IsSet("replay") {
		opts = append(opts, agents.Idle())
	}
	if !c.IsSet("prices") {
		return agents.NewSet(opts...), nil
	}
	prices, err := readPrices(c.String("prices"))
	if err != nil {
		return nil, usage("reading the prices: %v", err)
	}
	set := agents.NewSet(append(opts, agents.WithPrices(prices))...)
	builtin := maps.Collect(agents.BuiltinPrices().All())
	for name := range prices.All() {
		if _, ok := builtin[name]; ok {
			continue
		}
		if problem, hint := set.Known(name); problem != "" {
			return nil, usage("reading the prices: %s: %s (%s)", c.String("prices"), problem, hint)
		}
	}
	return set, nil
}

func readPrices(file string) (*agents.Prices, error) {
	data, err := spec.ReadFile(nil, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	prices, err := agents.ReadPrices(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return prices, nil
}

// provider is how one is configured, for machines.
type provider struct {
	Name             string   `json:"provider"`
	Ready            bool     `json:"ready"`
	Problem          string   `json:"problem,omitempty"`
	KeyVariables     []string `json:"key_variables"`
	KeySet           bool     `json:"key_set"`
	AddressVariables []string `json:"address_variables"`
	Address          string   `json:"address"`
	Free             bool     `json:"free"`
	Prices           int      `json:"prices"`
}

// providers lists all, and never a key.
func (p *program) providers(set *agents.Set, asJSON bool) error {
	rows := map[string]int{}
	for name := range set.Prices().All() {
		of, _, _ := strings.Cut(name, "/")
		rows[of]++
	}
	var all []provider
	t := newTable("provider", "key", "prices", "address")
	for _, s := range set.Setups() {
		one := provider{
			Name: s.Name, Ready: s.Err == nil, KeyVariables: append([]string{}, s.KeyEnv...), KeySet: s.KeyFrom != "",
			AddressVariables: append([]string{}, s.BaseEnv...), Address: s.Address, Free: s.Local, Prices: rows[s.Name],
		}
		if s.Err != nil {
			one.Problem = s.Err.Error()
		}
		all = append(all, one)
		t.row(s.Name, keyState(s), one.priced(), addressState(s))
	}
	if asJSON {
		return printJSON(p.Out, map[string]any{"providers": all, "prices": set.Prices().Source()})
	}
	_, err := fmt.Fprintf(p.Out, "%s\nBuilt-in prices: %s.\nflowrun models PROVIDER lists those of one.\n", t, set.Prices().Source())
	return err
}

func keyState(s agents.Setup) string {
	switch {
	case s.KeyFrom != "" && s.Err != nil && s.Address != "":
		return s.Err.Error()
	case s.KeyFrom != "":
		return s.KeyFrom + ", set"
	case len(s.KeyEnv) == 0:
		return "not needed"
	case s.Local:
		return strings.Join(s.KeyEnv, " or ") + ", not needed"
	}
	return strings.Join(s.KeyEnv, " or ") + ", not set"
}

func addressState(s agents.Setup) string {
	variables := strings.Join(s.BaseEnv, " or ")
	switch {
	case s.Address == "" && s.BaseFrom == "":
		return variables + ", not set"
	case s.Address == "":
		return s.Err.Error()
	case s.BaseFrom != "":
		return s.Address + ", from " + s.BaseFrom
	}
	return s.Address + ", or " + variables
}

func (o provider) priced() string {
	if o.Free && o.Prices == 0 {
		return "free"
	}
	return strconv.Itoa(o.Prices)
}

// providerPrices lists the prices of a provider's models.
func (p *program) providerPrices(set *agents.Set, name string, asJSON bool) error {
	if !slices.Contains(set.Names(), name) {
		return usage("there is no provider %q%s", name, spec.DidYouMean(name, set.Names()))
	}
	rows := priceRows{}
	for model, price := range set.Prices().All() {
		if strings.HasPrefix(model, name+"/") {
			rows[model] = price
		}
	}
	if _, free := set.Price(name + "/x"); len(rows) == 0 && free && !asJSON {
		_, err := fmt.Fprintf(p.Out, "%s costs nothing\n", name)
		return err
	}
	return p.printPrices(rows, asJSON)
}

// modelPrice prints what one model costs, whatever row says so.
func (p *program) modelPrice(set *agents.Set, ref string, asJSON bool) error {
	if err := knownModel(set, ref); err != nil {
		return err
	}
	price, ok := set.Price(ref)
	if !ok {
		return fmt.Errorf("the price of %s is not known; a file for --prices can tell it", ref)
	}
	return p.printPrices(priceRows{ref: price}, asJSON)
}

func knownModel(set *agents.Set, ref string) error {
	if problem, hint := set.Known(ref); problem != "" {
		return usage("%s (%s)", problem, hint)
	}
	return nil
}

// priceRows are prices by provider/name.
type priceRows map[string]agents.Price

func (p *program) printPrices(rows priceRows, asJSON bool) error {
	if asJSON {
		return printJSON(p.Out, rows)
	}
	_, err := fmt.Fprintf(p.Out, "%s\nUS dollars for a million tokens.\n", rows)
	return err
}

func (r priceRows) String() string {
	t := newTable("model", "input", "cached", "written", "output")
	for _, name := range slices.Sorted(maps.Keys(r)) {
		price := r[name]
		t.price(name, price)
		if price.Long != nil {
			t.price(fmt.Sprintf("  above %d tokens of input", price.Above), *price.Long)
		}
	}
	return t.String()
}

// table is text in columns.
type table struct {
	text    strings.Builder
	columns *tabwriter.Writer
}

func newTable(head ...string) *table {
	t := &table{}
	t.columns = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = spec.Escape(cell)
	}
	fmt.Fprintln(t.columns, strings.Join(cells, "\t"))
}

func (t *table) price(name string, p agents.Price) {
	dollars := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	t.row(name, dollars(p.Input), dollars(cmp.Or(p.Cached, p.Input)), dollars(cmp.Or(p.Written, p.Input)), dollars(p.Output))
}

func (t *table) String() string {
	t.columns.Flush() // a builder does not fail
	return t.text.String()
}

// What a check asks.
const (
	checkPrompt = "Answer with the word ok."
	checkTokens = 64
	checkTime   = time.Minute
)

// checked is what a check came to.
type checked struct {
	Model    string        `json:"model"`
	Answers  bool          `json:"answers"`
	Duration int64         `json:"duration_ms"`
	Usage    checkedUsage  `json:"usage"`
	Error    *checkedError `json:"error"`
}

type checkedUsage struct {
	Input  int `json:"input_tokens"`
	Output int `json:"output_tokens"`
}

type checkedError struct {
	Kind    agents.Kind `json:"kind"`
	Message string      `json:"message"`
}

// checkModel asks a model.
func (p *program) checkModel(set *agents.Set, ref string, asJSON bool) error {
	if err := knownModel(set, ref); err != nil {
		return err
	}
	model, err := set.Open(ref, "")
	if err != nil {
		return usage("%v", err)
	}
	ctx, _, stop := p.interruptible(0)
	defer stop()
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	asked := time.Now()
	answer, err := model.Answer(limited, agents.Question{Messages: []agents.Message{{Text: checkPrompt}}, MaxTokens: checkTokens}, nil)
	if by := (interrupted{}); errors.As(context.Cause(ctx), &by) {
		return silent(by.code())
	}
	why := whyNot(err)
	result := checked{
		Model: ref, Answers: why == nil, Duration: time.Since(asked).Milliseconds(),
		Usage: checkedUsage{answer.Usage.Input, answer.Usage.Output}, Error: why,
	}
	if asJSON {
		err = printJSON(p.Out, result)
	} else {
		_, err = io.WriteString(p.outcome(result), spec.Escape(result.String())+"\n")
	}
	if err == nil && !result.Answers {
		return silent(exitFailed)
	}
	return err
}

// outcome is where a check tells its result: what went wrong is an error.
func (p *program) outcome(c checked) io.Writer {
	if c.Answers {
		return p.Out
	}
	return p.Err
}

func (c checked) String() string {
	if !c.Answers {
		return fmt.Sprintf("%s gives no answer: %s (%s)", c.Model, c.Error.Message, c.Error.Kind)
	}
	return fmt.Sprintf("%s answers: %s, %d+%d tokens", c.Model, took(time.Duration(c.Duration)*time.Millisecond), c.Usage.Input, c.Usage.Output)
}

// whyNot is why a model does not answer; nil where it does. One that thought until its tokens were used up does.
func whyNot(err error) *checkedError {
	var told *agents.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told) && told.Kind == agents.Length:
		return nil
	case errors.As(err, &told):
		return &checkedError{told.Kind, told.Error()}
	}
	return &checkedError{agents.Timeout, fmt.Sprintf("there is no answer after %s", checkTime)}
}
