package api

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"hydrant/edge/internal/config"
)

// TestChangesAreGuarded: what changes something wants the token where there is
// one, and no browser where there is none. Reading wants the token as well; without one
// it may be a page of the listener's own.
func TestChangesAreGuarded(t *testing.T) {
	page := http.Header{"Sec-Fetch-Site": {"cross-site"}} // an <img> has no Origin
	same := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	origin := http.Header{"Origin": {"https://evil.example"}}
	both := bearer(testToken)
	both.Set("Origin", "https://tools.example")
	const (
		needed   = "EDGE_ADMIN_TOKEN is needed as bearer token"
		browsers = "Browsers need a token: set EDGE_ADMIN_TOKEN"
	)
	for _, test := range []struct {
		token       string
		header      http.Header
		status      int // 0: it goes through
		description string
	}{
		{"", nil, 0, ""},
		{"", bearer("any"), 0, ""},
		{"", page, http.StatusForbidden, browsers},
		{"", same, http.StatusForbidden, browsers}, // but for reading
		{"", origin, http.StatusForbidden, browsers},
		{testToken, nil, http.StatusUnauthorized, needed},
		{testToken, page, http.StatusUnauthorized, needed},
		{testToken, bearer("wrong"), http.StatusUnauthorized, needed},
		{testToken, http.Header{"Host": {"localhost"}}, http.StatusUnauthorized, needed},
		{testToken, bearer(testToken), 0, ""},
		{testToken, both, 0, ""},
	} {
		for _, request := range []struct {
			method, path, body string
			passed             int
			guarded            bool
		}{
			{"POST", "/drain", "", http.StatusAccepted, true},
			{"PUT", "/loglevel", "debug", http.StatusOK, true},
			{"GET", prefix + "clear", "", http.StatusFound, true},
			{"GET", "/loglevel", "", http.StatusOK, false},
			{"GET", prefix + "log", "", http.StatusOK, false},
		} {
			n, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken, n.LogLevel = test.token, new(slog.LevelVar) })
			want := request.passed
			if test.status != 0 && (request.guarded || test.header.Get("Sec-Fetch-Site") != "same-origin") {
				want = test.status
			}
			got := ask(t, atHome(a), request.method, request.path, request.body, test.header)
			if got.status != want || want == test.status && got.description != test.description {
				t.Errorf("%s %s with token %q and %v: %d %s, want %d", request.method, request.path, test.token, test.header, got.status, got.body, want)
			}
			if asks := got.header.Get("WWW-Authenticate"); (asks == "Bearer") != (want == http.StatusUnauthorized) {
				t.Errorf("%s %s: status %d asks for %q", request.method, request.path, got.status, asks)
			}
			if want == test.status && (len(n.drains) > 0 || n.LogLevel.Level() != slog.LevelInfo) {
				t.Errorf("%s %s with %v is refused and takes effect", request.method, request.path, test.header)
			}
		}
	}
}

// TestDrain: the answer comes before the first close.
func TestDrain(t *testing.T) {
	w := httptest.NewRecorder()
	answered := -1
	n, _ := newNode(t, nil)
	n.Config.DrainGrace, n.Config.DrainTimeout = 1500*time.Millisecond, 30*time.Second
	n.Node.Drain = func(why string) {
		answered = w.Body.Len()
		n.drains = append(n.drains, why)
	}
	atHome(New(n.Node)).ServeHTTP(w, httptest.NewRequest("POST", "/drain", nil))
	const want = `{"statusCode":202,"statusMessage":"Accepted","statusDescription":"Draining; the process ends when it is done",` +
		`"result":{"connections":7,"graceSeconds":1.5,"timeoutSeconds":30}}`
	if w.Code != http.StatusAccepted || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(n.drains) != 1 || n.drains[0] != "administrator" || answered != len(want) {
		t.Errorf("drains %q, after %d bytes of the answer", n.drains, answered)
	}
}

