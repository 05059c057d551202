package nodes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

const (
	dialTimeout  = 30 * time.Second
	maxRedirects = 10
)

// newClient sends requests to hosts that are granted, and connects only to addresses that their grant covers: a name is
// looked up once, and what it leads to is checked. Each hop of a redirect is checked the same way. An error of either is an
// [*engine.Error]. patience bounds the time from a request to the first of its answer; 0 does not.
func newClient(g engine.Grants, patience time.Duration) *http.Client {
	c := &client{grants: g}
	c.direct = &http.Transport{DialContext: c.dial, ResponseHeaderTimeout: patience, DisableKeepAlives: true}
	c.proxied = &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		ResponseHeaderTimeout: patience, DisableKeepAlives: true}
	return &http.Client{Transport: c, CheckRedirect: c.redirected}
}

// client is a transport that keeps to what is granted.
type client struct {
	grants  engine.Grants
	direct  *http.Transport // looks at each address before it connects
	proxied *http.Transport // connects to the proxy that the user's environment names
}

// RoundTrip sends one request.
func (c *client) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := http.ProxyFromEnvironment(req)
	if err == nil {
		err = c.refused(req.URL)
	}
	switch {
	case err != nil:
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	case proxy != nil:
		return c.proxied.RoundTrip(req)
	}
	return c.direct.RoundTrip(req)
}

// refused says why no request may go to an address, as far as its spelling shows: a proxy looks up names itself.
func (c *client) refused(u *url.URL) error {
	if engine.OddHost(u.Host) {
		return engine.Errorf(engine.Permission, "%s is a number that programs read in different ways; write it as four, such as 192.0.2.1", short(u.Hostname()))
	}
	if need := (spec.Need{Grant: "net", Name: u.Host}); !c.grants.Allow(need) {
		return engine.Errorf(engine.Permission, "it needs %s", need.Flag())
	}
	return nil
}

// dial connects to host:port by one of its addresses.
func (c *client) dial(ctx context.Context, network, host string) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error { return c.grants.Reach(host, address) }}
	return d.DialContext(ctx, network, host)
}

// redirected checks where a request is sent on, and takes from it what was meant for the first host.
func (c *client) redirected(next *http.Request, before []*http.Request) error {
	need := spec.Need{Grant: "net", Name: next.URL.Host}
	intruding := engine.Inward(next.URL.Host) && !engine.Inward(before[0].URL.Host) && !c.grants.Named(next.URL.Host)
	if intruding || !c.grants.Allow(need) {
		return engine.Errorf(engine.Permission, "it was redirected to a host that needs %s", need.Flag())
	}
	if len(before) >= maxRedirects {
		return fmt.Errorf("it was redirected more than %d times", maxRedirects)
	}
	if first := before[0]; next.URL.Host != first.URL.Host || next.URL.Scheme != first.URL.Scheme {
		for name := range first.Header { // they were meant for the one that the file names
			if name != "Content-Type" {
				next.Header.Del(name)
			}
		}
		next.Header.Del("Referer")
	}
	return nil
}
