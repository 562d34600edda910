package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"hydrant/bus/scheme"
	"hydrant/umf"
)

// TestPostRules: who posts may do what the rules of the node allow to a client without
// identity, by the address that the message goes to.
func TestPostRules(t *testing.T) {
	session := string(testSID) + "@client:/"
	const closed, denied = "authentication", "denied"
	for _, test := range []struct {
		rules, path, addresses string
		kind                   string // "": allowed
	}{
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "send", `"to":"svc:/"`, ""},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "send", `"to":"chat:/","fwd":"i@svc:[GET]/"`, ""},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "send", `"to":"svc:/","fwd":"chat:/"`, "service"},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "send", `"to":"SVC:/"`, "service"},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "send", `"to":"work-1:/"`, "service"},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "message", `"to":"svc:[GET]/"`, ""},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "message", `"to":"i@chat:[GET]/"`, "service"},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "queue", `"to":"work-1:/"`, ""},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "queue", `"to":"svc:/"`, "queue"},
		{`{"services":["svc"],"queues":["work-*"],"clients":"any"}`, "queue", `"to":"work-1:/","forward":"i@svc:/"`, "queue"},
		{`{"clients":"any"}`, "send", `"to":"` + session + `"`, ""},
		{`{"clients":"any"}`, "queue", `"to":"` + session + `"`, ""},
		{`{"clients":"user"}`, "send", `"to":"` + session + `"`, "client"},
		{`{"clients":"none"}`, "queue", `"to":"` + session + `"`, "client"},
		{`{"services":["*"],"queues":["*"]}`, "send", `"to":"svc:/","fwd":"` + session + `"`, "client"},
		{`{}`, "send", `"to":"svc:/","rmid":"m"`, "service"},
		{``, "send", `"to":"svc:/"`, ""},
		{``, "send", `"to":"` + session + `"`, ""},
		{``, "send", `"to":"auth-svcs:/"`, closed},
		{``, "message", `"to":"i@auth-svcs:[POST]/v1/auth"`, closed},
		{``, "queue", `"to":"svc:/","fwd":"auth-svcs:/"`, closed},
		{`{"services":["*"],"queues":["*"]}`, "message", `"to":"\u0061uth-svcs:/"`, closed},
	} {
		n, a := newNode(t, func(n *fakeNode) {
			n.Config.Policy, n.Config.AdminToken = test.rules, testToken
			n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {}}
			n.nats.answer = []byte(`{"result":1}`)
		})
		body := `{"frm":"web:/","bdy":1,` + test.addresses + `}`
		got := post(t, a, test.path, body, nil)
		if test.kind == "" {
			if got.status != http.StatusOK || len(n.nats.sent) != 1 {
				t.Errorf("%s: %s of %s: %d %s", test.rules, test.path, body, got.status, got.body)
			}
			continue
		}
		if got.status != http.StatusForbidden || len(n.nats.sent) != 0 || n.counted(t, "hydrant_denied_total") != 1 {
			t.Errorf("%s: %s of %s: %d %s, sent %v", test.rules, test.path, body, got.status, got.body, n.nats.sent)
		}
		if log := n.logged.String(); !strings.Contains(log, denied) || !strings.Contains(log, "kind="+test.kind) {
			t.Errorf("%s: %s of %s: logged %s", test.rules, test.path, body, log)
		}
		// Administrators are bound by none, but do not reach that one service either.
		got = post(t, a, test.path, body, http.Header{"Authorization": {"Bearer " + testToken}})
		if want := map[bool]int{true: http.StatusForbidden, false: http.StatusOK}[test.kind == closed]; got.status != want {
			t.Errorf("%s: %s of %s by an administrator: %d %s", test.rules, test.path, body, got.status, got.body)
		}
	}
}

// TestPostToSessionsOfTheUser: whose a session is decides where the rules say so.
func TestPostToSessionsOfTheUser(t *testing.T) {
	for _, test := range []struct {
		from, to string
		allowed  bool
	}{{"ann", "ann", true}, {"ann", "bob", false}, {"ann", "", false}, {"", "", false}, {"", "ann", false}} {
		n, a := newNode(t, func(n *fakeNode) { n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {Identity: test.to}} })
		rights, err := n.Rules.Rights(`{"clients":"user"}`, test.from)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.sendToSession(t.Context(), &posted{nats: n.Node.NATS(), from: caller{rights: rights}, address: umf.Address{Instance: string(testSID), Service: scheme.ClientService}})
		var no *refusal
		if denied := errors.As(err, &no) && no.status == http.StatusForbidden; denied == test.allowed || denied == (len(n.nats.sent) == 1) {
			t.Errorf("from %q to %q: %v, sent %v", test.from, test.to, err, n.nats.sent)
		}
	}
}
