package pipetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

const judgePrompt = `Judge how well a text or a value meets a rubric.

The rubric:
${{ input.rubric }}

What you judge:
${{ input.value }}

Give a score from 0 (it fails the rubric altogether) to 1 (it meets all of it), and the reason in one or two sentences.`

// judged asks a judge and says why the score is too low; nil where it is not.
func (p Plan) judged(ctx context.Context, c *Case, j *spec.Object, seen spec.Values) *Failure {
	fail := func(message string, detail ...string) *Failure {
		return &Failure{Pos: j.Place("rubric"), Expression: "judge: " + short(j.Expr("rubric").Source()), Message: message, Detail: detail}
	}
	value := seen["output"]
	if x := j.Expr("of"); x != nil {
		var err error
		if value, err = x.Eval(seen); err != nil {
			return fail(err.Error())
		}
	}
	rubric, err := j.Expr("rubric").Eval(seen)
	if err != nil {
		return fail(err.Error())
	}
	graph, err := p.judge(c, j)
	if err != nil {
		return fail(err.Error())
	}
	input := map[string]any{"rubric": rubric, "value": value}
	result, err := engine.Run(ctx, graph, input, p.engineOptions(c)...)
	switch {
	case errors.Is(err, nodes.ErrUnmocked):
		return fail("the judge has no mock, and no model is asked", "give it a mock under mocks, or let it be asked with --live")
	case err != nil:
		return fail("the judge gave no score: " + err.Error())
	}
	verdict := result.Output.(map[string]any)
	score, least := number(verdict["score"]), j.Float("min_score")
	if score >= least {
		return nil
	}
	return fail(fmt.Sprintf("the score is %s, less than %s", short(spec.AsText(verdict["score"])), strconv.FormatFloat(least, 'g', -1, 64)),
		append(valued("of", value), valued("the judge says", verdict["reason"])...)...)
}

func number(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return 0
}

// judge is a pipeline that asks the judge alone. It has the header of the pipeline that is tested, as far as the settings
// of an agent may refer to it.
func (p Plan) judge(c *Case, j *spec.Object) (*engine.Graph, error) {
	about := c.file.pipeline
	src, err := spec.ReadFile(nil, about.File)
	if err != nil {
		return nil, fmt.Errorf("reading the pipeline: %w", err)
	}
	all, err := spec.ParseValue(string(src))
	if err != nil {
		return nil, fmt.Errorf("reading the pipeline: %w", err)
	}
	header, ok := all.(map[string]any)
	if !ok {
		return nil, errors.New("the pipeline has changed")
	}
	doc := map[string]any{}
	for _, key := range []string{"models", "agents", "tools", "defaults", "params", "env", "secrets"} {
		if v, ok := header[key]; ok {
			doc[key] = v
		}
	}
	settings := maps.Clone(j.Raw("agent"))
	if settings == nil {
		name, _ := j.Ref("agent")
		settings = map[string]any{"use": name}
	}
	settings["output_schema"] = map[string]any{
		"type": "object", "additionalProperties": false, "required": []any{"score", "reason"},
		"properties": map[string]any{
			"score": map[string]any{"type": "number", "minimum": int64(0), "maximum": int64(1)}, "reason": map[string]any{"type": "string"},
		},
	}
	doc["name"], doc["agent"], doc["prompt"] = judgeName, settings, judgePrompt
	lang := nodes.Language(p.options(c)...)
	graph, problems := lang.Parse(judgeName, about.Folder, []byte(spec.AsJSON(doc)), c.file.opts...)
	problems = slices.DeleteFunc(problems, func(d spec.Diagnostic) bool { return d.Warning })
	if graph == nil {
		return nil, fmt.Errorf("making the judge: %w", problems)
	}
	return graph, nil
}
