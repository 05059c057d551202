package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/flowrun/flowrun/pipetest"
	"github.com/flowrun/flowrun/spec"
)

// reports write what became of tests, by format.
var reports = map[string]func(io.Writer, *pipetest.Report) error{"text": reportText, "json": reportJSON, "junit": reportJUnit}

func reportText(w io.Writer, r *pipetest.Report) error {
	var b strings.Builder
	for _, o := range r.Outcomes {
		c, rate := o.Case, ""
		if o.Runs > 1 {
			rate = fmt.Sprintf(" (%d of %d runs passed)", o.Passed, o.Runs)
		}
		state := "ok  "
		if !o.OK() {
			state = "FAIL"
		}
		fmt.Fprintf(&b, "%s %s: %s%s\n", state, c.Pos, spec.Escape(c.Name), rate)
		if o.OK() {
			continue
		}
		for _, f := range o.Failures {
			fmt.Fprintf(&b, "  %s: %s\n", f.Pos, spec.Escape(headline(f)))
			for _, l := range details(f) {
				fmt.Fprintf(&b, "    %s\n", spec.Escape(l))
			}
		}
	}
	for _, s := range r.Written {
		fmt.Fprintf(&b, "wrote the snapshot %s of %s\n", spec.Escape(s.Name), spec.Escape(s.File))
	}
	for _, s := range r.Unused {
		fmt.Fprintf(&b, "no case uses the snapshot %s of %s%s\n", spec.Escape(s.Name), spec.Escape(s.File), removed(r))
	}
	failed := r.Failed()
	fmt.Fprintf(&b, "%d passed, %d failed\n", len(r.Outcomes)-failed, failed)
	_, err := io.WriteString(w, b.String())
	return err
}

// removed says what became of snapshots that nobody uses.
func removed(r *pipetest.Report) string {
	if r.Updated {
		return "; it is removed"
	}
	return "; --update removes it"
}

// headline is a failure in one line: the expression, or what else went wrong.
func headline(f pipetest.Failure) string {
	if f.Expression != "" {
		return strings.ReplaceAll(f.Expression, "\n", " ")
	}
	return f.Message
}

// details are the lines below the headline.
func details(f pipetest.Failure) []string {
	if f.Expression == "" || f.Message == "" {
		return f.Detail
	}
	return append([]string{f.Message}, f.Detail...)
}

type shownFailure struct {
	File       string   `json:"file"`
	Line       int      `json:"line"`
	Column     int      `json:"column"`
	Expression string   `json:"expression,omitempty"`
	Message    string   `json:"message"`
	Detail     []string `json:"detail"`
}

func reportJSON(w io.Writer, r *pipetest.Report) error {
	type shownCase struct {
		File     string         `json:"file"`
		Line     int            `json:"line"`
		Column   int            `json:"column"`
		Name     string         `json:"name"`
		Status   string         `json:"status"`
		Runs     int            `json:"runs"`
		Passes   int            `json:"passes"`
		Needed   int            `json:"needed"`
		Duration int64          `json:"duration_ms"`
		Failures []shownFailure `json:"failures"`
	}
	type shownSnapshot struct {
		File string `json:"file"`
		Name string `json:"name"`
	}
	shown := struct {
		Passed  int             `json:"passed"`
		Failed  int             `json:"failed"`
		Cases   []shownCase     `json:"cases"`
		Written []shownSnapshot `json:"written_snapshots"`
		Unused  []shownSnapshot `json:"unused_snapshots"`
	}{len(r.Outcomes) - r.Failed(), r.Failed(), []shownCase{}, []shownSnapshot{}, []shownSnapshot{}}
	for _, o := range r.Outcomes {
		c := shownCase{File: o.Case.Pos.File, Line: o.Case.Pos.Line, Column: o.Case.Pos.Column, Name: o.Case.Name, Status: "passed",
			Runs: o.Runs, Passes: o.Passed, Needed: o.Need, Duration: o.Duration.Milliseconds(), Failures: []shownFailure{}}
		if !o.OK() {
			c.Status = "failed"
		}
		for _, f := range o.Failures {
			c.Failures = append(c.Failures, shownFailure{f.Pos.File, f.Pos.Line, f.Pos.Column, f.Expression, f.Message, append([]string{}, f.Detail...)})
		}
		shown.Cases = append(shown.Cases, c)
	}
	for _, s := range r.Written {
		shown.Written = append(shown.Written, shownSnapshot(s))
	}
	for _, s := range r.Unused {
		shown.Unused = append(shown.Unused, shownSnapshot(s))
	}
	return printJSON(w, shown)
}

// The elements of a JUnit report, as https://github.com/testmoapp/junitxml has them.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`

	took time.Duration
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr"`
	File      string        `xml:"file,attr"`
	Line      int           `xml:"line,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func reportJUnit(w io.Writer, r *pipetest.Report) error {
	all := junitSuites{Tests: len(r.Outcomes), Failures: r.Failed()}
	var took time.Duration
	for _, o := range r.Outcomes {
		file := o.Case.Pos.File
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != file {
			all.Suites = append(all.Suites, junitSuite{Name: file})
		}
		suite := &all.Suites[len(all.Suites)-1]
		c := junitCase{Name: o.Case.Name, ClassName: strings.TrimSuffix(file, pipetest.Ending), File: file, Line: o.Case.Pos.Line, Time: seconds(o.Duration)}
		suite.Tests++
		suite.took += o.Duration
		took += o.Duration
		if !o.OK() {
			suite.Failures++
			c.Failure = &junitFailure{Message: headline(o.Failures[0])}
			for _, f := range o.Failures {
				c.Failure.Text += fmt.Sprintf("%s: %s\n", f.Pos, headline(f))
				for _, l := range details(f) {
					c.Failure.Text += "  " + l + "\n"
				}
			}
		}
		suite.Cases = append(suite.Cases, c)
	}
	for i := range all.Suites {
		all.Suites[i].Time = seconds(all.Suites[i].took)
	}
	all.Time = seconds(took)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
