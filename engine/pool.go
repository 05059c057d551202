package engine

// Pool is what several runs share: a budget over all of them, and the rates of their models. It outlives each of them
// and can be used by several at once.
type Pool struct {
	purse purse
	lanes lanes
}

// NewPool makes what runs of a graph may share. The zero [Allowance] bounds nothing.
func NewPool(g *Graph, budget Allowance) *Pool {
	return &Pool{purse: purse{limit: budget}, lanes: lanes{rates: g.rates}}
}

// WithPool lets the run share p with others, on top of its own budgets. What the run had used before it was cut is not
// counted again: who goes on with it says so with [Pool.Add].
func WithPool(p *Pool) Option { return func(r *run) { r.pool, r.lanes = p, &p.lanes } }

// Add counts what was used before.
func (p *Pool) Add(used Usage) {
	p.purse.mu.Lock()
	defer p.purse.mu.Unlock()
	p.purse.used.Add(used)
}

// Exhausted tells whether the budget has refused a call, or would refuse any.
func (p *Pool) Exhausted() bool {
	p.purse.mu.Lock()
	defer p.purse.mu.Unlock()
	_, never := p.purse.lacks(Usage{})
	return never || p.purse.refused
}

// money tells whether the budget bounds what runs cost. A nil pool bounds nothing.
func (p *Pool) money() bool { return p != nil && p.purse.limit.Cost > 0 }
