package api

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hydrant/edge/internal/config"
)

// TestReadyz: clients learn which part is missing, and administrators why.
func TestReadyz(t *testing.T) {
	n, a := newNode(t, nil)
	for _, test := range []struct {
		reasons       map[string]string
		status        int
		public, admin string
	}{
		{nil, http.StatusOK, `{"ready":true,"reasons":[]}`, `{"ready":true,"reasons":[]}`},
		{map[string]string{"nats": "not connected"}, http.StatusServiceUnavailable, `{"ready":false,"reasons":["nats"]}`, `{"ready":false,"reasons":["nats: not connected"]}`},
	} {
		n.reasons = test.reasons
		for _, way := range []struct {
			h    http.Handler
			want string
		}{{a.Public(), test.public}, {atHome(a), test.admin}} {
			got := ask(t, way.h, "GET", "/readyz", "", nil)
			if got.status != test.status || got.body != way.want+"\n" || got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s, want %d %s", got.status, got.body, test.status, way.want)
			}
		}
	}
	// The token shows nothing more to a client: it is for the router API.
	if got := ask(t, a.Public(), "GET", "/readyz", "", bearer(testToken)); strings.Contains(got.body, "not connected") {
		t.Error(got.body)
	}
}

// TestHealthz: alive, whatever else is wrong.
func TestHealthz(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) {
		n.serving, n.connected, n.short, n.reasons = false, false, true, map[string]string{"nats": "gone"}
	})
	for _, h := range []http.Handler{a.Public(), atHome(a)} {
		if got := ask(t, h, "GET", "/healthz", "", nil); got.status != http.StatusOK ||
			got.body != `{"statusCode":200,"statusMessage":"OK","statusDescription":"alive","result":{}}` {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// TestUnknownPaths: with any method, in an envelope. What is for administrators is
// not on the clients' port, with the token neither.
func TestUnknownPaths(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken = testToken })
	const want = `{"statusCode":404,"statusMessage":"Not Found","statusDescription":"The requested resource was not found on the server","result":{"reason":"Resource not found"}}`
	for _, test := range []struct {
		h     http.Handler
		paths []string
	}{
		{a.Public(), []string{
			"GET /v1/router", "POST /v1/router", "GET /v1/router/", "GET /v1/router/sends", "PUT /v1/router/list",
		}},
		{atHome(a), []string{
			"GET /", "GET /nonsense", "GET /v1/router/", "POST /v1/router/send",
			"GET /drain", "PUT /drain", "POST /loglevel", "POST /metrics",
		}},
	} {
		for _, line := range test.paths {
			method, path, _ := strings.Cut(line, " ")
			if got := ask(t, test.h, method, path, "", bearer(testToken)); got.status != http.StatusNotFound || got.body != want {
				t.Errorf("%s: %d %s", line, got.status, got.body)
			}
		}
	}
	for _, line := range []string{
		"GET /", "GET /nonsense", "POST /", "GET /metrics", "GET /debug/pprof/", "GET /debug/pprof/heap", "POST /drain", "PUT /loglevel", "GET /loglevel", "GET /drain",
	} {
		method, path, _ := strings.Cut(line, " ")
		if got := ask(t, a.Public(), method, path, "", bearer(testToken)); got.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", line, got.status, got.body)
		}
	}
}

// TestMethods: the few paths that do not take every method say which they take.
func TestMethods(t *testing.T) {
	_, a := newNode(t, nil)
	for line, allow := range map[string]string{
		"POST /healthz": "GET, HEAD, OPTIONS", "PUT /readyz": "GET, HEAD, OPTIONS",
		"GET /v1/router/send": "POST, OPTIONS", "HEAD /v1/router/queue": "POST, OPTIONS", "PUT /v1/router/message": "POST, OPTIONS",
	} {
		method, path, _ := strings.Cut(line, " ")
		if got := ask(t, a.Public(), method, path, "", nil); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != allow {
			t.Errorf("%s: %d, Allow %q", line, got.status, got.header.Get("Allow"))
		}
		if got := ask(t, a.Public(), "OPTIONS", path, "", nil); got.status != http.StatusNoContent || got.header.Get("Allow") != allow {
			t.Errorf("OPTIONS of %s: %d, Allow %q", path, got.status, got.header.Get("Allow"))
		}
	}
}

