package recording

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

const (
	version = 1
	maxFile = 64 << 20 // bytes
	about   = "# What the world answered to a run: flowrun run --replay answers from it, without asking.\n"
)

var (
	errIrregular = errors.New("it is not a regular file")
	errTooLarge  = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
)

// encode writes a tape.
func encode(t tape) ([]byte, error) {
	answers := make([]any, len(t.exchanges))
	for i, x := range t.exchanges {
		answers[i] = exchange(x)
	}
	file := spec.Members{
		{Key: "recording", Value: int64(version)},
		{Key: "pipeline", Value: t.pipeline},
		{Key: "run", Value: present(
			spec.Member{Key: "id", Value: t.run.ID}, spec.Member{Key: "user_id", Value: t.run.UserID}, spec.Member{Key: "session_id", Value: t.run.SessionID},
			spec.Member{Key: "started_at", Value: t.run.StartedAt.Format(time.RFC3339Nano)},
		)},
		{Key: "answers", Value: answers},
	}
	if len(t.decisions) > 0 {
		decided := make([]any, len(t.decisions))
		for i, d := range t.decisions {
			order := make([]any, len(d.Order))
			for i, branch := range d.Order {
				order[i] = branch
			}
			decided[i] = spec.Members{{Key: "turn", Value: d.Turn}, {Key: "order", Value: order}}
		}
		file = append(file, spec.Member{Key: "decided", Value: decided})
	}
	file = append(file, spec.Member{Key: "ended", Value: string(t.ended)}) // last: a file that is cut lacks it
	b := spec.AppendYAML([]byte(about), file)
	if len(b) > maxFile {
		return nil, errTooLarge
	}
	return b, nil
}

func exchange(x engine.Exchange) spec.Members {
	m := present(
		spec.Member{Key: "turn", Value: x.Turn}, spec.Member{Key: "apart", Value: x.Apart},
		spec.Member{Key: "kind", Value: x.Content.Kind}, spec.Member{Key: "asked", Value: x.Content.Value},
	)
	switch {
	case x.Late != engine.InTime:
		m = append(m, spec.Member{Key: "late", Value: string(x.Late)})
	case x.Error != nil:
		failed := spec.Members{{Key: "kind", Value: string(x.Error.Kind)}, {Key: "message", Value: x.Error.Message}}
		if x.Error.Elsewhere {
			failed = append(failed, spec.Member{Key: "elsewhere", Value: true})
		}
		if x.Error.RetryAfter != 0 {
			failed = append(failed, spec.Member{Key: "retry_after", Value: x.Error.RetryAfter.String()})
		}
		m = append(m, spec.Member{Key: "error", Value: failed})
	default:
		m = append(m, spec.Member{Key: "answer", Value: x.Answer})
	}
	if len(x.Pieces) > 0 {
		pieces := make([]any, len(x.Pieces))
		for i, n := range x.Pieces {
			pieces[i] = int64(n)
		}
		if x.Said != textOf(x.Answer) {
			m = append(m, spec.Member{Key: "said", Value: x.Said})
		}
		m = append(m, spec.Member{Key: "pieces", Value: pieces})
	}
	if x.Usage != (engine.Usage{}) {
		m = append(m, spec.Member{Key: "usage", Value: usage(x.Usage)})
	}
	return m
}

// textOf is what of an answer is heard as it comes: its text.
func textOf(answer any) string {
	m, _ := answer.(map[string]any)
	text, _ := m["text"].(string)
	return text
}

// present leaves out members that say nothing.
func present(members ...spec.Member) spec.Members {
	return slices.DeleteFunc(members, func(m spec.Member) bool { return m.Value == "" })
}

// usage is what was used, as a value.
func usage(u engine.Usage) any {
	b, _ := json.Marshal(u) // numbers always can
	v, _ := spec.ParseJSON(string(b))
	maps.DeleteFunc(v.(map[string]any), func(_ string, n any) bool { return n == int64(0) })
	return v
}

// read reads a file of at most 64 MiB.
func read(file string) ([]byte, error) {
	info, err := os.Stat(file) // before it is opened: opening a FIFO would wait for a writer
	switch {
	case err != nil:
		return nil, bare(err)
	case !info.Mode().IsRegular():
		return nil, errIrregular
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = errTooLarge
	}
	return b, bare(err)
}

