package cli

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// pageSize is how many runs of a batch are looked up at a time.
const pageSize = 64

// keptRuns are the runs that a batch had before, in the order of their lines. A nil keptRuns has none.
type keptRuns struct {
	j    *journal.Journal
	of   *journal.Batch
	page []*journal.Record
}

// again begins with the first anew.
func (k *keptRuns) again() *keptRuns {
	if k == nil {
		return nil
	}
	return &keptRuns{j: k.j, of: k.of}
}

// at is the run of a line, nil where it had none. Lines are asked for in their order.
func (k *keptRuns) at(line int) (*journal.Record, error) {
	if k == nil || line > k.of.Last {
		return nil, nil
	}
	for {
		for len(k.page) > 0 && k.page[0].Line < line {
			k.page = k.page[1:]
		}
		if len(k.page) > 0 {
			if k.page[0].Line == line {
				return k.page[0], nil
			}
			return nil, nil
		}
		page, err := k.j.BatchRuns(k.of.ID, line-1, pageSize)
		if err != nil || len(page) == 0 {
			return nil, err
		}
		k.page = page
	}
}

// folder is the one in which they began; empty where none can tell.
func (k *keptRuns) folder() (string, error) {
	page, err := k.j.BatchRuns(k.of.ID, 0, pageSize)
	for _, r := range page {
		if r.Head.Folder != "" {
			return r.Head.Folder, nil
		}
	}
	return "", err
}

// identity is what makes two batches the same one: the pipeline, where the inputs are, parameters, models, the user.
func (b *batch) identity() (string, error) {
	inputs := b.name
	if inputs != "-" {
		var err error
		if inputs, err = filepath.Abs(inputs); err != nil {
			return "", err
		}
	}
	h := b.work.head
	said, err := json.Marshal([]any{h.Digest, h.Params, slices.Sorted(slices.Values(h.Models)), h.UserID, inputs, b.isCSV})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(said)
	return hex.EncodeToString(sum[:5]), nil
}

// resume finds the batch in the journal, or begins another. Its commands run where it began.
func (b *batch) resume(c *urfave.Context) error {
	key, err := b.identity()
	if err != nil {
		return err
	}
	if b.journal != nil && !c.Bool("new") {
		b.release, err = b.journal.OwnBatch(key + "-")
		if live := (*journal.LiveError)(nil); errors.As(err, &live) {
			return usage("the batch goes on in %s", live.Owner)
		}
		if err != nil {
			return err
		}
	}
	began := time.Now().UTC()
	for {
		b.id = key + "-" + began.Format("20060102-150405")
		if b.journal == nil {
			return nil
		}
		prefix := key + "-"
		if c.Bool("new") {
			prefix = b.id
		}
		latest, err := b.journal.LatestBatch(prefix)
		if err != nil {
			return err
		}
		if latest == "" {
			return nil
		}
		if !c.Bool("new") {
			b.id = latest
			break
		}
		began = began.Add(time.Second) // in which no other began
	}
	before, err := b.journal.Batch(b.id)
	if err != nil {
		return err
	}
	if len(before.Live) > 0 {
		return usage("%v", &journal.LiveError{ID: before.Live[0].ID, Owner: before.Live[0].Owner})
	}
	b.kept = &keptRuns{j: b.journal, of: before}
	b.pool.Add(before.Used)
	folder, err := b.kept.folder()
	if err != nil {
		return err
	}
	b.work.head.Folder = cmp.Or(folder, b.work.head.Folder)
	return b.goBack(c, &b.work, "batch "+b.id)
}

// execute runs a line, or goes on with its run. The error says why the batch cannot go on.
func (b *batch) execute(l begunLine, input any) (*engine.Result, error) {
	w := b.work
	w.head.ID, w.head.Input, w.head.Batch, w.head.Line = fmt.Sprintf("%s-%06d", b.id, l.number), input, b.id, l.number
	defer w.close()
	if err := b.own(&w, l.before); err != nil {
		return nil, err
	}
	opts := append(w.options(), w.kept()...)
	if w.run != nil {
		opts = append(opts, engine.WithApprovals(w.answers))
	}
	result, err := engine.Run(b.ctx, b.graph, input, opts...)
	if result == nil {
		return nil, err
	}
	return result, w.end(result)
}

// own takes the run that a line had before, which goes on where it failed for want of a budget, or begins one.
func (b *batch) own(w *work, before *journal.Record) (err error) {
	switch {
	case b.journal == nil:
		return nil
	case before == nil:
		w.answers = &answers{}
		return w.begin(b.journal)
	}
	w.answers = &answers{}
	if w.answers.known, err = b.journal.Decisions(before.ID); err != nil {
		return err
	}
	if w.run, err = b.journal.Take(before.ID); err != nil {
		return err
	}
	w.head, w.memory = before.Head, &memory{b.journal, before.Head}
	if before.Status != journal.Failed {
		return nil
	}
	return keep(w.run, engine.Entry{Turn: "/", Reopened: true})
}
