package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/spec"
)

const longest = 1 << 20

// readAll reads inputs, each as its line number with its value or what is wrong.
func readAll(t *testing.T, src string, isCSV bool) (all []string, raw string) {
	t.Helper()
	in, err := newInputs(iotest.HalfReader(strings.NewReader(src)), isCSV, longest)
	if err != nil {
		return []string{"refused: " + err.Error()}, ""
	}
	for {
		l, err := in.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			return all, raw
		}
		raw += string(l.raw)
		v, err := in.value(l, nil)
		if err != nil {
			all = append(all, fmt.Sprintf("%d %v", l.number, err))
		} else {
			all = append(all, fmt.Sprintf("%d %s", l.number, spec.AsJSON(v)))
		}
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", longest)
	tests := map[string]struct {
		csv  bool
		src  string
		want string
	}{
		"values":                              {false, "1\n\"a\"\n{\"b\": [2]}\nnull\n", `1 1|2 "a"|3 {"b":[2]}|4 null`},
		"blank lines, CRLF, BOM, no newline":  {false, "\ufeff1\r\n\r\n  \n2", `1 1|4 2`},
		"none":                                {false, "", ``},
		"only blank lines":                    {false, "\n\n", ``},
		"a broken line between others":        {false, "1\n{\"a\": \n3\n", `1 1|2 it is not JSON: unexpected EOF|3 3`},
		"two values on a line":                {false, "1 2\n", `1 there is more after the JSON value`},
		"a line that is as long as it may be": {false, `"` + long[3:] + "\"\n1\n", `1 "` + long[3:] + `"|2 1`},
		"one that is too long":                {false, `"` + long[2:] + "\"\n1\n", `1 the line is longer than 1 MiB|2 1`},
		"the last of which is too long":       {false, "1\n" + long + long, `1 1|2 the line is longer than 1 MiB`},

		"rows":                       {true, "a,b\n1,x\n2,\n", `2 {"a":"1","b":"x"}|3 {"a":"2","b":""}`},
		"no rows":                    {true, "a,b\n", ``},
		"no header":                  {true, "", `refused: it has no header`},
		"a header twice the same":    {true, "a,b,a\n", `refused: two columns of its header are called "a"`},
		"a header with an empty":     {true, "a,\n", `refused: column 2 of its header has no name`},
		"a header that is broken":    {true, "a\"b\n", `refused: its header: bare " in non-quoted-field`},
		"quotes, commas, newlines":   {true, "\ufeffa,b\r\n\"x, y\",\"say \"\"hi\"\"\"\r\n\"two\r\n\r\nlines\",z\r\n3,4", `2 {"a":"x, y","b":"say \"hi\""}|3 {"a":"two\n\nlines","b":"z"}|6 {"a":"3","b":"4"}`},
		"too few and too many":       {true, "a,b\n1\n1,2\n1,2,3\n\n1,2\n", `2 the row is not CSV: it has 1 field, and the header has 2|3 {"a":"1","b":"2"}|4 the row is not CSV: it has 3 fields, and the header has 2|6 {"a":"1","b":"2"}`},
		"a quote where none may be":  {true, "a,b\n1,x\"y\n2,\"x\"y\n3,z\n", `2 the row is not CSV: bare " in non-quoted-field|3 the row is not CSV: extraneous or missing " in quoted-field|4 {"a":"3","b":"z"}`},
		"a quote that is not closed": {true, "a,b\n1,\"x\n2,y\n", `2 the row is not CSV: extraneous or missing " in quoted-field`},
		"one that goes on too long":  {true, "a\n\"" + long + "\n1\n", `2 the line is longer than 1 MiB|3 {"a":"1"}`},
		"quotes over too many lines": {true, "a\n\"" + long[:longest/2] + "\n" + long[:longest/2] + "\n1\n", `2 the line is longer than 1 MiB|4 {"a":"1"}`},
		"text that is not UTF-8":     {true, "a\n\xff\n", `2 {"a":"` + "\ufffd" + `"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, _ := readAll(t, tt.src, tt.csv)
			if got := strings.Join(all, "|"); got != tt.want {
				t.Errorf("\n got %.300s\nwant %.300s", got, tt.want)
			}
		})
	}
}

// Whatever is written as CSV is read back, and the text of the rows, put together, is the file.
func TestInputsReadRowsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cells := rapid.SliceOfN(rapid.SliceOfN(rapid.StringMatching(`[a",\n é]{0,6}`), 2, 2), 0, 20).Draw(rt, "rows")
		var src bytes.Buffer
		src.WriteString("p,q\n")
		var want []string
		for _, row := range cells {
			for i, cell := range row {
				if i > 0 {
					src.WriteByte(',')
				}
				src.WriteString(`"` + strings.ReplaceAll(cell, `"`, `""`) + `"`)
			}
			src.WriteByte('\n')
			want = append(want, spec.AsJSON(map[string]any{"p": row[0], "q": row[1]}))
		}
		all, raw := readAll(t, src.String(), true)
		for i, l := range all {
			_, all[i], _ = strings.Cut(l, " ")
		}
		if got, want := strings.Join(all, "\n"), strings.Join(want, "\n"); got != want {
			rt.Errorf("\n got %s\nwant %s", got, want)
		}
		if "p,q\n"+raw != src.String() {
			rt.Errorf("the rows are %q, of the file %q", raw, src.String())
		}
	})
}
