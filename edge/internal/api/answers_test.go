package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// result is the result of a route on the administrators' listener.
func result(t *testing.T, a *API, name string) string {
	t.Helper()
	got := ask(t, atHome(a), "GET", prefix+name, "", bearer(testToken))
	if got.status != http.StatusOK {
		t.Fatalf("%s: %d %s", name, got.status, got.body)
	}
	return got.result
}

// heard is when the instances of a test answered.
var heard = time.Now().Add(-3500 * time.Millisecond)

// elapsed is of whole seconds, as many as the machine takes, but no less than 3.
var elapsed = regexp.MustCompile(`"elapsed":([3-9]|[1-9]\d+)\b`)

// TestAnswers: the text of each answer that a test can foresee. Lists are flat: what
// an instance does not say is null.
func TestAnswers(t *testing.T) {
	echo := func(id string, routes ...string) discovery.Instance {
		return discovery.Instance{Service: "echo", ID: id, NATS: "nats-" + id, Version: "2.0", Description: "says it again",
			Host: "h2", IP: "10.0.0.2", ProcessID: 7, Heard: heard, Routes: routes}
	}
	_, a := newNode(t, func(n *fakeNode) {
		n.nats.nodes = []discovery.Instance{{Service: "hydra-router", ID: string(testNode), Version: "1.2.3", Host: "h1", Port: "5353", Heard: heard}}
		n.nats.instances = []discovery.Instance{echo("a", "[GET]/v1/x", "nonsense"), echo("b", "[get]/v1/x", "/v1/y"), {Service: "mail", ID: "c", Heard: heard}}
		n.nats.vitals = map[string]json.RawMessage{
			"nats-a": json.RawMessage(`{"sampledOn":"now","processID":8,"architecture":"x64","platform":"linux","nodeVersion":"v22","memory":{"rss":1},"uptimeSeconds":2.5,"more":1}`),
			"nats-b": json.RawMessage(`{"processID":"no number"}`),
		}
		n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {Node: testNode, State: scheme.StateLive}}
		n.Config.AdminToken = testToken
	})
	updated := `"updatedOn":"` + heard.UTC().Format("2006-01-02T15:04:05.000Z") + `"`
	node := `{"serviceName":"hydra-router","serviceDescription":null,"version":"1.2.3","instanceID":"00112233445566778899aabbccddeeff",` + updated +
		`,"processID":null,"ip":null,"port":"5353","hostName":"h1","elapsed":3`
	first := `{"serviceName":"echo","serviceDescription":"says it again","version":"2.0","instanceID":"a",` + updated +
		`,"processID":7,"ip":"10.0.0.2","port":null,"hostName":"h2","elapsed":3`
	mail := `{"serviceName":"mail","serviceDescription":null,"version":"","instanceID":"c",` + updated + `,"processID":null,"ip":null,"port":null,"hostName":null,"elapsed":3`
	second := strings.Replace(first, `"a"`, `"b"`, 1)
	const silent = `,"sampledOn":null,"architecture":null,"platform":null,"nodeVersion":null,"memory":null,"uptimeSeconds":null}`
	const told = `,"sampledOn":"now","architecture":"x64","platform":"linux","nodeVersion":"v22","memory":{"rss":1},"uptimeSeconds":2.5}`
	own, err := json.Marshal(ownRoutes)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"version":       `{"version":"1.2.3"}`,
		"list/nodes":    `[` + node + `},` + first + `},` + second + `},` + mail + `}]`,
		"list/services": `[` + node + silent + `,` + first + told + `,` + second + silent + `,` + mail + silent + `]`,
		"list/routes": `[{"serviceName":"hydra-router","routes":` + string(own) + `},{"serviceName":"echo","routes":["[get]/v1/x","/v1/y"]},` +
			`{"serviceName":"mail","routes":[]}]`,
		"list/wsdir":   `[{"clientID":"k7abcdefghijklmnopqrstuvwx","routerID":"00112233445566778899aabbccddeeff","state":"live"}]`,
		"log":          `[]`,
		"refresh":      `{}`,
		"refresh/echo": `{}`,
	} {
		got := elapsed.ReplaceAllString(result(t, a, name), `"elapsed":3`)
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestNodesSayWhoAnswers: beside the list, in the envelope of list/nodes and no other.
func TestNodesSayWhoAnswers(t *testing.T) {
	_, a := newNode(t, nil)
	host, _ := os.Hostname()
	want := `{"statusCode":200,"statusMessage":"OK","statusDescription":"Request succeeded without error","result":[],` +
		`"instanceID":"00112233445566778899aabbccddeeff","hostname":"` + host + `","version":"1.2.3"}`
	if got := ask(t, a.Public(), "GET", prefix+"list/nodes", "", nil); got.body != want {
		t.Errorf("%s\nwant\n%s", got.body, want)
	}
	if got := ask(t, a.Public(), "GET", prefix+"list/services", "", nil); strings.Contains(got.body, "instanceID") {
		t.Error(got.body)
	}
}

// TestServicesWithoutHealth: a node that may not ask for it lists the rest.
func TestServicesWithoutHealth(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) {
		n.nats.instances, n.nats.vitalsErr = []discovery.Instance{{Service: "mail", ID: "c"}}, errors.New("denied")
	})
	if got := ask(t, a.Public(), "GET", prefix+"list/services", "", nil); got.status != http.StatusOK || !strings.Contains(got.result, `"memory":null`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestEmptyLists: a list without entries is a list.
func TestEmptyLists(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken = testToken })
	for _, name := range []string{"list/nodes", "list/services", "list/wsdir", "log"} { // list/routes has the router's own
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
			`{"serviceName":"hydra-router","instanceID":"00112233445566778899aabbccddeeff","hostName":"` + host + `","sampledOn":"20`,
			fmt.Sprintf(`"processID":%d,"architecture":"`, os.Getpid()), `"platform":"`, `"nodeVersion":"go`,
			`"memory":{"rss":`, `"heapTotal":`, `"heapUsed":`, `"external":0,"arrayBuffers":0},"uptimeSeconds":`,
			`"version":"1.2.3"`, `"heapBytes":`, `"goroutines":`,
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
		a.Public(): `{"ready":true,"reasons":[]}`, atHome(a): `{"ready":true,"reasons":[],"warnings":["a stream keeps less"]}`,
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
			t.Errorf("%d %s", w.Code, got)
		}
	}
}