// TestDrainAnswersFirst: who asks for a drain has the whole answer also if the process ends
// with the drain, here before its handler does.
func TestDrainAnswersFirst(t *testing.T) {
	var server *httptest.Server
	n, _ := newNode(t, nil)
	n.Node.Drain = func(string) { server.CloseClientConnections() }
	server = httptest.NewServer(atHome(New(n.Node)))
	defer server.Close()
	answer, err := http.Post(server.URL+"/drain", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusAccepted || !bytes.Contains(text, []byte(`"graceSeconds"`)) {
		t.Errorf("%d %s, %v", answer.StatusCode, text, err)
	}
}

// TestLogLevel: it takes the words of the setting, and nothing else.
func TestLogLevel(t *testing.T) {
	for body, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		"debug\n": slog.LevelDebug, `"error"`: slog.LevelError, " warn ": slog.LevelWarn,
	} {
		n, a := newNode(t, func(n *fakeNode) { n.LogLevel = new(slog.LevelVar) })
		before := slog.LevelInfo
		got := ask(t, atHome(a), "PUT", "/loglevel", body, nil)
		word := `{"level":"` + strings.ToLower(want.String()) + `"}`
		if got.status != http.StatusOK || got.result != word || n.LogLevel.Level() != want {
			t.Errorf("%q: %d %s, the level is %v", body, got.status, got.body, n.LogLevel.Level())
		}
		if now := ask(t, atHome(a), "GET", "/loglevel", "", nil); now.status != http.StatusOK || now.result != word {
			t.Errorf("%q: then %d %s", body, now.status, now.body)
		}
		if said := n.logged.String(); !strings.Contains(said, "log level changed") || !strings.Contains(said, "from="+before.String()) {
			t.Errorf("%q: in the log: %s", body, said)
		}
	}
	for _, body := range []string{"", "loud", "INFO", "debug+4", `""`, strings.Repeat("debug", 100), strings.Repeat(" ", maxLevelText) + "debug"} {
		n, a := newNode(t, func(n *fakeNode) { n.LogLevel = new(slog.LevelVar) })
		got := ask(t, atHome(a), "PUT", "/loglevel", body, nil)
		if got.status != http.StatusBadRequest || got.description != "The body must be debug, info, warn or error" || n.LogLevel.Level() != slog.LevelInfo {
			t.Errorf("%.20q: %d %s", body, got.status, got.body)
		}
	}
}

// TestLogLevelNotRead: a body that breaks off changes nothing.
func TestLogLevelNotRead(t *testing.T) {
	n, a := newNode(t, func(n *fakeNode) { n.LogLevel = new(slog.LevelVar) })
	w := httptest.NewRecorder()
	atHome(a).ServeHTTP(w, httptest.NewRequest("PUT", "/loglevel", iotest.ErrReader(errors.New("broken"))))
	if w.Code != http.StatusBadRequest || n.LogLevel.Level() != slog.LevelInfo {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestLogLevelIsFixed: a program may keep it to itself.
func TestLogLevelIsFixed(t *testing.T) {
	_, a := newNode(t, nil)
	for _, method := range []string{"GET", "PUT"} {
		got := ask(t, atHome(a), method, "/loglevel", "debug", nil)
		if got.status != http.StatusNotImplemented || got.description != "The log level of this program is fixed" {
			t.Errorf("%s: %d %s", method, got.status, got.body)
		}
	}
}

// TestAdminPages: metrics and profiles are there, before NATS is.
func TestAdminPages(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) { n.serving = false })
	for path, piece := range map[string]string{
		"/metrics": "hydrant_ready 0", "/debug/pprof/": "goroutine", "/debug/pprof/cmdline": "test", "/debug/pprof/symbol": "num_symbols",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
	} {
		if got := ask(t, atHome(a), "GET", path, "", nil); got.status != http.StatusOK || !strings.Contains(got.body, piece) {
			t.Errorf("%s: %d, without %q", path, got.status, piece)
		}
	}
}

// TestListenAdmin: only the default address gives way to another program.
func TestListenAdmin(t *testing.T) {
	own, err := ListenAdmin("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if l, err := ListenAdmin(own.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "edge: EDGE_ADMIN_LISTEN: ") {
		t.Errorf("%v, %v", l, err)
	}
	if taken, err := net.Listen("tcp", config.DefaultAdminListen); err == nil {
		defer taken.Close()
	} // else another program has it
	l, err := ListenAdmin(config.DefaultAdminListen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if addr := l.Addr().String(); !strings.HasPrefix(addr, "127.0.0.1:") || addr == config.DefaultAdminListen {
		t.Errorf("listens at %s", addr)
	}
}
