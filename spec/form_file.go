package spec

import (
	"strings"
)

// maxTexts bounds the texts that all files together take from files of their own, in bytes. One counts for each place
// that names it: there its expressions are checked anew.
const maxTexts = 10 << 20

// TemplateFile is the path of a file, relative to the one that names it, whose text is a [Template]. A line break at
// its end is left out.
type TemplateFile struct{}

func (TemplateFile) takes(t *tree) bool { return t.isText() }

func (x TemplateFile) read(r *reader, t *tree, f *Field) any {
	if (Text{}).read(r, t, f) == nil {
		return nil
	}
	text := r.textFile(t)
	if text == nil {
		return nil
	}
	e := r.expr(&tree{Pos: Pos{text.name, 1, 1}, text: text.text, tag: "!!str"}, templateForm, Any)
	e.lines = text.lines
	return e
}

func (TemplateFile) String() string { return "the path of a file whose text may hold ${{ }}" }

// textFile is a file that was read as a text.
type textFile struct {
	name  string // as in messages
	text  string
	lines *lines
}

// textFile gives the file that a field names; nil where it cannot be had.
func (r *reader) textFile(t *tree) *textFile {
	l := r.load
	name, key := r.locate(t)
	file, known := l.texts[key]
	if !known {
		src, err := l.read(key)
		if err != nil {
			r.unread(t, "reading", key, err)
			return nil
		}
		file = l.text(name, string(src))
		l.texts[key] = file
	}
	if file == nil {
		return nil
	}
	if l.textSize += len(file.text); l.textSize > maxTexts {
		r.problem(t, "", "reading %s: with it, the texts from files are larger than %d MiB", quote(t.text), maxTexts>>20)
		return nil
	}
	return file
}

// text makes a text of what a file holds, with line breaks as YAML makes them; nil where it is none.
func (l *loader) text(name, src string) *textFile {
	src = strings.TrimPrefix(src, "\ufeff") // which is no character of the first line
	l.lines[name] = strings.Split(src, "\n")
	if d := notText(name, src, `${{ "\u%04X" }}`); d != nil {
		l.report(*d)
		return nil
	}
	text := strings.TrimSuffix(strings.ReplaceAll(src, "\r\n", "\n"), "\n")
	return &textFile{name, text, newLines(l.lines[name])}
}