// TestClientIsServed: the client is there for any page, whatever the API asks for, and
// before any service with that path.
func TestClientIsServed(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) { n.Config.HttpApi, n.serving = config.HTTPAPIOff, false })
	header := http.Header{"Origin": {"https://elsewhere.example.com"}}
	got := ask(t, a.Public(), "GET", "/hydrant.js", "", header)
	if got.status != http.StatusOK || !strings.Contains(got.body, "export const connect") || got.header.Get("ETag") == "" || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d, %v, %.100s", got.status, got.header, got.body)
	}
	header.Set("Accept-Encoding", "gzip, deflate, br")
	zipped := ask(t, a.Public(), "GET", "/hydrant.js", "", header)
	if zipped.header.Get("Content-Encoding") != "gzip" || !strings.Contains(zipped.header.Get("Vary"), "Accept-Encoding") || zipped.header.Get("ETag") == got.header.Get("ETag") || len(zipped.body) > 14_000 {
		t.Errorf("compressed: %d bytes, %v", len(zipped.body), zipped.header)
	}
	if got := ask(t, a.Public(), "OPTIONS", "/hydrant.js", "", header); got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("OPTIONS: %d, %v", got.status, got.header)
	}
	if got := ask(t, a.Public(), "POST", "/hydrant.js", "", header); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %d, %v", got.status, got.header)
	}
}

// TestNoPage: who opens a node in a browser learns what it is.
func TestNoPage(t *testing.T) {
	_, a := newNode(t, nil)
	if got := ask(t, a.Public(), "GET", "/", "", nil); got.status != http.StatusNotFound || !strings.Contains(got.body, "this is a node of Hydrant") {
		t.Errorf("%d, %s", got.status, got.body)
	}
}

// TestRefusedOriginsAreLogged: once each, whichever way they come.
func TestRefusedOriginsAreLogged(t *testing.T) {
	n, a := newNode(t, nil)
	for _, origin := range []string{"https://app.example.com", "http://localhost:8000"} {
		for _, line := range []string{"OPTIONS /v1/router/send", "POST /v1/router/send", "GET /v1/router/version"} {
			method, path, _ := strings.Cut(line, " ")
			if got := ask(t, a.Public(), method, path, "{}", http.Header{"Origin": {origin}}); got.status != http.StatusForbidden {
				t.Errorf("%s: %d", line, got.status)
			}
		}
		if said := n.logged.String(); strings.Count(said, "EDGE_ALLOWED_ORIGINS="+origin) != 1 {
			t.Errorf("%s: the log has\n%s", origin, said)
		}
	}
}

// TestOwnPages: what a program has pages for is not asked of services, and read by no
// page of another origin, whatever may connect.
func TestOwnPages(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method+" of a page") })
	_, a := newNode(t, func(n *fakeNode) {
		n.Pages, n.Config.AllowedOrigins = map[string]http.Handler{"/": page, "/a/b": page}, allowed(t, "*")
	})
	for _, path := range []string{"/", "/a/b"} {
		got := ask(t, a.Public(), "POST", path, "", http.Header{"Origin": {"https://elsewhere.example.com"}})
		if got.status != http.StatusOK || got.body != "POST of a page" || got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d, %v, %s", path, got.status, got.header, got.body)
		}
	}
	for _, path := range []string{"/a", "/a/b/", "//", "/a/b/c"} {
		if got := ask(t, a.Public(), "GET", path, "", nil); got.status != http.StatusNotFound {
			t.Errorf("%s: %d, %s", path, got.status, got.body)
		}
	}
}

