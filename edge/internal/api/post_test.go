package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/umf"
)

var postPaths = []string{"send", "queue", "message"}

const (
	toService = `{"to":"svc:[GET]/p","frm":"web:/","mid":"m-1","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":{"n":9007199254740993}}`
	toSession = `{"to":"k7abcdefghijklmnopqrstuvwx@client:/","frm":"web:/","mid":"m-1","ttl":60,"bdy":1}`
)

// post sends a message to the clients' port.
func post(t *testing.T, a *API, path, body string, header http.Header) reply {
	t.Helper()
	return ask(t, a.Public(), "POST", prefix+path, body, header)
}

// TestPostOrigin: what a foreign page may not send over a WebSocket it may not
// post either. Programs send no Origin.
func TestPostOrigin(t *testing.T) {
	allowed := make([]config.Origin, 1)
	if err := allowed[0].Decode("https://app.example"); err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]int{
		"":                     http.StatusBadRequest, // of what is posted here
		"http://example.com":   http.StatusBadRequest, // httptest's own host
		"https://app.example":  http.StatusBadRequest,
		"https://evil.example": http.StatusForbidden,
		"null":                 http.StatusForbidden,
		// Two fields.
		"https://app.example|https://evil.example": http.StatusForbidden,
		"|https://evil.example":                    http.StatusForbidden,
	} {
		header := http.Header{}
		if origin != "" {
			header["Origin"] = strings.Split(origin, "|")
		}
		for _, path := range postPaths {
			n, a := newNode(t, func(n *fakeNode) { n.Config.AllowedOrigins = allowed })
			got := post(t, a, path, "{}", header)
			if got.status != want || want == http.StatusForbidden && got.description != "Origin is not allowed" {
				t.Errorf("POST %s from %q: %d %s, want %d", path, origin, got.status, got.body, want)
			}
			if dropped := n.counted(t, "hydrant_dropped_total"); (dropped == 1) != (want == http.StatusForbidden) {
				t.Errorf("POST %s from %q: %v are counted", path, origin, dropped)
			}
		}
	}
}

// TestShortOfMemory: a node that is short of memory reads no messages of
// strangers into it.
func TestShortOfMemory(t *testing.T) {
	n, a := newNode(t, func(n *fakeNode) { n.short = true })
	for i, path := range postPaths {
		got := post(t, a, path, "{}", nil)
		if got.status != http.StatusServiceUnavailable || got.description != "Node is short of memory" {
			t.Errorf("POST %s: %d %s", path, got.status, got.body)
		}
		if shed := n.counted(t, "hydrant_shed_total"); shed != float64(i+1) {
			t.Errorf("POST %s: %v are counted", path, shed)
		}
	}
	if got := ask(t, a.Public(), "GET", "/healthz", "", nil); got.status != http.StatusOK {
		t.Errorf("GET /healthz: %d", got.status)
	}
}

// TestPostRefuses: bodies that go nowhere.
func TestPostRefuses(t *testing.T) {
	const invalid, address = "Invalid UMF message", "Invalid address"
	for _, test := range []struct {
		body   string
		status int
		text   string
	}{
		{``, http.StatusBadRequest, invalid},
		{`{`, http.StatusBadRequest, invalid},
		{`null`, http.StatusBadRequest, invalid},
		{`[]`, http.StatusBadRequest, invalid},
		{`"x"`, http.StatusBadRequest, invalid},
		{`{}`, http.StatusBadRequest, invalid},
		{`{"frm":"web:/","bdy":1}`, http.StatusBadRequest, invalid},
		{`{"to":1,"frm":"web:/","bdy":1}`, http.StatusBadRequest, invalid},
		{`{"to":"svc:/","frm":"web:/"}`, http.StatusBadRequest, invalid},
		{`{"to":"svc:/","frm":"web:/","fwd":7,"bdy":1}`, http.StatusBadRequest, invalid},
		{strings.Repeat("[", 200_000), http.StatusBadRequest, invalid},
		{`{"to":"*:/","frm":"web:/","bdy":1}`, http.StatusBadRequest, address},
		{`{"to":">:/","frm":"web:/","bdy":1}`, http.StatusBadRequest, address},
		{`{"to":"a.b:/","frm":"web:/","bdy":1}`, http.StatusBadRequest, address},
		{`{"to":"svc","frm":"web:/","bdy":1}`, http.StatusBadRequest, address},
		{`{"to":"hydra-router:/","frm":"web:/","bdy":1}`, http.StatusBadRequest, address},
		{`{"to":"hydra-router:/","frm":"web:/","fwd":"","bdy":1}`, http.StatusBadRequest, address},
		{`{"to":"svc:/","frm":"web:/","fwd":"hydra-router:/","bdy":1}`, http.StatusBadRequest, address},
		{`{"to":"svc:/","frm":"web:/","fwd":"nowhere","bdy":1}`, http.StatusBadRequest, address},
		{`{"to":"svc:/","frm":"web:/","bdy":"` + strings.Repeat("x", 1<<20+32<<10) + `"}`, http.StatusRequestEntityTooLarge, "Message is too large"},
	} {
		for _, path := range postPaths {
			n, a := newNode(t, nil)
			got := post(t, a, path, test.body, nil)
			if got.status != test.status || got.description != test.text || len(n.nats.sent) > 0 {
				t.Errorf("%s %.60q: %d %s, want %d %q; sent %v", path, test.body, got.status, got.body, test.status, test.text, n.nats.sent)
			}
			if n.logged.Len() > 0 {
				t.Errorf("%s %.60q: in the log: %s", path, test.body, &n.logged)
			}
		}
	}
}

