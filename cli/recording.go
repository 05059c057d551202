package cli

import (
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/recording"
	"github.com/flowrun/flowrun/spec"
)

// recordingFlags refuses flags that do not go with a recording.
func recordingFlags(c *urfave.Context) error {
	flag := "record"
	if c.IsSet("replay") {
		flag = "replay"
	}
	switch file := c.String(flag); {
	case !c.IsSet(flag):
		return nil
	case c.IsSet("record") && c.IsSet("replay"):
		return usage("give --record or --replay, not both")
	case c.Bool("no-cache"):
		return usage("--%s uses no cache anyway: leave out --no-cache", flag)
	case c.Bool("dry-run"):
		return usage("--dry-run runs nothing: leave out --%s", flag)
	case file == "" || file == "-":
		return usage("--%s needs the name of a file", flag)
	}
	return nil
}

// tape is the recording that a run writes, or that it is played from; nil where there is none.
type tape struct {
	file     string
	recorder *recording.Recorder
	replay   *recording.Replay
}

func openTape(c *urfave.Context) (*tape, error) {
	switch {
	case c.IsSet("record"):
		t := &tape{file: c.String("record"), recorder: &recording.Recorder{}}
		if err := recording.Writable(t.file); err != nil {
			return nil, usage("--record %s: %v", t.file, err)
		}
		return t, nil
	case c.IsSet("replay"):
		t := &tape{file: c.String("replay")}
		var err error
		t.replay, err = recording.Open(t.file)
		if _, placed := spec.AsDiagnostics(err); err != nil && !placed {
			return nil, usage("--replay %s: %v", t.file, err)
		}
		return t, err
	}
	return nil, nil
}

func (t *tape) options() []engine.Option {
	switch {
	case t == nil:
		return nil
	case t.recorder != nil:
		return []engine.Option{engine.WithRecorder(t.recorder)}
	}
	return []engine.Option{engine.WithReplay(t.replay)}
}

// close writes what was recorded, however the run ended.
func (t *tape) close(r *engine.Result) error {
	if t == nil || t.recorder == nil {
		return nil
	}
	if err := t.recorder.Save(t.file, r.Status); err != nil {
		return fmt.Errorf("writing the recording %s: %w", t.file, err)
	}
	return nil
}

// warn tells what a run did not ask for that was recorded, where it went on to its end.
func (t *tape) warn(w io.Writer, r *engine.Result) {
	const most = 5
	if t == nil || t.replay == nil || r.Error != nil && r.Error.Kind == engine.Recording || r.Status == engine.Stopped {
		return
	}
	unused := t.replay.Unused()
	if len(unused) == 0 {
		return
	}
	list := strings.Join(unused[:min(len(unused), most)], ", ")
	if more := len(unused) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	fmt.Fprintf(w, "flowrun: warning: %s: %s not used: %s\n", escapeLines(t.file), count(len(unused), "answer"), escapeLines(list))
}
