package engine

import "maps"

// Tally is what turns have used.
type Tally struct {
	Steps    int     `json:"steps,omitempty"`
	Free     int     `json:"free,omitempty"`     // of the steps, those that no limit of the run counts
	Failures int     `json:"failures,omitempty"` // that the run went on past
	Usage    ByAgent `json:"usage,omitempty"`
}

// counted are the steps that the run's limits count.
func (t Tally) counted() int { return t.Steps - t.Free }

// add adds another tally, which stays as it is.
func (t *Tally) add(o Tally) {
	t.Steps += o.Steps
	t.Free += o.Free
	t.Failures += o.Failures
	t.Usage = t.Usage.with(o.Usage)
}

// sub takes back what add added.
func (t *Tally) sub(o Tally) {
	t.Steps -= o.Steps
	t.Free -= o.Free
	t.Failures -= o.Failures
	t.Usage.sub(o.Usage)
}

// clone is a copy that shares nothing.
func (t Tally) clone() Tally {
	t.Usage = maps.Clone(t.Usage)
	return t
}

// ByAgent is what each agent used, by [Call.Agent]; nil where none was asked.
type ByAgent map[string]Usage

// with adds what is in another, which stays as it is.
func (b ByAgent) with(o ByAgent) ByAgent {
	if b == nil {
		return maps.Clone(o)
	}
	for agent, u := range o {
		sum := b[agent]
		sum.Add(u)
		b[agent] = sum
	}
	return b
}

// sub takes back what is in another, which stays as it is.
func (b ByAgent) sub(o ByAgent) {
	for agent, u := range o {
		left := b[agent]
		if left.sub(u); left == (Usage{}) {
			delete(b, agent)
		} else if b != nil {
			b[agent] = left
		}
	}
}

// Total is what all of them used.
func (b ByAgent) Total() Usage {
	var total Usage
	for _, u := range b {
		total.Add(u)
	}
	return total
}

// Usage is what models were asked and answered.
type Usage struct {
	InputTokens     int  `json:"input_tokens"`               // all of the questions
	CachedTokens    int  `json:"cached_tokens,omitempty"`    // of the input, those that the provider had in its own cache
	OutputTokens    int  `json:"output_tokens"`              // all of the answers
	ReasoningTokens int  `json:"reasoning_tokens,omitempty"` // of the output, those that the models thought with
	Calls           int  `json:"calls"`                      // requests; those that failed too
	CacheHits       int  `json:"cache_hits,omitempty"`       // questions that flowrun's own cache answered: no calls
	Cost            Cost `json:"cost,omitempty"`
	Unpriced        int  `json:"unpriced,omitempty"` // calls of which nobody knows what they cost

	// Where nobody told what a call used, budgets and rates count the most that it may have: so much more than is known.
	PresumedTokens int  `json:"presumed_tokens,omitempty"`
	PresumedCost   Cost `json:"presumed_cost,omitempty"`
}

// Tokens are those of input and output together.
func (u Usage) Tokens() int { return plus(u.InputTokens, u.OutputTokens) }

// Presume adds what a call of which little is known may have used at the most.
func (u *Usage) Presume(most Usage) {
	u.PresumedTokens = max(0, most.Tokens()-u.Tokens())
	u.PresumedCost = max(0, most.Cost-u.Cost)
}

// drawn is what a usage takes from a budget.
func (u Usage) drawn() (tokens int, cost Cost) {
	return plus(u.Tokens(), u.PresumedTokens), plus(u.Cost, u.PresumedCost)
}

// plus is a sum of numbers of at least 0, or the most that there is.
func plus[T int | Cost](a, b T) T {
	if sum := a + b; sum >= a {
		return sum
	}
	most := T(1)
	for most<<1 > 0 {
		most = most<<1 | 1
	}
	return most
}

// USD is what it cost in US dollars; known tells whether all of it has a price.
func (u Usage) USD() (cost float64, known bool) { return u.Cost.USD(), u.Unpriced == 0 }

// Add adds another usage.
func (u *Usage) Add(o Usage) {
	u.InputTokens = plus(u.InputTokens, o.InputTokens)
	u.CachedTokens = plus(u.CachedTokens, o.CachedTokens)
	u.OutputTokens = plus(u.OutputTokens, o.OutputTokens)
	u.ReasoningTokens = plus(u.ReasoningTokens, o.ReasoningTokens)
	u.Calls += o.Calls
	u.CacheHits += o.CacheHits
	u.Cost = plus(u.Cost, o.Cost)
	u.Unpriced += o.Unpriced
	u.PresumedTokens = plus(u.PresumedTokens, o.PresumedTokens)
	u.PresumedCost = plus(u.PresumedCost, o.PresumedCost)
}

// sub takes back what add added.
func (u *Usage) sub(o Usage) {
	u.InputTokens -= o.InputTokens
	u.CachedTokens -= o.CachedTokens
	u.OutputTokens -= o.OutputTokens
	u.ReasoningTokens -= o.ReasoningTokens
	u.Calls -= o.Calls
	u.CacheHits -= o.CacheHits
	u.Cost -= o.Cost
	u.Unpriced -= o.Unpriced
	u.PresumedTokens -= o.PresumedTokens
	u.PresumedCost -= o.PresumedCost
}

// Cost is an amount of money in picodollars, 1e-12 US dollars: the price of a token is a whole number of them, so that
// sums are exact and do not depend on their order.
type Cost int64

// USD is an amount of US dollars, to the millionth.
func USD(dollars float64) Cost { return Cost(dollars*1e6+0.5) * 1e6 }

// USD is the amount in US dollars.
func (c Cost) USD() float64 { return float64(c) / 1e12 }

// shownUsage is a usage as events and results show it.
type shownUsage struct {
	InputTokens     int      `json:"input_tokens"`
	CachedTokens    int      `json:"cached_tokens"`
	OutputTokens    int      `json:"output_tokens"`
	ReasoningTokens int      `json:"reasoning_tokens"`
	CostUSD         *float64 `json:"cost_usd"` // null where it is not known
	Calls           int      `json:"calls"`
	CacheHits       int      `json:"cache_hits"`
}

func (u Usage) shown() shownUsage {
	s := shownUsage{InputTokens: u.InputTokens, CachedTokens: u.CachedTokens, OutputTokens: u.OutputTokens, ReasoningTokens: u.ReasoningTokens,
		Calls: u.Calls, CacheHits: u.CacheHits}
	if usd, known := u.USD(); known {
		s.CostUSD = &usd
	}
	return s
}

// Shown is the usage as results show it.
func (u Usage) Shown() any { return u.shown() }

// shown is the total, and beside it each agent's part.
func (b ByAgent) shown() any {
	agents := make(map[string]shownUsage, len(b))
	for agent, u := range b {
		agents[agent] = u.shown()
	}
	return struct {
		shownUsage
		Agents map[string]shownUsage `json:"agents"`
	}{b.Total().shown(), agents}
}
