package cli

import (
	"strings"
	"testing"

	"github.com/flowrun/flowrun/engine"
)

// Whoever reads along has each step as soon as no event waits behind it; pieces of an answer may come later.
func TestEventFileIsReadAlong(t *testing.T) {
	var file strings.Builder
	events := newEventFile(nopCloser{&file})
	for i, step := range []struct {
		event engine.Event
		lines int // that can be read then
	}{
		{engine.Event{Type: engine.StepStarted}, 1},
		{engine.Event{Type: engine.StepStarted, More: true}, 1},
		{engine.Event{Type: engine.StepStarted}, 3},
		{engine.Event{Type: engine.ModelDelta}, 3},
		{engine.Event{Type: engine.StepCompleted, More: true}, 3},
		{engine.Event{Type: engine.ModelDelta}, 6},
		{engine.Event{Type: engine.ModelDelta}, 6},
	} {
		events.hear(step.event)
		if got := strings.Count(file.String(), "\n"); got != step.lines {
			t.Errorf("%d lines after event %d, want %d", got, i, step.lines)
		}
	}
	if err := events.close(); err != nil || strings.Count(file.String(), "\n") != 7 {
		t.Errorf("%v, and %s", err, file.String())
	}
}
