package agents

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

type checkKey struct{}

// WithDialCheck returns a context in which models connect only to addresses, ip:port, that check takes, for a host with its
// port. A connection that is open already may be used again; one to the proxy of the environment is not checked, nor one of
// a client that [WithClient] brought.
func WithDialCheck(ctx context.Context, check func(host, address string) error) context.Context {
	return context.WithValue(ctx, checkKey{}, check)
}

// dial connects as the context says.
func dial(ctx context.Context, network, host string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	if check, _ := ctx.Value(checkKey{}).(func(host, address string) error); check != nil {
		d.Control = func(_, address string, _ syscall.RawConn) error { return check(host, address) }
	}
	return d.DialContext(ctx, network, host)
}

// unchecked is the context of a request that goes to a proxy.
func unchecked(ctx context.Context, to *url.URL) context.Context {
	if via, err := proxy(&http.Request{URL: to}); err == nil && via != nil {
		return WithDialCheck(ctx, nil)
	}
	return ctx
}
