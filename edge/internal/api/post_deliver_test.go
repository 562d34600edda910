package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
)

// TestPostGoes: what is sent, and where.
func TestPostGoes(t *testing.T) {
	const via = `"via":` + router
	data := func(to, more string) string {
		return `{"to":"` + to + `","frm":"web:/","mid":"m-1","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6",` + more + via + `,"bdy":1}`
	}
	body := func(to, more string) string {
		return `{"to":"` + to + `","from":"web:/","mid":"m-1","timestamp":"2026-01-12T20:16:29.157Z","version":"UMF/1.4.6",` + more + `"body":1}`
	}
	out := scheme.MailboxSubject(testSID)
	session := string(testSID) + "@client:/"
	const minute = `"ttl":60,`
	for _, test := range []struct {
		path, to, more string
		subject        string
		ttl            time.Duration
	}{
		{"send", "svc:/p", "", "umf.v1.svc.svc", 0},
		{"send", "one@svc:/p", "", "umf.v1.inst.svc.one", 0},
		{"send", "svc:[get]/p", "", "umf.v1.svc.svc", 0},
		{"send", session, "", out, 0},
		{"send", session, minute, out, time.Minute},
		{"queue", "svc:/job", "", "umf.v1.work.svc", 0},
		{"queue", "svc:/job", minute, "umf.v1.work.svc", 0},
		{"queue", "one@svc:/job", "", "umf.v1.work.svc", 0},
		{"queue", session, minute, out, time.Minute},
		{"message", "svc:[get]/p", "", "umf.v1.svc.svc", 0},
		{"message", "one@svc:[get]/p", "", "umf.v1.inst.svc.one", 0},
	} {
		n, a := newNode(t, func(n *fakeNode) {
			n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {}}
			n.nats.answer = []byte(`{"result":{"answer":42}}`)
		})
		got := post(t, a, test.path, body(test.to, test.more), nil)
		want := `{"mid":"m-1"}`
		if test.path == "message" {
			want = `{"answer":42}`
		}
		if got.status != http.StatusOK || got.description != "Request succeeded without error" || got.result != want {
			t.Errorf("%s to %s: %d %s", test.path, test.to, got.status, got.body)
		}
		if len(n.nats.sent) != 1 {
			t.Errorf("%s to %s: sent %v", test.path, test.to, n.nats.sent)
			continue
		}
		s := n.nats.sent[0]
		if s.subject != test.subject || s.ttl != test.ttl {
			t.Errorf("%s to %s: sent to %s for %v, want %s for %v", test.path, test.to, s.subject, s.ttl, test.subject, test.ttl)
		}
		if canonical(t, s.data) != canonical(t, data(test.to, test.more)) {
			t.Errorf("%s to %s: sent %s", test.path, test.to, s.data)
		}
	}
}

// canonical is a JSON object with its keys in order.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	out, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestPostForward: a forward is the address, and replaces to; the rest stays.
func TestPostForward(t *testing.T) {
	n, a := newNode(t, nil)
	got := post(t, a, "send", `{"to":"hydra-router:/","forward":"svc:[get]/p","frm":"web:/","mid":7,"x-own":[1,2],"bdy":{"n":9007199254740993}}`, nil)
	if got.status != http.StatusOK || got.result != `{"mid":7}` || len(n.nats.sent) != 1 {
		t.Fatalf("%d %s, sent %v", got.status, got.body, n.nats.sent)
	}
	s := n.nats.sent[0]
	for _, piece := range []string{`"to":"svc:[get]/p"`, `"fwd":"svc:[get]/p"`, `"mid":7`, `"x-own":[1,2]`, `"bdy":{"n":9007199254740993}`, `"ts":"20`, `"ver":"UMF/1.4.6"`, `"via":` + router} {
		if !strings.Contains(s.data, piece) {
			t.Errorf("no %s in %s", piece, s.data)
		}
	}
	if s.subject != "umf.v1.svc.svc" {
		t.Errorf("sent to %s", s.subject)
	}
}

// TestPostWithoutMid: the message gets one, and its sender learns it.
func TestPostWithoutMid(t *testing.T) {
	for _, path := range []string{"send", "queue"} {
		n, a := newNode(t, nil)
		got := post(t, a, path, `{"to":"svc:/p","frm":"web:/","bdy":1}`, nil)
		mid, ok := strings.CutPrefix(got.result, `{"mid":`)
		if got.status != http.StatusOK || !ok || len(mid) < 20 || len(n.nats.sent) != 1 || !strings.Contains(n.nats.sent[0].data, `"mid":`+strings.TrimSuffix(mid, "}")) {
			t.Errorf("%s: %d %s, sent %v", path, got.status, got.body, n.nats.sent)
		}
	}
}