// TestStats: each service that runs has 3,600 numbers for both ways, names that are
// made up have none; the rest are sums of the metrics of those names.
func TestStats(t *testing.T) {
	n, a := newNode(t, func(n *fakeNode) { n.nats.instances = []discovery.Instance{{Service: "echo", ID: "a"}} })
	n.Metrics.Errors.Inc(protocol.CodeTimeout)
	n.Metrics.Errors.Inc(protocol.CodeAddress)
	now := time.Now()
	n.Traffic.Add("echo", stats.WayWebSocket, now, 2)
	n.Traffic.Add("echo", stats.WayError, now, 1)
	for i := range 5000 {
		n.Traffic.Add(fmt.Sprint("made-up-", i), stats.WayWebSocket, now, 1)
	}
	got := result(t, a, "stats")
	for _, piece := range []string{
		`"instanceID":"00112233445566778899aabbccddeeff","uptimeSeconds":`,
		`"connections":7,"messagesReceived":0,"messagesSent":0,"bytesReceived":0,"bytesSent":0,"errors":2}`,
	} {
		if !strings.Contains(got, piece) {
			t.Errorf("no %s in %s", piece, got)
		}
	}
	var hours stats.Hours
	if err := json.Unmarshal([]byte(got), &hours); err != nil {
		t.Fatal(err)
	}
	for name, way := range map[string]map[string][]uint32{"httpStats": hours.HTTP, "wsStats": hours.WebSocket} {
		if len(way) != 2 || len(way["echo"]) != 3600 || len(way["hydra-router"]) != 3600 {
			t.Errorf("%s has %d services, and %d numbers of echo", name, len(way), len(way["echo"]))
		}
	}
	total := func(list []uint32) (n uint32) {
		for _, v := range list {
			n += v
		}
		return n
	}
	if len(hours.Errors) != 2 || total(hours.WebSocket["echo"]) != 2 || total(hours.Errors["echo"]) != 1 || total(hours.Errors[stats.Nobody]) != 5000 {
		t.Errorf("echo %d, errors of %d services, %d, %d of nobody", total(hours.WebSocket["echo"]), len(hours.Errors),
			total(hours.Errors["echo"]), total(hours.Errors[stats.Nobody]))
	}
}

// TestClear: the clients' log is empty afterwards.
func TestClear(t *testing.T) {
	n, a := newNode(t, nil)
	n.ClientLog.Add(string(testSID), netip.MustParseAddr("192.0.2.7"), []byte(`"a line"`))
	if got := result(t, a, "log"); !strings.HasSuffix(got, `"clientID":"k7abcdefghijklmnopqrstuvwx","ip":"192.0.2.7","body":"a line"}]`) {
		t.Error(got)
	}
	if got := ask(t, atHome(a), "GET", prefix+"clear", "", nil); got.status != http.StatusFound || got.header.Get("Location") != "/" {
		t.Errorf("%d to %q", got.status, got.header.Get("Location"))
	}
	if got := result(t, a, "log"); got != "[]" {
		t.Errorf("after clear: %s", got)
	}
	if call, _ := a.Route(prefix+"clear", "", somewhere); call != nil {
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
