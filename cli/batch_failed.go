package cli

import (
	"cmp"
	"os"

	"github.com/flowrun/flowrun/spec"
)

// failedLines are the inputs that failed, as they were, in a file that can be the inputs of another batch. A nil
// failedLines keeps none.
type failedLines struct {
	f      *os.File
	header []byte
	n      int
}

func newFailedLines(path string, header []byte) (*failedLines, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &failedLines{f: f, header: header}, nil
}

// add keeps a line; nothing of one that was too long to be kept.
func (l *failedLines) add(raw []byte) error {
	if l == nil || raw == nil {
		return nil
	}
	var text []byte
	if l.n == 0 {
		text = append(text, l.header...)
	}
	text = append(text, raw...)
	if text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	l.n++
	_, err := l.f.Write(text)
	return err
}

// close leaves no file where no line failed.
func (l *failedLines) close() error {
	if l == nil {
		return nil
	}
	err := l.f.Close()
	if info, wrong := os.Lstat(l.f.Name()); l.n == 0 && wrong == nil && info.Mode().IsRegular() { // no device and no link
		err = cmp.Or(os.Remove(l.f.Name()), err)
	}
	return err
}

// name is that of the file; empty where there is none.
func (l *failedLines) name() string {
	if l == nil || l.n == 0 {
		return ""
	}
	return l.f.Name()
}

func (l *failedLines) where() string {
	if name := l.name(); name != "" {
		return ": their inputs are in " + spec.Escape(name)
	}
	return ""
}
