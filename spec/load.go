package spec

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Pipeline is a pipeline file that was read and checked, with those that it includes.
type Pipeline struct {
	File    string // as in messages
	Folder  string // where the paths begin that the file names
	Name    string
	Header  *Object
	Root    *Node
	Finally *Node   // nil where there is none
	Input   *Schema // nil: anything
	Params  []Param
	Output  *Expr // nil: the root's output
	Type    Type  // of its output

	nodes  []*Node // in document order
	exprs  []*Expr // of the header
	env    []string
	secret []string
	used   map[Pos]bool // entries of sections that something names
	names  map[string]*Node
	needs  []Need
	digest string
}

// Param is a declared parameter. One without a default must be given.
type Param struct {
	Name       string
	Schema     *Schema
	Default    any
	HasDefault bool
	Pos        Pos
}

// Nodes are all nodes of the file in document order, those of included files not among them.
func (p *Pipeline) Nodes() []*Node { return p.nodes }

// Env are the environment variables that the file's expressions may read; Secrets those whose values are masked.
func (p *Pipeline) Env() []string { return p.env }

// Secrets are the declared environment variables whose values must not be shown.
func (p *Pipeline) Secrets() []string { return p.secret }

// Digest names the bytes of the file and of all that were read with it: the files that it includes, and those that hold
// its prompts. It is empty for an included file.
func (p *Pipeline) Digest() string { return p.digest }

const (
	maxFile     = 10 << 20 // bytes of one file
	maxFiles    = 20 << 20 // bytes of all files of a pipeline
	maxIncludes = 20       // files within files
)

// Option changes how a file is loaded.
type Option func(*loader)

// AllowRead lets files include others outside the root file's folder: those at or below a path, all where there is
// no path.
func AllowRead(paths ...string) Option {
	return func(l *loader) { l.anywhere, l.allowed = l.anywhere || len(paths) == 0, append(l.allowed, paths...) }
}

// Load reads a pipeline file and what it includes, from the file's folder alone. The pipeline is nil where the
// diagnostics hold an error. It starts no process and opens no socket.
func Load(file string, lang *Language, opts ...Option) (*Pipeline, Diagnostics) {
	l := newLoader(filepath.Dir(file), lang, opts)
	defer l.close()
	src, err := ReadFile(nil, file) // the user named it, so a link may lead anywhere
	if err != nil {
		d := Diagnostic{Pos: Pos{File: file}, Message: err.Error()}
		if errors.Is(err, errIrregular) {
			d.Hint = "to read standard input, write - in place of the file"
		}
		return nil, Diagnostics{d}
	}
	return l.load(file, filepath.Base(file), src)
}

// Parse is Load for a file whose text is known; name is what messages call it, folder where its includes are.
func Parse(name, folder string, src []byte, lang *Language, opts ...Option) (*Pipeline, Diagnostics) {
	l := newLoader(folder, lang, opts)
	defer l.close()
	return l.load(name, name, src)
}

// loader reads the files of one pipeline.
type loader struct {
	lang     *Language
	folder   string
	root     *os.Root // folder, opened when first needed
	anywhere bool
	allowed  []string
	open     []string             // the files being read, outermost first
	done     map[string]*Pipeline // nil for a file that has errors
	texts    map[string]*textFile
	sums     map[string][sha256.Size]byte // of all files that were read
	textSize int                          // of all texts, once for each place that names one
	size     int                          // of all files, their texts not among them
	values   int                          // about how many they hold
	lines    map[string][]string
	problems Diagnostics
	errors   int // among the problems, and those that were left out
	compiler *compiler
}

func newLoader(folder string, lang *Language, opts []Option) *loader {
	l := &loader{lang: lang, folder: folder, done: map[string]*Pipeline{}, texts: map[string]*textFile{}, sums: map[string][sha256.Size]byte{}, lines: map[string][]string{}, compiler: newCompiler()}
	for _, o := range opts {
		o(l)
	}
	return l
}

func (l *loader) close() {
	if l.root != nil {
		l.root.Close()
	}
}

func (l *loader) report(d Diagnostic) {
	full := l.full()
	if !d.Warning {
		l.errors++
	}
	if full {
		return
	}
	if lines := l.lines[d.File]; d.Line > 0 && d.Line <= len(lines) {
		d.line = lines[d.Line-1]
	}
	l.problems = append(l.problems, d)
}

// count is how many errors there are so far.
func (l *loader) count() int { return l.errors }

// full tells whether there are so many errors that nobody needs more, and the rest is not looked at.
func (l *loader) full() bool { return l.errors >= maxProblems }

