package nodes

import (
	"regexp"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// header is what only the top of a file takes, in the order in which it is read: models before the agents that name
// them.
func header(o *options) []spec.Field {
	variable := spec.List{Of: spec.Text{Pattern: variableName, Is: "the name of an environment variable"}}
	model := spec.Text{Check: o.known, Is: "provider/name"}
	return []spec.Field{
		{Name: "flowrun", Form: spec.Whole{Min: 1, Max: 1, Is: "1, the version that this flowrun reads"}, Summary: "version of this format"},
		{Name: "name", Form: spec.NameForm{}, Summary: "what the pipeline is called; without it the file's base name"},
		{Name: "description", Form: spec.Text{}, Summary: "a note for people"},
		{Name: "input", Form: spec.SchemaForm{}, Summary: "what the run's input must be; without it anything"},
		{Name: "params", Form: spec.Map{Names: true, Of: spec.SchemaForm{Entry: true}}, Summary: "typed parameters, given as --param name=value and read as params.name; one without a default must be given"},
		{Name: "env", Form: variable, Summary: "environment variables that expressions may read as env.NAME; each needs a grant"},
		{Name: "secrets", Form: variable, Summary: "environment variables that only environment and headers may read, as secrets.NAME; their values are masked"},
		{Name: "models", Form: spec.Map{Of: spec.OneOf{model, spec.Record{Fields: modelFields(model)}}}, Summary: "short names for models"},
		{Name: "tools", Form: spec.Map{Names: true, Of: toolFields()}, Unused: "nobody uses the tool %s", Summary: "tools by name, for agents and nodes to call"},
		{Name: "agents", Form: spec.Map{Names: true, Of: settings(o)}, Unused: "nobody uses the agent %s", Summary: "agents by name, for nodes to use"},
		{Name: "defaults", Form: spec.Record{Fields: []spec.Field{
			{Name: "model", Form: spec.Ref{Section: "models", Also: o.known}, Summary: "of every agent that sets none"},
			{Name: "timeout", Form: spec.Duration{Positive: true}, Summary: "of every leaf that sets none"},
			{Name: "retry", Form: engine.RetryForm(), Summary: "of every leaf that sets none"},
		}}, Summary: "settings for agents and leaves that set none"},
		{Name: "limits", Form: spec.Record{Fields: engine.Limits()}, Summary: "what ends a run that goes too far"},
		{Name: "output", Form: spec.Code{}, Moment: spec.AfterChildren, Summary: "the run's output; without it the root's"},
		{Name: "finally", Form: spec.NodeForm{}, Locals: []spec.Local{
			{Name: "status", Summary: "completed, failed or cancelled", Type: func(*spec.Node) spec.Type { return spec.String }},
			{Name: "error", Summary: "why the run failed: {message, kind, node}, else nil"},
		}, Summary: "a node that runs last whatever happened, with 10 steps and 30 s of its own; prev is the run's output, nil where it failed"},
	}
}
