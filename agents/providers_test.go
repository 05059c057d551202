package agents

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const known = "providers: mock, openai, anthropic, azure, gemini, mistral, groq, deepseek, openrouter, together, ollama, vllm, lmstudio, llamacpp"

func TestKnown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ ref, problem, hint string }{
		"a provider's":        {"openai/gpt-4.1", "", ""},
		"with more slashes":   {"openrouter/anthropic/claude", "", ""},
		"a program's own":     {"mine/big", "", ""},
		"the mock":            {"mock", "", ""},
		"a mock with a name":  {"mock/slow", "", ""},
		"nothing":             {"", `a model is written provider/name, not ""`, known + ", mine"},
		"no slash":            {"gpt-4.1", `a model is written provider/name, not "gpt-4.1"`, known + ", mine"},
		"a provider alone":    {"openai", `a model is written provider/name, not "openai"`, known + ", mine"},
		"no name":             {"openai/", `"openai/" lacks the name of the model behind the slash`, known + ", mine"},
		"a blank name":        {"openai/ ", `"openai/ " lacks the name of the model behind the slash`, known + ", mine"},
		"a mock without one":  {"mock/", `"mock/" lacks the name of the model behind the slash`, known + ", mine"},
		"no provider":         {"/gpt-4.1", `unknown provider "" in "/gpt-4.1"; a model is written provider/name`, known + ", mine"},
		"a misspelt provider": {"opneai/gpt-4.1", `unknown provider "opneai" in "opneai/gpt-4.1"; a model is written provider/name`, known + ", mine"},
		"other letters":       {"OpenAI/gpt-4.1", `unknown provider "OpenAI" in "OpenAI/gpt-4.1"; a model is written provider/name`, known + ", mine"},
		"several lines":       {"a\nb", `a model is written provider/name, not "a\nb"`, known + ", mine"},
	}
	set := NewSet(WithEnv(env{}.lookup), WithProvider("mine", func(string) (Model, error) { return &Mock{}, nil }))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problem, hint := set.Known(tt.ref)
			if problem != tt.problem || hint != tt.hint {
				t.Errorf("\n got %s | %s\nwant %s | %s", problem, hint, tt.problem, tt.hint)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	azure := env{"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://unit.openai.azure.com/"}
	tests := map[string]struct {
		env     env
		ref     string
		baseURL string
		want    string // where the model is asked and with which key, or the error
	}{
		"openai":                  {env{"OPENAI_API_KEY": "k"}, "openai/m", "", "https://api.openai.com/v1 k m"},
		"openai elsewhere":        {env{"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": " http://proxy:8080/openai/ "}, "openai/m", "", "http://proxy:8080/openai k m"},
		"a blank address":         {env{"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": " "}, "openai/m", "", "https://api.openai.com/v1 k m"},
		"the file's address":      {env{"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://proxy/v1"}, "openai/m", "https://other/v2", "https://other/v2 k m"},
		"a key in white space":    {env{"OPENAI_API_KEY": "\tk\r\n"}, "openai/m", "", "https://api.openai.com/v1 k m"},
		"no key":                  {env{}, "openai/m", "", "openai needs a key: set OPENAI_API_KEY"},
		"an empty key":            {env{"OPENAI_API_KEY": ""}, "openai/m", "", "openai needs a key: set OPENAI_API_KEY"},
		"a blank key":             {env{"OPENAI_API_KEY": " \n"}, "openai/m", "", "openai needs a key: set OPENAI_API_KEY"},
		"no key for elsewhere":    {env{}, "openai/m", "http://127.0.0.1:1/v1", "openai needs a key: set OPENAI_API_KEY"},
		"a key in two lines":      {env{"OPENAI_API_KEY": "k\nX-Evil: 1"}, "openai/m", "", "OPENAI_API_KEY has a line break or another control character in its key"},
		"gemini":                  {env{"GEMINI_API_KEY": "g", "GOOGLE_API_KEY": "k"}, "gemini/m", "", "https://generativelanguage.googleapis.com/v1beta/openai g m"},
		"gemini by Google's key":  {env{"GEMINI_API_KEY": " ", "GOOGLE_API_KEY": "k"}, "gemini/m", "", "https://generativelanguage.googleapis.com/v1beta/openai k m"},
		"gemini without a key":    {env{}, "gemini/m", "", "gemini needs a key: set GEMINI_API_KEY or GOOGLE_API_KEY"},
		"mistral":                 {env{"MISTRAL_API_KEY": "k"}, "mistral/m", "", "https://api.mistral.ai/v1 k m"},
		"groq":                    {env{"GROQ_API_KEY": "k"}, "groq/m", "", "https://api.groq.com/openai/v1 k m"},
		"deepseek":                {env{"DEEPSEEK_API_KEY": "k"}, "deepseek/m", "", "https://api.deepseek.com/v1 k m"},
		"openrouter":              {env{"OPENROUTER_API_KEY": "k"}, "openrouter/a/b", "", "https://openrouter.ai/api/v1 k a/b"},
		"together":                {env{"TOGETHER_API_KEY": "k", "TOGETHER_BASE_URL": "https://eu/v1"}, "together/m", "", "https://eu/v1 k m"},
		"azure":                   {azure, "azure/m", "", "https://unit.openai.azure.com/openai/v1 k m"},
		"azure with its path":     {azure, "azure/m", "https://unit.openai.azure.com/openai/v1/", "https://unit.openai.azure.com/openai/v1 k m"},
		"azure without a place":   {env{"AZURE_OPENAI_API_KEY": "k"}, "azure/m", "", "azure needs an address: set AZURE_OPENAI_ENDPOINT or AZURE_BASE_URL"},
		"anthropic":               {env{"ANTHROPIC_API_KEY": "k"}, "anthropic/m", "", "https://api.anthropic.com/v1 k m"},
		"anthropic elsewhere":     {env{"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://host/claude/"}, "anthropic/m", "", "https://host/claude/v1 k m"},
		"anthropic with its path": {env{"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://host/v1"}, "anthropic/m", "", "https://host/v1 k m"},
		"anthropic without a key": {env{}, "anthropic/m", "", "anthropic needs a key: set ANTHROPIC_API_KEY"},
		"vllm":                    {env{}, "vllm/m", "", "http://127.0.0.1:8000/v1 - m"},
		"vllm with a key":         {env{"VLLM_API_KEY": "k"}, "vllm/m", "", "http://127.0.0.1:8000/v1 k m"},
		"lmstudio":                {env{}, "lmstudio/m", "", "http://127.0.0.1:1234/v1 - m"},
		"llamacpp":                {env{"LLAMACPP_BASE_URL": "http://gpu:9/v1"}, "llamacpp/m", "", "http://gpu:9/v1 - m"},
		"ollama":                  {env{}, "ollama/llama3:8b", "", "http://127.0.0.1:11434/v1 - llama3:8b"},
		"ollama on a host":        {env{"OLLAMA_HOST": "gpu"}, "ollama/m", "", "http://gpu:11434/v1 - m"},
		"ollama on a port":        {env{"OLLAMA_HOST": ":9"}, "ollama/m", "", "http://127.0.0.1:9/v1 - m"},
		"ollama on both":          {env{"OLLAMA_HOST": `"gpu:9"`}, "ollama/m", "", "http://gpu:9/v1 - m"},
		"ollama everywhere":       {env{"OLLAMA_HOST": "0.0.0.0"}, "ollama/m", "", "http://127.0.0.1:11434/v1 - m"},
		"ollama on IPv6":          {env{"OLLAMA_HOST": "[fd00::1]"}, "ollama/m", "", "http://[fd00::1]:11434/v1 - m"},
		"ollama below a path":     {env{"OLLAMA_HOST": "gpu/llm/v1/"}, "ollama/m", "", "http://gpu:11434/llm/v1 - m"},
		"ollama by an address":    {env{"OLLAMA_HOST": "https://gpu/"}, "ollama/m", "", "https://gpu/v1 - m"},
		"ollama with a password":  {env{"OLLAMA_HOST": "u:hunter2@gpu:9"}, "ollama/m", "", "OLLAMA_HOST is no address such as https://host/v1"},
		"a scheme that is none":   {env{"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "ftp://host/v1"}, "openai/m", "", `OPENAI_BASE_URL must begin with http:// or https://, not "ftp"`},
		"an address without one":  {env{"OPENAI_API_KEY": "k"}, "openai/m", "localhost:8000/v1", `base_url must begin with http:// or https://, not "localhost"`},
		"an address with a user":  {env{"OPENAI_API_KEY": "k"}, "openai/m", "https://u:hunter2@host/v1", "base_url must have no user and no password in it"},
		"an address without host": {env{"OPENAI_API_KEY": "k"}, "openai/m", "https://:443/v1", "base_url lacks a host"},
		"an address with a query": {env{"OPENAI_API_KEY": "k"}, "openai/m", "https://host/v1?api-version=1", "base_url must end before the ? or # in it"},
		"an address that is none": {env{"OPENAI_API_KEY": "k"}, "openai/m", "https://u:hunter2@host:x/v1", "base_url is no address such as https://host/v1"},
		"a program's own":         {env{}, "mine/big", "", "mine big"},
		"its own, elsewhere":      {env{}, "mine/big", "http://host", "mine takes no base_url"},
		"its own, which fails":    {env{}, "mine/bad", "", "no such thing"},
		"the mock":                {env{}, "mock/slow", "", "mock is not asked through a provider"},
		"unknown":                 {env{}, "opneai/m", "", `unknown provider "opneai" in "opneai/m"; a model is written provider/name`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := NewSet(WithEnv(tt.env.lookup), WithProvider("mine", func(model string) (Model, error) {
				if model == "bad" {
					return nil, fmt.Errorf("no such thing")
				}
				return own(model), nil
			}))
			m, err := set.Open(tt.ref, tt.baseURL)
			if got := describe(m, err); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if err != nil && m != nil {
				t.Error("there is a model beside the error")
			}
		})
	}
}

// own is a program's own model.
type own string

func (o own) Answer(context.Context, Question, func(string)) (Answer, error) {
	return Answer{Text: string(o)}, nil
}

func describe(m Model, err error) string {
	if err != nil {
		return err.Error()
	}
	switch m := m.(type) {
	case own:
		return "mine " + string(m)
	case *remote:
		return strings.Join([]string{m.home.String(), cmp.Or(m.key, "-"), m.name}, " ")
	}
	return fmt.Sprintf("%T", m)
}

// TestNoKeyNoHeader holds that langchaingo's own environment variables are not looked at, and that a server without a
// key is not sent one.
func TestNoKeyNoHeader(t *testing.T) {
	for _, name := range []string{"OPENAI_API_KEY", "OPENAI_ORGANIZATION", "OPENAI_MODEL", "OPENAI_BASE_URL", "OPENAI_API_BASE"} {
		t.Setenv(name, "leaked")
	}
	f := serve(t, says(200, "application/json", `{"choices":[{"message":{"content":"ok"}}]}`))
	m, err := NewSet(WithEnv(env{"OLLAMA_HOST": f.Listener.Addr().String()}.lookup), WithClient(f.Client())).Open("ollama/m", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Answer(t.Context(), hello(), nil); err != nil {
		t.Fatal(err)
	}
	asked := f.asked()[0]
	if asked.path != "/v1/chat/completions" {
		t.Errorf("path is %s", asked.path)
	}
	if got := fmt.Sprint(asked.header, asked.body); strings.Contains(got, "leaked") || asked.header.Get("Authorization") != "" {
		t.Errorf("sent %s", got)
	}
}

func TestSetTakesTheEnvironment(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", " k ")
	m, err := NewSet().Open("openai/m", "https://host/v1")
	if got, want := describe(m, err), "https://host/v1 k m"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	set := NewSet(WithEnv(env{
		"OPENAI_API_KEY": " k1\n", "GEMINI_API_KEY": "k2", "GOOGLE_API_KEY": "k3", "VLLM_API_KEY": "k4", "GROQ_API_KEY": " ",
		"OPENAI_BASE_URL": "http://host",
	}.lookup))
	got := set.Secrets()
	slices.Sort(got)
	if want := "k1 k2 k3 k4"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %s", got, want)
	}
}

// TestClientIsCopied holds that a program's client keeps its own way with redirects.
func TestClientIsCopied(t *testing.T) {
	t.Parallel()
	c := &http.Client{}
	NewSet(WithClient(c))
	if c.CheckRedirect != nil {
		t.Error("the program's client was changed")
	}
}

// TestProviders holds that every row of the table can be asked, or says what it lacks.
func TestProviders(t *testing.T) {
	t.Parallel()
	for _, p := range Providers() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			e := env{}
			for _, name := range p.KeyEnv {
				e[name] = "k"
			}
			if p.BaseURL == "" {
				e[p.BaseEnv[0]] = "https://host"
			}
			if _, err := NewSet(WithEnv(e.lookup)).Open(p.Name+"/m", ""); err != nil {
				t.Error(err)
			}
			_, err := NewSet(WithEnv(env{}.lookup)).Open(p.Name+"/m", "http://host")
			if p.Local != (err == nil) {
				t.Errorf("without a key: %v", err)
			}
			for _, name := range p.BaseEnv {
				e[name] = "https://elsewhere/v9"
				m, err := NewSet(WithEnv(e.lookup)).Open(p.Name+"/m", "")
				if got := describe(m, err); !strings.HasPrefix(got, "https://elsewhere/v9 ") {
					t.Errorf("with %s: %s", name, got)
				}
			}
		})
	}
}

// TestPage holds what docs/agents.md says of schemas.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "agents.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[format]string{
		byWord: "in words", jsonObject: "in words, as any JSON object", toldSchema: "in the request and in words", jsonSchema: "in the request",
	}
	for _, p := range Providers() {
		row := regexp.MustCompile("(?m)^\\| `" + p.Name + "` .* \\| (.*) \\|$").FindSubmatch(page)
		if row == nil || string(row[1]) != told[p.format] {
			t.Errorf("%s: the page says %s, the table %s", p.Name, row, told[p.format])
		}
	}
}
