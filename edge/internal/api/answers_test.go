package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
)

// result is the result of a route on the administrators' listener.
func result(t *testing.T, a *API, name string) string {
	t.Helper()
	got := ask(t, a.Admin(), "GET", prefix+name, "", bearer(testToken))
	if got.status != http.StatusOK {
		t.Fatalf("%s: %d %s", name, got.status, got.body)
	}
	return got.result
}

// TestAnswers: the text of each answer that a test can foresee.
func TestAnswers(t *testing.T) {
	echo := func(id string, routes ...string) discovery.Instance {
		return discovery.Instance{Service: "echo", ID: id, Version: "2.0", Host: "h2", Routes: routes, Metadata: map[string]string{"description": "says it again"}}
	}
	_, a := newNode(t, func(n *fakeNode) {
		n.nats.nodes = []discovery.Instance{{Service: "hydra-router", ID: string(testNode), Version: "1.2.3", Host: "h1"}}
		n.nats.instances = []discovery.Instance{echo("a", "[GET]/v1/x"), echo("b", "[GET]/v1/y"), {Service: "mail", ID: "c"}}
		n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {Node: testNode, State: scheme.StateLive}}
		n.Config.AdminToken = testToken
	})
	const (
		node  = `{"serviceName":"hydra-router","version":"1.2.3","instanceID":"00112233445566778899aabbccddeeff","hostName":"h1","hostname":"h1"}`
		first = `{"serviceName":"echo","serviceDescription":"says it again","version":"2.0","instanceID":"a","hostName":"h2","hostname":"h2"}`
		mail  = `{"serviceName":"mail","version":"","instanceID":"c","hostName":"","hostname":""}`
	)
	second := strings.Replace(first, `"a"`, `"b"`, 1)
	own, err := json.Marshal(openRoutes)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"version":       `{"version":"1.2.3"}`,
		"list/nodes":    `[` + node + `,` + first + `,` + second + `,` + mail + `]`,
		"list/services": `[{"serviceName":"echo","instances":[` + first + `,` + second + `]},{"serviceName":"mail","instances":[` + mail + `]}]`,
		"list/routes":   `{"echo":["[GET]/v1/x"],"hydra-router":` + string(own) + `,"mail":[]}`,
		"list/wsdir":    `[{"clientID":"k7abcdefghijklmnopqrstuvwx","routerID":"00112233445566778899aabbccddeeff","state":"live"}]`,
		"log":           `[]`,
		"refresh":       `{}`,
		"refresh/echo":  `{}`,
	} {
		if got := result(t, a, name); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestEmptyLists: a list without entries is a list.
func TestEmptyLists(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken = testToken })
	for _, name := range []string{"list/nodes", "list/services", "list/wsdir", "log"} {
		if got := result(t, a, name); got != "[]" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestParkedSessionHasNoRouter: the node that had it last does not hold it.
func TestParkedSessionHasNoRouter(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) {
		n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {Node: testNode, State: scheme.StateParked}}
		n.Config.AdminToken = testToken
	})
	if got := result(t, a, "list/wsdir"); got != `[{"clientID":"k7abcdefghijklmnopqrstuvwx","routerID":"","state":"parked"}]` {
		t.Error(got)
	}
}

// TestHealth: each member is there, and of the reasons only the parts.
func TestHealth(t *testing.T) {
	n, a := newNode(t, nil)
	host, _ := os.Hostname()
	for _, test := range []struct {
		reasons map[string]string
		want    string
	}{
		{nil, `"ready":true}`},
		{map[string]string{"nats": "not connected to nats://secret"}, `"ready":false,"reasons":["nats"]}`},
	} {
		n.reasons = test.reasons
		got := result(t, a, "health")
		for _, piece := range []string{
			`{"serviceName":"hydra-router","instanceID":"00112233445566778899aabbccddeeff","hostName":"` + host + `","version":"1.2.3","sampledOn":"20`,
			fmt.Sprintf(`"processID":%d,"architecture":"`, os.Getpid()), `"platform":"`, `"uptimeSeconds":`, `"heapBytes":`, `"goroutines":`,
			`"connections":7,` + test.want,
		} {
			if !strings.Contains(got, piece) {
				t.Errorf("no %s in %s", piece, got)
			}
		}
	}
}

// TestReadyWarnings: what is wrong and keeps the node from nothing is for administrators
// only, beside a node that is ready.
func TestReadyWarnings(t *testing.T) {
	n, a := newNode(t, nil)
	n.warnings = []string{"a stream keeps less"}
	for handler, want := range map[http.Handler]string{
		a.Public(): `{"ready":true,"reasons":[]}`, a.Admin(): `{"ready":true,"reasons":[],"warnings":["a stream keeps less"]}`,
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
			t.Errorf("%d %s", w.Code, got)
		}
	}
}

// TestStats: they are sums of the metrics of those names.
func TestStats(t *testing.T) {
	n, a := newNode(t, nil)
	n.Metrics.Errors.Inc(protocol.CodeTimeout)
	n.Metrics.Errors.Inc(protocol.CodeAddress)
	got := result(t, a, "stats")
	for _, piece := range []string{
		`{"instanceID":"00112233445566778899aabbccddeeff","uptimeSeconds":`,
		`"connections":7,"messagesReceived":0,"messagesSent":0,"bytesReceived":0,"bytesSent":0,"errors":2}`,
	} {
		if !strings.Contains(got, piece) {
			t.Errorf("no %s in %s", piece, got)
		}
	}
}

// TestClear: the clients' log is empty afterwards.
func TestClear(t *testing.T) {
	n, a := newNode(t, nil)
	n.ClientLog.Add(string(testSID), netip.MustParseAddr("192.0.2.7"), []byte(`"a line"`))
	if got := result(t, a, "log"); !strings.HasSuffix(got, `"clientID":"k7abcdefghijklmnopqrstuvwx","ip":"192.0.2.7","body":"a line"}]`) {
		t.Error(got)
	}
	if got := ask(t, a.Admin(), "GET", prefix+"clear", "", nil); got.status != http.StatusFound || got.header.Get("Location") != "/" {
		t.Errorf("%d to %q", got.status, got.header.Get("Location"))
	}
	if got := result(t, a, "log"); got != "[]" {
		t.Errorf("after clear: %s", got)
	}
	call, ok := a.Route(prefix+"clear", "")
	if ok || call != nil {
		t.Error("a client without a token clears the log")
	}
}

// TestSessionListFull: more sessions than one list shows.
func TestSessionListFull(t *testing.T) {
	for extra, cut := range map[int]float64{0: 0, 1: 1, 2: 1} {
		n, a := newNode(t, func(n *fakeNode) {
			n.nats.sessions = make(map[scheme.SID]scheme.Entry)
			for range maxSessionRows + extra {
				n.nats.sessions[scheme.NewSID()] = scheme.Entry{Node: testNode, State: scheme.StateParked}
			}
		})
		list, err := a.listSessions(t.Context(), n.NATS())
		if rows, ok := list.([]sessionRow); !ok || len(rows) != maxSessionRows || err != nil {
			t.Errorf("%d sessions are listed, %v", len(rows), err)
		}
		if got := n.counted(t, "hydrant_dropped_total"); got != cut {
			t.Errorf("%d too many: %v cuts are counted, want %v", extra, got, cut)
		}
	}
}
