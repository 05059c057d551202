package cli_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// site starts a web site under two names, $SITE and $OTHER, each with its port, which is $PORT: site
//
// Requests are written to site.log, a line each: the name and path that were asked for, and the header X-Token.
func site(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: site")
	}
	asked, err := os.Create(ts.MkAbs("site.log"))
	ts.Check(err)
	server := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	ts.Check(err)
	server.Config.Handler = logged(pages("localhost:"+port), asked)
	server.Start()
	ts.Defer(func() {
		server.Close()
		asked.Close()
	})
	ts.Setenv("SITE", "127.0.0.1:"+port)
	ts.Setenv("OTHER", "localhost:"+port)
	ts.Setenv("PORT", port)
}

func logged(h http.Handler, to io.Writer) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		fmt.Fprintf(to, "%s %s%s token=%s\n", r.Method, r.Host, r.URL, r.Header.Get("X-Token"))
		mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// pages are one for each way in which a site can behave. The site has another name, to which a page leads.
func pages(other string) http.Handler {
	mux := http.NewServeMux()
	text := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	}
	text("/text", "fine\n")
	text("/json", `{"stars": 5}`)
	text("/lines", "one\r\ntwo\n")
	text("/large", strings.Repeat("x", 17<<20))
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "it moved \x1b[31mout", http.StatusNotFound)
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("/never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.Handle("/near", http.RedirectHandler("/text", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler("http://"+other+"/text", http.StatusFound))
	return mux
}

// echo answers with the request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what came of it will do
	fmt.Fprintf(w, "%s %s\nAuthorization: %s\nContent-Type: %s\n%s\n", r.Method, r.URL, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body)
}
