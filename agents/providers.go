package agents

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Provider is where models are asked: a row of the table of [Providers].
type Provider struct {
	Name    string
	KeyEnv  []string // environment variables that may hold the key; the first that is set counts
	BaseEnv []string // environment variables that may hold the address, in place of BaseURL; the first that is set counts
	BaseURL string   // the address; where it is empty, one of BaseEnv must be set
	Local   bool     // runs at home and needs no key

	path   string // of the API, where an address has none
	limit  string // its name for max_tokens, where it has another
	seed   string // its name for seed, where it has another
	strict bool   // refuses a request that asks for usage, and tells it anyway
	format format // how answers are held to a schema
	claude bool   // speaks Anthropic's messages; the others speak OpenAI's chat completions
}

// Providers is the table of the providers that flowrun knows. The mock is none of them.
func Providers() []Provider {
	return []Provider{
		{
			Name: "openai", BaseURL: "https://api.openai.com/v1",
			KeyEnv: []string{"OPENAI_API_KEY"}, BaseEnv: []string{"OPENAI_BASE_URL"},
			limit:  "max_completion_tokens", // its reasoning models refuse max_tokens
			format: jsonSchema,
		},
		{
			Name: "anthropic", BaseURL: "https://api.anthropic.com/v1",
			KeyEnv: []string{"ANTHROPIC_API_KEY"}, BaseEnv: []string{"ANTHROPIC_BASE_URL"},
			claude: true, format: jsonSchema,
		},
		{
			Name:   "azure",
			KeyEnv: []string{"AZURE_OPENAI_API_KEY"}, BaseEnv: []string{"AZURE_OPENAI_ENDPOINT", "AZURE_BASE_URL"},
			path: "/openai/v1", limit: "max_completion_tokens", format: jsonSchema,
		},
		{
			Name: "gemini", BaseURL: "https://generativelanguage.googleapis.com/v1beta/openai",
			KeyEnv: []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}, BaseEnv: []string{"GEMINI_BASE_URL"},
			format: jsonSchema,
		},
		{
			Name: "mistral", BaseURL: "https://api.mistral.ai/v1",
			KeyEnv: []string{"MISTRAL_API_KEY"}, BaseEnv: []string{"MISTRAL_BASE_URL"},
			seed: "random_seed", strict: true, // it answers 422 to what it does not know: https://docs.mistral.ai/api/
			format: jsonSchema,
		},
		{
			Name: "groq", BaseURL: "https://api.groq.com/openai/v1",
			KeyEnv: []string{"GROQ_API_KEY"}, BaseEnv: []string{"GROQ_BASE_URL"},
			format: toldSchema,
		},
		{
			Name: "deepseek", BaseURL: "https://api.deepseek.com/v1",
			KeyEnv: []string{"DEEPSEEK_API_KEY"}, BaseEnv: []string{"DEEPSEEK_BASE_URL"},
			format: jsonObject,
		},
		{
			Name: "openrouter", BaseURL: "https://openrouter.ai/api/v1",
			KeyEnv: []string{"OPENROUTER_API_KEY"}, BaseEnv: []string{"OPENROUTER_BASE_URL"},
			format: toldSchema,
		},
		{
			Name: "together", BaseURL: "https://api.together.xyz/v1",
			KeyEnv: []string{"TOGETHER_API_KEY"}, BaseEnv: []string{"TOGETHER_BASE_URL"},
			format: toldSchema,
		},
		{
			Name: "ollama", BaseURL: "http://127.0.0.1:11434", Local: true,
			BaseEnv: []string{"OLLAMA_HOST"}, path: "/v1",
			format: toldSchema,
		},
		{
			Name: "vllm", BaseURL: "http://127.0.0.1:8000/v1", Local: true,
			KeyEnv: []string{"VLLM_API_KEY"}, BaseEnv: []string{"VLLM_BASE_URL"},
			format: toldSchema,
		},
		{
			Name: "lmstudio", BaseURL: "http://127.0.0.1:1234/v1", Local: true,
			BaseEnv: []string{"LMSTUDIO_BASE_URL"},
			format:  toldSchema,
		},
		{
			Name: "llamacpp", BaseURL: "http://127.0.0.1:8080/v1", Local: true,
			BaseEnv: []string{"LLAMACPP_BASE_URL"},
			format:  toldSchema,
		},
	}
}

