package api

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
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
		}{{a.Public(), test.public}, {a.Admin(), test.admin}} {
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
	for _, h := range []http.Handler{a.Public(), a.Admin()} {
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
	const want = `{"statusCode":404,"statusMessage":"Not Found","statusDescription":"Resource not found","result":{}}`
	for _, test := range []struct {
		h     http.Handler
		paths []string
	}{
		{a.Public(), []string{
			"GET /", "GET /nonsense", "GET /v1/router", "POST /v1/router", "GET /v1/router/", "POST /", "POST /healthz", "PUT /readyz",
			"GET /v1/router/send", "GET /v1/router/queue", "PUT /v1/router/send", "POST /v1/router/version", "DELETE /v1/router/clear",
			"GET /metrics", "GET /debug/pprof/", "GET /debug/pprof/heap", "POST /drain", "PUT /loglevel", "GET /loglevel", "GET /drain",
		}},
		{a.Admin(), []string{
			"GET /", "GET /nonsense", "GET /v1/router/", "POST /v1/router/send", "POST /v1/router/version",
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