// bare leaves out the path, which whoever tells the error knows.
func bare(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// decode is the tape of a file.
func decode(name string, b []byte) (t tape, err error) {
	v, err := spec.ParseYAML(name, b)
	if err != nil {
		return t, err
	}
	file, ok := v.(map[string]any)
	if n, numbered := file["recording"].(int64); !ok || !numbered {
		return t, errors.New("it is not a recording: flowrun run --record writes one")
	} else if n != version {
		return t, fmt.Errorf("it is of version %d, and this flowrun reads version %d", n, version)
	}
	if file["ended"] == nil {
		return t, errors.New("it is cut off: its last line, ended, is missing")
	}
	d := &decoder{at: "recording"}
	f := d.mapping(file, "recording", "pipeline", "run", "answers", "decided", "ended")
	t.pipeline, t.ended = d.text(f, "pipeline"), engine.Status(d.text(f, "ended"))
	if d.err == nil && t.ended != engine.Completed && t.ended != engine.Failed && t.ended != engine.Stopped && t.ended != engine.Waiting {
		return t, fmt.Errorf("it is cut off: ended is completed, failed, cancelled or waiting, not %q", t.ended)
	}
	run := d.mapping(f["run"], "id", "user_id", "session_id", "started_at")
	t.run = engine.Info{ID: d.text(run, "id"), UserID: d.text(run, "user_id"), SessionID: d.text(run, "session_id")}
	if t.run.StartedAt, err = time.Parse(time.RFC3339Nano, d.text(run, "started_at")); err != nil {
		d.fail("started_at is no time")
	}
	for i, item := range d.list(f, "answers") {
		d.at = fmt.Sprintf("answers[%d]", i)
		t.exchanges = append(t.exchanges, d.exchange(item))
	}
	for i, item := range d.list(f, "decided") {
		d.at = fmt.Sprintf("decided[%d]", i)
		m := d.mapping(item, "turn", "order")
		decision := engine.Decision{Turn: d.text(m, "turn")}
		for _, branch := range d.list(m, "order") {
			decision.Order = append(decision.Order, d.text(map[string]any{"order": branch}, "order"))
		}
		t.decisions = append(t.decisions, decision)
	}
	return t, d.err
}

// decoder reads values that should have a form. The first that has another is its error.
type decoder struct {
	at  string
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %s", d.at, fmt.Sprintf(format, args...))
	}
}

func (d *decoder) mapping(v any, keys ...string) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		d.fail("it is no mapping")
	}
	for key := range m {
		if !slices.Contains(keys, key) {
			d.fail("unknown key %q%s", key, spec.DidYouMean(key, keys))
		}
	}
	return m
}

func (d *decoder) text(m map[string]any, key string) string {
	s, ok := m[key].(string)
	if !ok && m[key] != nil {
		d.fail("%s is no text", key)
	}
	return s
}

func (d *decoder) number(m map[string]any, key string) int {
	n, ok := m[key].(int64)
	if !ok && m[key] != nil || n < 0 {
		d.fail("%s is no whole number", key)
	}
	return int(n)
}

func (d *decoder) list(m map[string]any, key string) []any {
	list, ok := m[key].([]any)
	if !ok && m[key] != nil {
		d.fail("%s is no list", key)
	}
	return list
}

func (d *decoder) exchange(v any) engine.Exchange {
	m := d.mapping(v, "turn", "apart", "kind", "asked", "answer", "error", "late", "said", "pieces", "usage")
	x := engine.Exchange{Turn: d.text(m, "turn"), Apart: d.text(m, "apart"), Answer: m["answer"], Late: engine.Lateness(d.text(m, "late"))}
	asked, ok := m["asked"].(map[string]any)
	if !ok {
		d.fail("asked is no mapping")
	}
	x.Content = &engine.Content{Kind: d.text(m, "kind"), Value: asked}
	if x.Turn == "" || x.Content.Kind == "" {
		d.fail("it needs turn, kind and asked")
	}
	if x.Late != engine.InTime && x.Late != engine.LateNode && x.Late != engine.LateAround {
		d.fail("late is %s or %s, not %q", engine.LateNode, engine.LateAround, x.Late)
	}
	if failed, ok := m["error"]; ok {
		x.Error = d.failure(failed)
	}
	x.Said = cmp.Or(d.text(m, "said"), textOf(x.Answer))
	for _, n := range d.list(m, "pieces") {
		x.Pieces = append(x.Pieces, d.number(map[string]any{"pieces": n}, "pieces"))
	}
	if x.Pieces == nil {
		x.Said = ""
	}
	if usage, ok := m["usage"]; ok {
		if err := json.Unmarshal([]byte(spec.AsJSON(usage)), &x.Usage); err != nil {
			d.fail("usage is none")
		}
	}
	return x
}

func (d *decoder) failure(v any) *engine.Error {
	m := d.mapping(v, "kind", "message", "elsewhere", "retry_after")
	e := &engine.Error{Kind: engine.ErrorKind(d.text(m, "kind")), Message: d.text(m, "message")}
	if v, ok := m["elsewhere"]; ok {
		if e.Elsewhere, ok = v.(bool); !ok {
			d.fail("elsewhere is neither true nor false")
		}
	}
	if !slices.Contains(engine.ErrorKinds(), e.Kind) {
		d.fail("there is no kind of error %q", e.Kind)
	}
	if after := d.text(m, "retry_after"); after != "" {
		var err error
		if e.RetryAfter, err = time.ParseDuration(after); err != nil || e.RetryAfter < 0 {
			d.fail("retry_after is no duration")
		}
	}
	return e
}

// segments are the parts of a turn.
func segments(turn string) []string {
	return strings.FieldsFunc(turn, func(r rune) bool { return r == '/' || r == '[' })
}