// Set is the providers that models are taken from: the ones of [Providers] and a program's own. Its methods may be
// called at once, and its models share connections.
type Set struct {
	lookup func(name string) (string, bool)
	client *http.Client
	own    map[string]func(model string) (Model, error)
	idle   bool
	prices *Prices // nil: the built-in table
}

// Option changes what a [Set] is made of.
type Option func(*Set)

// WithEnv takes keys and addresses from lookup instead of [os.LookupEnv].
func WithEnv(lookup func(name string) (string, bool)) Option {
	return func(s *Set) { s.lookup = lookup }
}

// WithProvider adds a provider, or takes the place of one: open gets what stands behind the slash.
func WithProvider(name string, open func(model string) (Model, error)) Option {
	return func(s *Set) { s.own[name] = open }
}

// Idle makes a set whose models nobody asks, as where recorded answers stand in for theirs: none lacks a key or an
// address.
func Idle() Option {
	return func(s *Set) { s.idle = true }
}

// WithClient sends requests with a copy of c, which refuses redirects. The default goes through the proxy that the
// environment names for https (HTTPS_PROXY, NO_PROXY) and through none for http.
func WithClient(c *http.Client) Option {
	return func(s *Set) { s.client = c }
}

// NewSet makes a set of all providers.
func NewSet(opts ...Option) *Set {
	s := &Set{
		lookup: os.LookupEnv,
		client: &http.Client{Transport: newTransport()},
		own:    map[string]func(string) (Model, error){},
	}
	for _, opt := range opts {
		opt(s)
	}
	client := *s.client
	client.CheckRedirect = refuseRedirects
	s.client = &client
	return s
}

// Known says what is wrong with the name of a model, in one line, and what could be written instead. Both are empty
// where nothing is: for provider/name with a provider of the set, and for the mock.
func (s *Set) Known(ref string) (problem, hint string) {
	provider, model, slash := strings.Cut(ref, "/")
	if ref == "mock" || provider == "mock" && model != "" {
		return "", ""
	}
	names := s.Names()
	switch {
	case !slash:
		problem = fmt.Sprintf("a model is written provider/name, not %q", truncate(ref))
	case !slices.Contains(names, provider):
		problem = fmt.Sprintf("unknown provider %q in %q; a model is written provider/name", truncate(provider), truncate(ref))
	case strings.TrimSpace(model) == "":
		problem = fmt.Sprintf("%q lacks the name of the model behind the slash", truncate(ref))
	default:
		return "", ""
	}
	return problem, "providers: " + strings.Join(names, ", ")
}