// TestPostNotRead: a body that breaks off.
func TestPostNotRead(t *testing.T) {
	_, a := newNode(t, nil)
	w := httptest.NewRecorder()
	a.Public().ServeHTTP(w, httptest.NewRequest("POST", prefix+"send", iotest.ErrReader(errors.New("broken"))))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "Message could not be read") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestPostWithoutNATS: nothing is promised that may not be kept.
func TestPostWithoutNATS(t *testing.T) {
	for name, change := range map[string]func(*fakeNode){
		"not connected": func(n *fakeNode) { n.connected = false },
		"not serving":   func(n *fakeNode) { n.serving = false },
		"refused by it": func(n *fakeNode) {
			n.nats.err = errors.New("internal detail")
			n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {}}
		},
	} {
		for _, path := range postPaths {
			for _, body := range []string{toService, toSession} {
				if path == "message" && body == toSession {
					continue // TestPostMessage has it
				}
				n, a := newNode(t, change)
				got := post(t, a, path, body, nil)
				if got.status != http.StatusServiceUnavailable || got.description != "Messaging is unavailable" || len(n.nats.sent) > 0 {
					t.Errorf("%s, %s: %d %s", name, path, got.status, got.body)
				}
				want := ""
				if n.nats.err != nil {
					want = "posted message not taken"
				}
				if said := n.logged.String(); !strings.Contains(said, want) || want == "" && said != "" {
					t.Errorf("%s, %s: in the log: %s, want %q", name, path, said, want)
				}
			}
		}
	}
}

// TestPostSigned: the sender is told what is wrong with a signature.
func TestPostSigned(t *testing.T) {
	keys := umf.NewKeys("first")
	sign := func(mid, ts string) string {
		e := new(umf.Envelope)
		text := `{"to":"svc:/","frm":"web:/","mid":"` + mid + `","ts":"` + ts + `","sig":"%s","bdy":1}`
		if err := umf.Scan(fmt.Appendf(nil, text, ""), e); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(text, keys.Sign(e))
	}
	now := string(umf.AppendTimestamp(nil, time.Now()))
	fresh := sign("m-1", now)
	_, signed := newNode(t, func(n *fakeNode) { n.Signatures = access.NewSignatures([]string{"first"}, time.Minute, func() {}) })
	for _, test := range []struct {
		name, body string
		status     int
		text       string
	}{
		{"fresh", fresh, http.StatusOK, succeeded},
		{"again", fresh, http.StatusBadRequest, "Signed UMF message was sent before"},
		{"unsigned", toService, http.StatusBadRequest, "Not a signed UMF message"},
		{"changed", strings.Replace(sign("m-2", now), `"bdy":1`, `"bdy":2`, 1), http.StatusBadRequest, "Invalid signed UMF message"},
		{"old", sign("m-3", "2020-01-12T20:16:29.157Z"), http.StatusBadRequest, "Signed UMF message is outside the time window"},
	} {
		if got := post(t, signed, "send", test.body, nil); got.status != test.status || got.description != test.text {
			t.Errorf("%s: %d %s, want %d %q", test.name, got.status, got.body, test.status, test.text)
		}
	} // Nothing is wrong with one that finds no room to be remembered.
	if got := refuseSignature(access.ErrReplayFull); got.status != http.StatusServiceUnavailable || got.text != "Too many signed UMF messages within the time window" {
		t.Errorf("no room: %+v", got)
	}
}
