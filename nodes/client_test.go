package nodes_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// TestNamesThatLeadHome asks for a public name that its owner lets lead to this machine.
func TestNamesThatLeadHome(t *testing.T) {
	resolve(t, [4]byte{127, 0, 0, 1})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := map[string]string{"/away": "http://other.example", "/home": "http://localhost"}[r.URL.Path]; to != "" {
			http.Redirect(w, r, to+r.Host[strings.LastIndexByte(r.Host, ':'):], http.StatusFound)
			return
		}
		io.WriteString(w, "inside")
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	refused := "permission p.yaml:1:1: p: it leads to 127.0.0.1, which is not of the open internet and needs --allow-net=127.0.0.1:" + port
	tests := map[string]struct {
		address string
		grant   engine.Grant
		err     string
	}{
		"by the bare flag":            {"http://rebind.example:PORT/", engine.Grant{Any: true}, refused},
		"by its name":                 {"http://rebind.example:PORT/", engine.Grant{Names: []string{"rebind.example"}}, refused},
		"by its name and address":     {"http://rebind.example:PORT/", engine.Grant{Names: []string{"rebind.example", "127.0.0.1"}}, ""},
		"by a name that is none here": {"http://printer.local:PORT/", engine.Grant{Names: []string{"printer.local"}}, ""},
		"after a redirect":            {"http://printer.local:PORT/away", engine.Grant{Any: true, Names: []string{"printer.local"}}, refused},
		"after a redirect that leads home": {"http://rebind.example:PORT/home", engine.Grant{Any: true, Names: []string{"rebind.example", "127.0.0.1"}},
			"permission p.yaml:1:1: p: it was redirected to a host that needs --allow-net=localhost:" + port},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := graphOf(t, "http: "+strings.ReplaceAll(tt.address, "PORT", port))
			result, err := engine.Run(t.Context(), g, nil, engine.WithGrants(engine.Grants{By: map[string]engine.Grant{"net": tt.grant}}))
			if result == nil {
				t.Fatal(err)
			}
			if got := outcomeOf(result).Error; got != tt.err || tt.err == "" && result.Output != "inside" {
				t.Errorf("got %v and %q, want %q", result.Output, got, tt.err)
			}
		})
	}
}

// TestModelsThatLeadHome asks a model whose file says where it is: where the name leads home, no question goes there.
func TestModelsThatLeadHome(t *testing.T) {
	resolve(t, [4]byte{127, 0, 0, 1})
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices": [{"message": {"content": "inside"}, "finish_reason": "stop"}]}`)
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	environ := func(name string) (string, bool) {
		value, ok := map[string]string{"OPENAI_API_KEY": "none", "VLLM_BASE_URL": "http://rebind.example:" + port + "/v1"}[name]
		return value, ok
	}
	away := "agent: {model: openai/x, base_url: 'http://rebind.example:" + port + "/v1'}\nprompt: hi\ncatch: {set: '\"caught\"'}"
	tests := map[string]struct {
		src   string
		grant engine.Grant
		err   string
		asked int64
	}{
		"by its name": {away, engine.Grant{Names: []string{"rebind.example"}},
			"permission p.yaml:1:1: p: it leads to 127.0.0.1, which is not of the open internet and needs --allow-net=127.0.0.1:" + port, 0},
		"by its name and address":       {away, engine.Grant{Names: []string{"rebind.example", "127.0.0.1"}}, "", 1},
		"where the environment says so": {"agent: {model: vllm/x}\nprompt: hi", engine.Grant{}, "", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			set := agents.NewSet(agents.WithEnv(environ)) // with connections of its own
			g := graphOf(t, tt.src, nodes.WithAgents(set))
			result, err := engine.Run(t.Context(), g, nil, engine.WithGrants(engine.Grants{By: map[string]engine.Grant{"net": tt.grant}}))
			if result == nil {
				t.Fatal(err)
			}
			if got := outcomeOf(result).Error; got != tt.err || tt.err == "" && result.Output != "inside" || asked.Load() != tt.asked {
				t.Errorf("got %v and %q, asked %d times, want %q and %d", result.Output, got, asked.Load(), tt.err, tt.asked)
			}
		})
	}
}

// resolve lets every name lead to one address, as long as the test runs.
func resolve(t *testing.T, to [4]byte) {
	t.Helper()
	dns, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		b := make([]byte, 512)
		for {
			n, from, err := dns.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = dns.WriteTo(answerDNS(b[:n], to), from)
		}
	}()
	usual := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", dns.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = usual
		dns.Close()
		<-over
	})
}

// answerDNS answers a question for an IPv4 address, and any other with nothing: https://www.rfc-editor.org/rfc/rfc1035#section-4.
func answerDNS(query []byte, to [4]byte) []byte {
	end := 12
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5
	reply := append([]byte(nil), query[:end]...)
	binary.BigEndian.PutUint16(reply[2:], 0x8180)
	clear(reply[6:12])
	if binary.BigEndian.Uint16(query[end-4:]) == 1 {
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, to[0], to[1], to[2], to[3])
	}
	return reply
}
