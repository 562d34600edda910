package edge

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hydrant/bus"
)

// idle is a node that does not run.
func idle(t *testing.T, change func(*Config)) *Node {
	t.Helper()
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	change(&cfg)
	n, err := New(cfg, bus.Config{}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.cancel)
	t.Cleanup(n.pool.stop)
	return n
}

// ask answers one request.
func answerOf(h http.Handler, method, path, body string, header http.Header) int {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// TestClearIsGuarded: clearing the clients' log changes something, so it asks
// on the administrators' listener for what a drain asks for. Reading does not.
func TestClearIsGuarded(t *testing.T) {
	const token = "secret"
	bearer := http.Header{"Authorization": {"Bearer " + token}}
	page := http.Header{"Sec-Fetch-Site": {"cross-site"}} // an <img> has no Origin
	for _, test := range []struct {
		token  string
		path   string
		header http.Header
		want   int
	}{
		{"", "clear", nil, http.StatusFound},
		{"", "clear", page, http.StatusForbidden},
		{token, "clear", nil, http.StatusUnauthorized},
		{token, "clear", bearer, http.StatusFound},
		{token, "log", nil, http.StatusOK},
		{"", "log", nil, http.StatusOK},
	} {
		n := idle(t, func(cfg *Config) { cfg.AdminToken = test.token })
		if got := answerOf(n.adminHTTP(), "GET", apiPrefix+test.path, "", test.header); got != test.want {
			t.Errorf("%s with token %q and %v: %d, want %d", test.path, test.token, test.header, got, test.want)
		}
	}
}

// TestShortOfMemory: a node that is short of memory reads no messages of
// strangers into it.
func TestShortOfMemory(t *testing.T) {
	n := idle(t, func(*Config) {})
	n.short.Store(true)
	for _, path := range []string{"send", "queue", "message"} {
		if got := answerOf(n.publicHTTP(), "POST", apiPrefix+path, "{}", nil); got != http.StatusServiceUnavailable {
			t.Errorf("POST %s: %d", path, got)
		}
	}
	if got := answerOf(n.publicHTTP(), "GET", "/healthz", "", nil); got != http.StatusOK {
		t.Errorf("GET /healthz: %d", got)
	}
}

// TestRoutesBeforeNATS: an administrator who looks at a node that still waits
// for NATS is told so.
func TestRoutesBeforeNATS(t *testing.T) {
	n := idle(t, func(*Config) {})
	for path := range apiRoutes {
		want := http.StatusOK
		switch path {
		case "list/nodes", "list/services", "list/routes", "list/wsdir":
			want = http.StatusServiceUnavailable
		case "clear":
			want = http.StatusFound
		}
		if got := answerOf(n.adminHTTP(), "GET", apiPrefix+path, "", nil); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// TestPostOrigin: what a foreign page may not send over a
// WebSocket it may not post either. Programs send no Origin.
func TestPostOrigin(t *testing.T) {
	n := idle(t, func(cfg *Config) { cfg.AllowedOrigins = []string{"https://app.example"} })
	for origin, want := range map[string]int{
		"":                     http.StatusBadRequest, // of what is posted here
		"http://example.com":   http.StatusBadRequest, // httptest's own host
		"https://app.example":  http.StatusBadRequest,
		"https://evil.example": http.StatusForbidden,
		"null":                 http.StatusForbidden,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		for _, path := range []string{"send", "queue", "message"} {
			if got := answerOf(n.publicHTTP(), "POST", apiPrefix+path, "{}", header); got != want {
				t.Errorf("POST %s from %q: %d, want %d", path, origin, got, want)
			}
		}
	}
}