func (l *loader) load(name, key string, src []byte) (*Pipeline, Diagnostics) {
	key = path.Clean(filepath.ToSlash(key))
	l.sums[key] = sha256.Sum256(src)
	p := l.pipeline(name, key, src)
	if p != nil {
		p.digest = l.digest()
	} else { // warnings may be of what is only misspelt
		l.problems = slices.DeleteFunc(l.problems, func(d Diagnostic) bool { return d.Warning })
	}
	return p, l.problems.sort()
}

// digest is what the files that were read are known by together.
func (l *loader) digest() string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(l.sums)) {
		fmt.Fprintf(h, "%q %x\n", key, l.sums[key])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// pipeline reads one file. Its own problems, and those of its includes, make it nil.
func (l *loader) pipeline(name, key string, src []byte) *Pipeline {
	before := l.count()
	l.open = append(l.open, key)
	defer func() { l.open = l.open[:len(l.open)-1] }()
	p := &Pipeline{File: name, Folder: l.path(path.Dir(key)), Name: nameFrom(strings.TrimSuffix(path.Base(key), path.Ext(key))), used: map[Pos]bool{}, names: map[string]*Node{}}
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // which is no character of the first line
	if !l.room(name, src) {
		return nil
	}
	l.lines[name] = strings.Split(string(src), "\n")
	if d := notText(name, string(src), `"\u%04X" in double quotes`); d != nil {
		l.report(*d)
		return nil
	}
	report := func(d Diagnostic) {
		if d.Message == empty {
			d.Hint = "flowrun init writes one to start from"
		}
		l.report(d)
	}
	if t := treeOf(name, src, report); t != nil {
		r := &reader{load: l, p: p, names: p.names, sections: map[string]map[string]Entry{}, lines: newLines(l.lines[name])}
		r.file(t)
		if p.Root != nil && !l.full() {
			(&checker{reader: r}).check()
		}
	}
	if l.count() > before || p.Root == nil {
		return nil
	}
	return p
}

// room counts a file, and reports one with which a pipeline has more than it may have.
func (l *loader) room(name string, src []byte) bool {
	n := roughly(src)
	l.size, l.values = l.size+len(src), l.values+n
	d := Diagnostic{Pos: Pos{File: name}, Hint: "data has its place in the input: --input-file"}
	switch {
	case n > maxValues:
		d.Message = tooFull("it holds", n)
	case l.size > maxFiles:
		d.Message = fmt.Sprintf("with it, the pipeline's files are larger than %d MiB", maxFiles>>20)
	case l.values > maxValues:
		d.Message = tooFull("with it, the pipeline's files hold", l.values)
	default:
		return true
	}
	l.report(d)
	return false
}

func tooFull(what string, values int) string {
	return fmt.Sprintf("%s about %d values; at most %d are allowed", what, values, maxValues)
}

// over tells whether a file was too much, so that no other need be read.
func (l *loader) over() bool { return l.size > maxFiles || l.values > maxValues }

// include reads the pipeline that a node names.
func (r *reader) include(t *tree) *Pipeline {
	l := r.load
	name, key := r.locate(t)
	if i := slices.Index(l.open, key); i >= 0 {
		r.problem(t, "", "%s includes itself: %s", quote(t.text), Escape(strings.Join(append(slices.Clone(l.open[i:]), key), " -> ")))
		return nil
	}
	if len(l.open) > maxIncludes {
		r.problem(t, "", "files are included more than %d deep", maxIncludes)
		return nil
	}
	if p, read := l.done[key]; read {
		return p
	}
	l.done[key] = nil
	if l.over() {
		return nil
	}
	src, err := l.read(key)
	if err != nil {
		r.unread(t, "including", key, err)
		return nil
	}
	p := l.pipeline(name, key, src)
	l.done[key] = p
	return p
}

// locate finds a file that this one names: what messages call it, and the key by which the loader knows it.
func (r *reader) locate(t *tree) (name, key string) {
	name = filepath.FromSlash(t.text)
	if filepath.IsAbs(name) {
		name = filepath.Clean(name)
		return name, filepath.ToSlash(name)
	}
	open := r.load.open
	return filepath.Join(filepath.Dir(r.p.File), name), path.Join(path.Dir(open[len(open)-1]), filepath.ToSlash(name))
}

// path is a key as a path of the working directory's.
func (l *loader) path(key string) string {
	name := filepath.FromSlash(key)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(l.folder, name)
}

// unread reports why a file that t names could not be read.
func (r *reader) unread(t *tree, doing, key string, err error) {
	message, hint := err.Error(), ""
	switch {
	case errors.Is(err, errOutside):
		hint = fmt.Sprintf("allow it with --allow-read=%s", Escape(r.load.path(key)))
	case errors.Is(err, fs.ErrNotExist):
		message += DidYouMean(path.Base(key), r.load.beside(key))
	}
	r.problem(t, hint, "%s %s: %s", doing, quote(t.text), message)
}

// beside lists files of the folder in which one below the loader's own is missed.
func (l *loader) beside(key string) []string {
	const most = 1000
	if l.root == nil || !filepath.IsLocal(filepath.FromSlash(key)) {
		return nil
	}
	folder, err := l.root.OpenRoot(filepath.FromSlash(path.Dir(key)))
	if err != nil {
		return nil
	}
	defer folder.Close()
	f, err := folder.Open(".")
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(most) // what was read until an error will do
	slices.Sort(names)
	return names
}

var (
	errOutside   = errors.New("the file is outside of the first file's folder")
	errEscapes   = errors.New("a link leads out of its folder")
	errIrregular = errors.New("it is not a regular file")
)

// read gives the bytes of a file below the folder, or of one that the user allowed.
func (l *loader) read(key string) ([]byte, error) {
	src, err := l.find(key)
	if err == nil {
		l.sums[key] = sha256.Sum256(src)
	}
	return src, err
}

func (l *loader) find(key string) ([]byte, error) {
	name := filepath.FromSlash(key)
	if l.root == nil {
		root, err := os.OpenRoot(l.folder)
		if err != nil {
			return nil, bare(err)
		}
		l.root = root
	}
	if filepath.IsLocal(name) {
		src, err := ReadFile(l.root, name)
		if errors.Is(err, errEscapes) {
			err = errOutside
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) || !l.readable(l.path(key)) {
			return src, err
		}
	} else if !l.readable(l.path(key)) {
		return nil, errOutside
	}
	return ReadFile(nil, l.path(key))
}

// ReadFile reads a regular file of at most 10 MiB: below a folder, out of which no link leads, or anywhere where root
// is nil.
func ReadFile(root *os.Root, name string) ([]byte, error) {
	stat, open := os.Stat, os.Open
	if root != nil {
		stat, open = root.Stat, root.Open
	}
	info, err := stat(name) // before it is opened: opening a FIFO would wait for a writer
	switch {
	case err != nil:
		if err = bare(err); err.Error() == "path escapes from parent" { // package os exports no such error
			err = errEscapes
		}
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder, not a regular file")
	case !info.Mode().IsRegular():
		return nil, errIrregular
	}
	f, err := open(name)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	src, err := ReadText(f)
	return src, bare(err)
}

// ReadText reads the text of a pipeline file, of at most 10 MiB.
func ReadText(r io.Reader) ([]byte, error) {
	src, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(src) > maxFile {
		err = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	return src, err
}

// readable tells whether the user allowed to read a file outside the folder.
func (l *loader) readable(name string) bool {
	if l.anywhere {
		return true
	}
	for _, a := range l.allowed {
		if Within(name, a) {
			return true
		}
	}
	return false
}

// Within tells whether a path is another one or lies below it, links resolved as far as the files exist.
func Within(name, folder string) bool {
	_, within := below(name, resolved(folder))
	return within
}

// ReadWithin reads a regular file of at most 10 MiB that is a path or lies below it. A link that leads elsewhere is an
// error, also one that is made meanwhile.
func ReadWithin(name, folder string) ([]byte, error) {
	folder = resolved(folder)
	rest, within := below(name, folder)
	if !within {
		return nil, errEscapes
	}
	if rest == "." { // a file, or else the folder itself, which is none
		folder, rest = filepath.Dir(folder), filepath.Base(folder)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, bare(err)
	}
	defer root.Close()
	return ReadFile(root, rest)
}

// below is the way that leads from a resolved folder to a path, if one does.
func below(name, folder string) (rest string, within bool) {
	rest, err := filepath.Rel(folder, resolved(name))
	return rest, err == nil && filepath.IsLocal(rest)
}

// resolved is a path from the root, without links as far as it exists.
func resolved(p string) string {
	abs, err := filepath.Abs(p)
	if err != nil {
		return p
	}
	real, err := filepath.EvalSymlinks(abs)
	if up := filepath.Dir(abs); err != nil && up != abs {
		return filepath.Join(resolved(up), filepath.Base(abs))
	}
	return cmp.Or(real, abs)
}

// bare is an error of the file system without the call that met it.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// ParseValue reads one value written as YAML or JSON, canonical.
func ParseValue(text string) (any, error) {
	if v, err := ParseJSON(text); err == nil {
		return v, nil
	}
	if n := roughly([]byte(text)); n > maxValues {
		return nil, errors.New(tooFull("it holds", n))
	}
	var problems Diagnostics
	t := treeOf("value", []byte(text), func(d Diagnostic) { problems = append(problems, d) })
	if problems != nil {
		return nil, errors.New(problems[0].Message)
	}
	return t.data(), nil
}
