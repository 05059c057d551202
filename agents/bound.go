package agents

// Bound is the most that asking a model once may use, as far as anything bounds it: the output is 0 where nothing does.
// A token has at least one byte.
func Bound(m Model, q Question) Usage {
	if b, ok := m.(interface{ Bound(Question) Usage }); ok {
		return b.Bound(q)
	}
	const around = 16 // tokens that a provider may put around a message
	input := len(q.System) + around
	for _, said := range q.Messages {
		input += len(said.Text) + around
	}
	return Usage{Input: input, Output: q.MaxTokens, Calls: 1}
}