// allowed is a setting of origins.
func allowed(t *testing.T, text string) []config.Origin {
	t.Helper()
	var o config.Origin
	if err := o.Decode(text); err != nil {
		t.Fatal(err)
	}
	return []config.Origin{o}
}

// TestPages: pages of origins that may connect read every answer, with their cookies,
// and no other page reads any.
func TestPages(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) {
		n.Config.AllowedOrigins = allowed(t, "https://app.example.com")
	})
	fields := map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
		"Access-Control-Allow-Headers": "accept, authorization, cache-control, content-type, x-requested-with",
		"Access-Control-Max-Age":       "10",
	}
	for _, line := range []string{
		"GET /v1/router/version 200", "GET /healthz 200", "GET /nonsense 404", "GET /v1/router/log 401", "POST /v1/router/send 400",
		"OPTIONS /v1/router/send 204", "OPTIONS /whatever/path 204", "OPTIONS /healthz 204",
	} {
		var method, path string
		var status int
		if _, err := fmt.Sscan(line, &method, &path, &status); err != nil {
			t.Fatal(err)
		}
		got := ask(t, a.Public(), method, path, "", http.Header{"Origin": {"https://app.example.com"}})
		if got.status != status || got.header.Get("Vary") != "Origin" || status == http.StatusNoContent && got.body != "" {
			t.Errorf("%s: %d, Vary %q, %q", line, got.status, got.header.Get("Vary"), got.body)
		}
		for name, want := range fields {
			if got := got.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", line, name, got)
			}
		}
		for _, origin := range []string{"https://evil.example.com", "null", "http://app.example.com", "https://app.example.com.evil.com", ""} {
			var header http.Header
			want := status
			if origin != "" {
				header = http.Header{"Origin": {origin}}
				if path != "/healthz" || method == "OPTIONS" {
					want = http.StatusForbidden
				}
			}
			got := ask(t, a.Public(), method, path, "", header)
			if got.status != want || got.header.Get("Vary") != "Origin" {
				t.Errorf("%s from %q: %d, want %d", line, origin, got.status, want)
			}
			for name := range fields {
				if got.header.Get(name) != "" {
					t.Errorf("%s from %q: %s is %q", line, origin, name, got.header.Get(name))
				}
			}
		}
	}
}

// TestPagesWhereAllMayConnect: never * together with credentials.
func TestPagesWhereAllMayConnect(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) {
		n.Config.AllowedOrigins = allowed(t, "*")
	})
	for _, origin := range []string{"https://anywhere.example.com", "null"} {
		got := ask(t, a.Public(), "GET", prefix+"version", "", http.Header{"Origin": {origin}})
		if got.header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("%q gets %v", origin, got.header)
		}
	}
}

// TestEnvelopeOfNoJSON: data that is no JSON ends in 500 and tells nothing.
func TestEnvelopeOfNoJSON(t *testing.T) {
	w := httptest.NewRecorder()
	writeEnvelope(w, http.StatusOK, "fine", math.NaN())
	if w.Code != http.StatusInternalServerError || w.Body.String() != "internal error\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestServerLimits: no request is read, and no answer written, for ever.
func TestServerLimits(t *testing.T) {
	n, a := newNode(t, func(n *fakeNode) { n.Config.HandshakeTimeout = 3 * time.Second })
	s := a.Server(http.NotFoundHandler())
	if s.ReadHeaderTimeout != 3*time.Second || s.ReadTimeout != 30*time.Second || s.WriteTimeout != 2*time.Minute ||
		s.IdleTimeout != time.Minute || s.MaxHeaderBytes != 8<<10 {
		t.Errorf("%+v", s)
	}
	s.ErrorLog.Print("a client misbehaves")
	if n.logged.Len() > 0 {
		t.Errorf("at level info the log has: %s", &n.logged)
	}
}