// TestPostToNoSession: one that does not exist, or could not.
func TestPostToNoSession(t *testing.T) {
	for _, to := range []string{string(scheme.NewSID()) + "@client:/", "client:/", "nonsense@client:/", strings.ToUpper(string(testSID)) + "@client:/"} {
		for _, path := range []string{"send", "queue"} {
			n, a := newNode(t, func(n *fakeNode) { n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {}} })
			got := post(t, a, path, `{"to":"`+to+`","frm":"web:/","bdy":1}`, nil)
			if got.status != http.StatusNotFound || got.description != "No such client" || len(n.nats.sent) > 0 {
				t.Errorf("%s to %s: %d %s", path, to, got.status, got.body)
			}
		}
	}
}

// TestPostMessage: how a request ends.
func TestPostMessage(t *testing.T) {
	for _, test := range []struct {
		answer string
		err    error
		status int
		text   string
		result string
	}{
		{`{"to":"web:/","frm":"i@s:/","mid":"a","bdy":{"answer":42}}`, nil, http.StatusOK, succeeded, `{"answer":42}`},
		{`{"result":[1]}`, nil, http.StatusOK, succeeded, `[1]`},
		{`plain "text"`, nil, http.StatusOK, succeeded, `"plain \"text\""`},
		{``, nil, http.StatusOK, succeeded, `{}`},
		{``, nats.ErrNoResponders, http.StatusServiceUnavailable, "Unavailable svc instances", `{}`},
		{``, fmt.Errorf("wrapped: %w", context.DeadlineExceeded), http.StatusGatewayTimeout, "No answer in time", `{}`},
		{``, nats.ErrConnectionClosed, http.StatusServiceUnavailable, "Messaging is unavailable", `{}`},
		{``, context.Canceled, http.StatusServiceUnavailable, "Messaging is unavailable", `{}`},
	} {
		n, a := newNode(t, func(n *fakeNode) { n.nats.answer, n.nats.err = []byte(test.answer), test.err })
		got := post(t, a, "message", toService, nil)
		if got.status != test.status || got.description != test.text || got.result != test.result {
			t.Errorf("%s, %v: %d %s, want %d %q %s", test.answer, test.err, got.status, got.body, test.status, test.text, test.result)
		}
		if logged := n.logged.Len() > 0; logged != (test.text == "Messaging is unavailable") {
			t.Errorf("%v: in the log: %s", test.err, &n.logged)
		}
	}
	n, a := newNode(t, func(n *fakeNode) { n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {}} })
	if got := post(t, a, "message", toSession, nil); got.status != http.StatusBadRequest || got.description != "Invalid address" || len(n.nats.sent) > 0 {
		t.Errorf("to a session: %d %s", got.status, got.body)
	}
}

// TestPostTimeout: NATS is asked for no longer than EDGE_REQUEST_TIMEOUT.
func TestPostTimeout(t *testing.T) {
	n, a := newNode(t, nil)
	n.Config.RequestTimeout = time.Hour
	var left time.Duration
	from := caller{}
	if err := a.entitle(&from, access.Identity{}); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", prefix+"send", strings.NewReader(toService))
	a.servePost(httptest.NewRecorder(), r, from, func(_ *API, ctx context.Context, p *posted) (any, error) {
		end, _ := ctx.Deadline()
		left = time.Until(end)
		return p.taken(), nil
	})
	if left <= time.Hour-time.Minute || left > time.Hour {
		t.Errorf("%v are left", left)
	}
}

// TestPostRequestIsRefused: a service of NATS' own framework says no in headers, and
// its status is that of the answer.
func TestPostRequestIsRefused(t *testing.T) {
	for _, test := range []struct {
		header nats.Header
		status int
		text   string
		result string
	}{
		{nats.Header{"Nats-Service-Error": {"no such order"}, "Nats-Service-Error-Code": {"404"}}, 404, "no such order", `{"reason":"no such order","code":"404","status":404}`},
		{nats.Header{"Nats-Service-Error": {"none"}, "Nats-Service-Error-Code": {"OUT"}}, 502, "none", `{"reason":"none","code":"OUT","status":502}`},
		{nats.Header{"nats-service-error": nil}, 502, "The service refuses", `{"reason":"The service refuses","code":"service","status":502}`},
	} {
		_, a := newNode(t, func(n *fakeNode) { n.nats.answer, n.nats.header = []byte(`{"result":{"answer":42}}`), test.header })
		if got := post(t, a, "message", `{"to":"s:[GET]/p","frm":"web:/","bdy":1}`, nil); got.status != test.status || got.description != test.text || got.result != test.result {
			t.Errorf("%v: %d %s", test.header, got.status, got.body)
		}
	}
}

// TestPostMessageIsARequest: it names a method and a path.
func TestPostMessageIsARequest(t *testing.T) {
	for to, want := range map[string]string{
		"svc:": "message `to` field does not specify a valid route", "svc:[get]": "message `to` field does not specify a valid route",
		"svc:/": "HTTP method not specified in `to` field", "one@svc:/p": "HTTP method not specified in `to` field",
	} {
		n, a := newNode(t, nil)
		got := post(t, a, "message", `{"to":"hydra-router:/","forward":"`+to+`","frm":"web:/","bdy":1}`, nil)
		if got.status != http.StatusBadRequest || got.description != want || len(n.nats.messages) > 0 {
			t.Errorf("%s: %d %s", to, got.status, got.body)
		}
	}
}