// Names is every provider that a model may have, the mock first.
func (s *Set) Names() []string {
	names := []string{"mock"}
	for _, p := range Providers() {
		names = append(names, p.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.own)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Open gives the model that is called provider/name. baseURL, where it is not empty, takes the place of the provider's
// address and gets its key. Nothing is asked before the model is. An error says what the environment lacks.
func (s *Set) Open(ref, baseURL string) (Model, error) {
	if problem, _ := s.Known(ref); problem != "" {
		return nil, errors.New(problem)
	}
	name, model, _ := strings.Cut(ref, "/")
	if open := s.own[name]; open != nil {
		if baseURL != "" {
			return nil, fmt.Errorf("%s takes no base_url", name)
		}
		return open(model)
	}
	providers := Providers()
	i := slices.IndexFunc(providers, func(p Provider) bool { return p.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%s is not asked through a provider", name)
	}
	p := providers[i]
	if s.idle {
		return &idle{remote{home: &url.URL{}, provider: p, name: model}}, nil
	}
	address, err := s.address(p, baseURL)
	if err != nil {
		return nil, err
	}
	key, err := s.key(p)
	if err != nil {
		return nil, err
	}
	return &remote{client: s.client, provider: p, home: address, key: key, name: model}, nil
}

// Setup is how the environment configures a provider. There is no key in it.
type Setup struct {
	Provider
	KeyFrom  string // the variable that holds the key; empty: none does
	BaseFrom string // the variable that holds the address; empty: none does
	Address  string // where the provider is asked; empty where that is not known
	Err      error  // why it cannot be asked
}

// Setups is how each provider of [Providers] is configured.
func (s *Set) Setups() []Setup {
	var setups []Setup
	for _, p := range Providers() {
		setup := Setup{Provider: p}
		setup.KeyFrom, _ = s.first(p.KeyEnv)
		setup.BaseFrom, _ = s.first(p.BaseEnv)
		address, err := s.address(p, "")
		if err == nil {
			setup.Address = address.String()
			_, err = s.key(p)
		}
		setup.Err = err
		setups = append(setups, setup)
	}
	return setups
}

// Secrets is the keys that the environment holds for any provider, so that they can be masked.
func (s *Set) Secrets() []string {
	var keys []string
	for _, p := range Providers() {
		for _, name := range p.KeyEnv {
			if _, key := s.first([]string{name}); key != "" {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// first is the first of some environment variables that holds more than white space.
func (s *Set) first(names []string) (name, value string) {
	for _, name := range names {
		value, _ := s.lookup(name)
		if value = strings.TrimSpace(value); value != "" {
			return name, value
		}
	}
	return "", ""
}

func (s *Set) key(p Provider) (string, error) {
	name, key := s.first(p.KeyEnv)
	if key == "" && !p.Local {
		return "", fmt.Errorf("%s needs a key: set %s", p.Name, strings.Join(p.KeyEnv, " or "))
	}
	if strings.ContainsFunc(key, unicode.IsControl) {
		return "", fmt.Errorf("%s has a line break or another control character in its key", name)
	}
	return key, nil
}

// address is where a provider is asked. An error names who set the address and never shows it: there may be a password
// in it.
func (s *Set) address(p Provider, baseURL string) (*url.URL, error) {
	from, raw := "base_url", strings.TrimSpace(baseURL)
	if raw == "" {
		from, raw = s.first(p.BaseEnv)
	}
	if raw == "" {
		from, raw = p.Name, p.BaseURL
	}
	if raw == "" {
		return nil, fmt.Errorf("%s needs an address: set %s", p.Name, strings.Join(p.BaseEnv, " or "))
	}
	if p.Name == "ollama" {
		raw = ollamaAddress(raw)
	}
	u, err := Address(raw)
	if err != nil {
		return nil, fmt.Errorf("%s %w", from, err)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if u.Path == "" {
		u.Path = p.path
	}
	if p.claude && !version.MatchString(u.Path) {
		u.Path += "/v1" // Anthropic's own tools leave it out
	}
	return u, nil
}

// Address reads an address at which a provider may be asked. The error says what is wrong with it as if its name stood
// before, and never shows it: there may be a password in it.
func Address(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("is no address such as https://host/v1")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("must begin with http:// or https://, not %q", u.Scheme)
	case u.User != nil:
		return nil, errors.New("must have no user and no password in it")
	case u.Hostname() == "":
		return nil, errors.New("lacks a host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("must end before the ? or # in it")
	}
	return u, nil
}

var version = regexp.MustCompile(`/v\d+$`)

// ollamaAddress completes an address without a scheme as Ollama's own tools do, which take a bare host or port too:
// https://github.com/ollama/ollama/blob/main/envconfig/config.go.
func ollamaAddress(s string) string {
	s = strings.Trim(s, `"'`)
	if strings.Contains(s, "://") {
		return s
	}
	hostport, path, _ := strings.Cut(s, "/")
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), "11434"
	}
	// A server listens on all addresses by such a name; a client asks its own machine.
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/" + path
}
