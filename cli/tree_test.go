package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/engine"
)

// TestTreeForgets hears a hundred thousand items of two steps each, of which some fail, eight at once: it holds no more
// than those at work.
func TestTreeForgets(t *testing.T) {
	t.Parallel()
	tree := newTree()
	tree.hear(engine.Event{Type: engine.StepStarted, Turn: "/", Label: "p", Kind: "for_each"})
	root := tree.open["/"]
	const items, atOnce = 100_000, 8
	text := strings.Repeat("x", 5000)
	ends := func(item int) {
		do := fmt.Sprintf("/[%d]/do", item)
		tree.hear(engine.Event{Type: engine.StepStarted, Turn: do + "/ask", Label: "ask", Item: &item})
		tree.hear(engine.Event{Type: engine.ModelDelta, Turn: do + "/ask", Text: text})
		tree.hear(engine.Event{Type: engine.RunCompleted, Turn: do + "/ask", Usage: engine.Usage{InputTokens: 2, OutputTokens: 1}})
		tree.hear(engine.Event{Type: engine.StepCompleted, Turn: do + "/ask"})
		tree.hear(engine.Event{Type: engine.StepSkipped, Turn: do + "/more"})
		end := engine.Event{Type: engine.StepCompleted, Turn: do}
		if item%10 == 0 {
			end = engine.Event{Type: engine.StepFailed, Turn: do, Error: &engine.Error{Kind: engine.Fail}}
		}
		tree.hear(end)
	}
	for item := range items {
		tree.hear(engine.Event{Type: engine.StepStarted, Turn: fmt.Sprintf("/[%d]/do", item), Item: &item})
		if item >= atOnce {
			ends(item - atOnce)
		}
		if len(tree.open) > atOnce+2 {
			t.Fatalf("%d nodes are held", len(tree.open))
		}
	}
	if got, want := root.sum(), "89992 done, 10000 failed, 8 running"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want := 3 * (items - atOnce); root.used.Tokens() != want {
		t.Errorf("%d tokens, want %d", root.used.Tokens(), want)
	}
}

// TestTreeOrder begins items out of order: they stand in it.
func TestTreeOrder(t *testing.T) {
	t.Parallel()
	tree := newTree()
	tree.hear(engine.Event{Type: engine.StepStarted, Turn: "/", Label: "p"})
	for _, item := range []int{3, 0, 2, 1, 10, 4} {
		tree.hear(engine.Event{Type: engine.StepStarted, Turn: fmt.Sprintf("/[%d]/do", item), Item: &item, Label: "a"})
	}
	var got []string
	for _, l := range (picture{width: 80, height: 20}).lines(tree)[1:] {
		got = append(got, strings.Fields(l)[1])
	}
	if got, want := strings.Join(got, " "), "a[0] a[1] a[2] a[3] a[4] a[10]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPictureFits draws any tree, with any text in it, in any size: no line is wider and there are no more of them, and
// nothing in them commands the terminal.
func TestPictureFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tree := newTree()
		tree.hear(engine.Event{Type: engine.StepStarted, Turn: "/", Label: "p", Kind: "chain"})
		turns := []string{""}
		for i := range rapid.IntRange(0, 40).Draw(t, "nodes") {
			turn := rapid.SampledFrom(turns).Draw(t, "parent") + fmt.Sprintf("/n%d", i)
			turns = append(turns, turn)
			e := engine.Event{Type: engine.StepStarted, Turn: turn, Label: rapid.SampledFrom([]string{turn, rapid.String().Draw(t, "label")}).Draw(t, "named")}
			tree.hear(e)
			tree.hear(engine.Event{Type: engine.ModelDelta, Turn: turn, Text: string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")})
		}
		p := picture{now: time.Now(), width: rapid.IntRange(0, 100).Draw(t, "width"), height: rapid.IntRange(0, 30).Draw(t, "height")}
		lines := p.lines(tree)
		if len(lines) > p.height || len(lines) == 0 && p.height > 0 {
			t.Fatalf("%d lines, want at most %d", len(lines), p.height)
		}
		for _, l := range lines {
			if displaywidth.String(l) > max(3, p.width) || !utf8.ValidString(l) || strings.ContainsFunc(l, commands) {
				t.Fatalf("in %d columns %q", p.width, l)
			}
		}
	})
}
