package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// merges are what pipelines do with a hundred results. They use nothing that only flowrun has.
var merges = map[string]string{
	"pick":    "results[0].name",
	"collect": "map(results, .name)",
	"choose":  `filter(results, .score > 50 and .kind == "review")`,
	"best":    `sortBy(results, .score, "desc")[0].name`,
	"mean":    "sum(results, .score) / len(results)",
	"add":     "map(results, .score * 2 + 1)",
	"report":  `{accepted: count(results, .ok), names: map(filter(results, .ok), upper(.name)), total: sum(results, .score)}`,
	"lines":   `reduce(results, #acc + .name + ": " + .kind + "\n", "")`,
	"group":   "map(groupBy(results, .kind).review, .score)",
	"same":    "filter(results, .kind == results[0].kind)",
}

// BenchmarkMerge compares a merge as flowrun evaluates it, within bounds, with the same one in expr-lang alone:
//
//	go test ./spec -run '^$' -bench BenchmarkMerge -count 5
//
// The quotient of a pair is what the bounds cost. Both evaluate the same value from the same variables; flowrun also makes
// it canonical.
func BenchmarkMerge(b *testing.B) {
	vars := map[string]any{"results": hundred()}
	for name, src := range merges {
		plain, err := expr.Compile(src, expr.Env(vars))
		if err != nil {
			b.Fatal(err)
		}
		p, problems := Parse("p.yaml", ".", []byte("input: {type: array}\nset: "+AsJSON("${{ "+strings.ReplaceAll(src, "results", "input")+" }}")+"\n"), tiny())
		if err := problems.Err(); err != nil {
			b.Fatal(err)
		}
		bounded, env := p.Root.Expr("set"), Values{"input": vars["results"]}
		b.Run(name+"/plain", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := vm.Run(plain, vars); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/bounded", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bounded.Eval(env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func hundred() []any {
	list := make([]any, 100)
	for i := range list {
		list[i] = map[string]any{"name": fmt.Sprint("agent ", i), "score": int64(i), "kind": []string{"review", "draft"}[i%2], "ok": i%3 > 0}
	}
	return list
}
