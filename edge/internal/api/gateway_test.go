package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/umf"
)

// echoRoutes are what the service of these tests registers.
var echoRoutes = []string{"[GET]/v1/echo/{id}", "[post]/v1/echo", "[PUT]/v1/echo", "[HEAD]/v1/head", "[DELETE]/v1/:what/x", "/v1/any"}

// newGateway is a node with one service.
func newGateway(t *testing.T, change func(*fakeNode)) (*fakeNode, *API) {
	t.Helper()
	return newNode(t, func(n *fakeNode) {
		n.nats.instances = []discovery.Instance{{Service: "echo", ID: "a", Routes: echoRoutes}}
		n.nats.answer = []byte(`{"to":"x:/","frm":"echo:/","mid":"1","bdy":{"n":1}}`)
		if change != nil {
			change(n)
		}
	})
}

// asked is the last message that a service got.
func (n *fakeNode) asked(t *testing.T) (*nats.Msg, map[string]json.RawMessage) {
	t.Helper()
	if len(n.nats.messages) == 0 {
		t.Fatal("no service was asked")
	}
	m := n.nats.messages[len(n.nats.messages)-1]
	e := new(umf.Envelope)
	if err := umf.Scan(m.Data, e); err != nil {
		t.Fatalf("%v: %s", err, m.Data)
	}
	if err := e.Check(); err != nil {
		t.Fatalf("%v: %s", err, m.Data)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(m.Data, &fields); err != nil {
		t.Fatalf("%v: %s", err, m.Data)
	}
	return m, fields
}

// TestByPath: which requests reach the service, as what, and how others end.
func TestByPath(t *testing.T) {
	for line, want := range map[string]string{
		"GET /v1/echo/1":               "echo:[GET]/v1/echo/1",
		"GET /v1/echo/1?x=1&y=%20":     "echo:[GET]/v1/echo/1?x=1&y=%20",
		"GET /v1/echo/%31?":            "echo:[GET]/v1/echo/1?",
		"GET /v1/echo/a%2Fb%c3%a9":     "echo:[GET]/v1/echo/a%2Fb%c3%a9",
		"GET /echo/v1/echo/1":          "echo:[GET]/v1/echo/1",
		"HEAD /v1/echo/1":              "echo:[GET]/v1/echo/1",
		"HEAD /v1/head":                "echo:[HEAD]/v1/head",
		"POST /v1/echo":                "echo:[POST]/v1/echo",
		"PATCH /v1/any":                "echo:[PATCH]/v1/any",
		"DELETE /v1/some/x":            "echo:[DELETE]/v1/some/x",
		"GET /v1/echo":                 "405 OPTIONS, POST, PUT",
		"HEAD /v1/echo":                "405 OPTIONS, POST, PUT",
		"get /v1/echo/1":               "405 GET, HEAD, OPTIONS",
		"POST /v1/echo/1":              "405 GET, HEAD, OPTIONS",
		"GET /v1/head":                 "405 HEAD, OPTIONS",
		"GET /v1/some/x":               "405 DELETE, OPTIONS",
		"OPTIONS /v1/echo":             "204 OPTIONS, POST, PUT",
		"OPTIONS /v1/any":              "204 DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
		"OPTIONS /nothing":             "204 ",
		"GET /":                        "404 ",
		"GET /v1":                      "404 ",
		"GET /v1/echo/":                "404 ",
		"GET /v1/echo/1/":              "404 ",
		"GET //v1/echo/1":              "404 ",
		"GET /v1/../v1/echo/1":         "404 ",
		"GET /V1/echo/1":               "404 ",
		"GET /other/v1/echo/1":         "404 ",
		"GET /echo":                    "404 ",
		"GET /v1/router/echo/1":        "404 ",
		"POST /echo/echo/v1/echo":      "404 ",
		"GET /v1/echo/" + long(1024):   "414 ",
		"GET /v1/echo/1?" + long(1024): "414 ",
	} {
		n, a := newGateway(t, nil)
		if _, err := a.catalog.ask(t.Context()); err != nil { // OPTIONS does not
			t.Fatal(err)
		}
		method, target, _ := strings.Cut(line, " ")
		got := ask(t, a.Public(), method, target, "", nil)
		if status, allow, ended := strings.Cut(want, " "); ended {
			if http.StatusText(got.status) == "" || got.header.Get("Allow") != allow || status != itoa(got.status) || len(n.nats.messages) > 0 {
				t.Errorf("%.60s: %d, Allow %q, %d messages, want %s", line, got.status, got.header.Get("Allow"), len(n.nats.messages), want)
			}
			continue
		}
		m, fields := n.asked(t)
		if got.status != http.StatusOK || m.Subject != "umf.v1.svc.echo" || string(fields["to"]) != `"`+want+`"` {
			t.Errorf("%s: %d, %s of %s", line, got.status, m.Subject, m.Data)
		}
		if string(fields["bdy"]) != "{}" || string(fields["frm"]) != router || string(fields["via"]) != router || len(fields["mid"]) < 3 || len(fields["ts"]) < 3 {
			t.Errorf("%s: %s", line, m.Data)
		}
		if method != "HEAD" && got.result != `{"n":1}` {
			t.Errorf("%s: %s", line, got.body)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func itoa(n int) string {
	text, _ := json.Marshal(n)
	return string(text)
}

// TestByPathWithBodies: JSON goes as JSON, anything else, and JSON that a message
// cannot have, as base64.
func TestByPathWithBodies(t *testing.T) {
	for _, test := range []struct{ kind, body, want string }{
		{"application/json", ` {"n": 9007199254740993, "n": 1.0} `, `{"n": 9007199254740993, "n": 1.0}`},
		{"application/problem+json; charset=utf-8", `[1]`, `[1]`},
		{"Application/JSON", `"x"`, `"x"`}, {"application/json", `true`, `true`}, {"application/json", `-0.5e1`, `-0.5e1`},
		{"application/json", ``, `{}`}, {"", ``, `{}`},
		{"application/json", `null`, "base64"}, {"application/json", `false`, "base64"}, {"application/json", ` 0 `, "base64"},
		{"application/json", `-0.0e5`, "base64"}, {"application/json", `""`, "base64"}, {"application/json", "\"\xff\"", "base64"},
		{"text/plain", `{"n":1}`, "base64"}, {"", "x", "base64"}, {"application/x-www-form-urlencoded", "a=1", "base64"},
		{"application/octet-stream", "\x00\xff\r\n", "base64"}, {"application/jsonx", "{}", "base64"},
		{"application/json", `{`, "400"}, {"application/json", `{"a":1}}`, "400"}, {"application/json", `{a:1}`, "400"},
		{"application/json", strings.Repeat("[", 100) + strings.Repeat("]", 100), "400"},
		{"application/json", strings.Repeat("[", 200_000), "400"},
	} {
		n, a := newGateway(t, nil)
		header := http.Header{}
		if test.kind != "" {
			header.Set("Content-Type", test.kind)
		}
		got := ask(t, a.Public(), "POST", "/v1/echo", test.body, header)
		if test.want == "400" {
			if got.status != http.StatusBadRequest || len(n.nats.messages) > 0 {
				t.Errorf("%s %.40q: %d %s", test.kind, test.body, got.status, got.body)
			}
			continue
		}
		_, fields := n.asked(t)
		var hdr map[string]string
		if err := json.Unmarshal(fields["hdr"], &hdr); err != nil {
			t.Fatal(err)
		}
		kind := test.kind
		if test.want == "base64" {
			if kind == "" {
				kind = "application/octet-stream"
			}
			test.want = `"` + base64.StdEncoding.EncodeToString([]byte(test.body)) + `"`
			if hdr["x-encoding"] != "base64" {
				t.Errorf("%s %q: %s", test.kind, test.body, fields["hdr"])
			}
		} else if _, there := hdr["x-encoding"]; there {
			t.Errorf("%s %q: %s", test.kind, test.body, fields["hdr"])
		}
		if got.status != http.StatusOK || string(fields["bdy"]) != test.want || hdr["content-type"] != kind {
			t.Errorf("%s %q: %d, %s, %s", test.kind, test.body, got.status, fields["bdy"], fields["hdr"])
		}
	}
}

// TestByPathTooLarge: a body up to EDGE_MAX_MESSAGE, whether it says its length or not.
func TestByPathTooLarge(t *testing.T) {
	for _, test := range []struct {
		size   int
		length int64 // that it says; -1: none
		want   int
	}{{1 << 20, 1 << 20, 200}, {1 << 20, -1, 200}, {1<<20 + 1, 1<<20 + 1, 413}, {1<<20 + 1, -1, 413}, {0, 1 << 40, 413}} {
		n, a := newGateway(t, nil)
		r := httptest.NewRequest("POST", "/v1/echo", strings.NewReader(long(test.size)))
		r.ContentLength = test.length
		w := httptest.NewRecorder()
		a.Public().ServeHTTP(w, r)
		if w.Code != test.want || len(n.nats.messages) > 0 != (test.want == 200) {
			t.Errorf("%d bytes, said %d: %d", test.size, test.length, w.Code)
		}
	}
	_, a := newGateway(t, nil)
	r := httptest.NewRequest("POST", "/v1/echo", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(errors.New("gone"))))
	w := httptest.NewRecorder()
	if a.Public().ServeHTTP(w, r); w.Code != http.StatusBadRequest {
		t.Errorf("a body that ends early: %d", w.Code)
	}
}

// TestTooLargeIsNotAskedFor: who waits for leave to send its body is told at once that it
// is too large.
func TestTooLargeIsNotAskedFor(t *testing.T) {
	_, a := newGateway(t, nil)
	server := httptest.NewServer(a.Public())
	defer server.Close()
	for _, target := range []string{"/v1/echo", prefix + "send"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "POST "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\nExpect: 100-continue\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 413 ") || !strings.Contains(string(got), "Connection: close") {
			t.Errorf("%s: %q, %v", target, got, err)
		}
		_ = conn.Close()
	}
}

// TestByPathHeaders: the fields of a request reach the service, but for those of the
// connection, cookies, and what only the edge may write.
func TestByPathHeaders(t *testing.T) {
	n, a := newGateway(t, nil)
	ask(t, a.Public(), "GET", "http://example.com/v1/echo/1", "", http.Header{
		"Accept": {"text/html", "application/json"}, "If-None-Match": {`"a"`}, "Range": {"bytes=0-1"}, "X-Own": {"\xff"}, "Authorization": {"Bearer of-the-user"},
		"Connection": {"keep-alive, X-Hop", "close"}, "X-Hop": {"1"}, "Keep-Alive": {"1"}, "Te": {"trailers"}, "Transfer-Encoding": {"chunked"}, "Upgrade": {"h2c"},
		"Proxy-Authorization": {"x"}, "Cookie": {"a=b"}, "X-Encoding": {"base64"}, "X-From": {"k"}, "X-User": {"root"}, "X-Seq": {"1"}, "X-Prev": {"0"},
		"Umf-Identity": {"root"}, "Umf-Session": {"x"}, "Umf-Status": {"200"}, "umf-later": {"x"}, "Nats-Msg-Id": {"x"}, "NATS-Service-Error": {"x"},
		"Forwarded": {"for=1.2.3.4"}, "X-Forwarded-For": {"1.2.3.4"}, "X-Real-Ip": {"1.2.3.4"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Port": {"1"},
	})
	_, fields := n.asked(t)
	var hdr map[string]string
	if err := json.Unmarshal(fields["hdr"], &hdr); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"accept": "text/html, application/json", "if-none-match": `"a"`, "range": "bytes=0-1", "x-own": "\ufffd", "authorization": "Bearer of-the-user",
		"host": "example.com", "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "http", "x-forwarded-host": "example.com",
	}
	if !maps.Equal(hdr, want) {
		t.Errorf("%v\nwant\n%v", hdr, want)
	}
	if string(fields["aut"]) != `"Bearer of-the-user"` {
		t.Errorf("aut is %s", fields["aut"])
	}
}

// TestByPathSecrets: what the node itself asks for does not reach services.
func TestByPathSecrets(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	for name, change := range map[string]func(*fakeNode){
		key: func(n *fakeNode) {
			n.Config.HttpApi = config.HTTPAPIKey
			n.Config.HttpKeys = []config.HTTPKey{{Name: "shop", Key: key, Rules: `{"services":["echo"]}`}}
		},
		testToken: func(n *fakeNode) { n.Config.AdminToken = testToken },
	} {
		n, a := newGateway(t, change)
		if got := ask(t, a.Public(), "GET", "/v1/echo/1", "", bearer(name)); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		if m, _ := n.asked(t); strings.Contains(string(m.Data), name) {
			t.Errorf("the service learns the secret: %s", m.Data)
		}
	}
}

// TestByPathMayBeRefused: rules, credentials, origins and switches hold as for posted
// messages, and nothing reaches the service.
func TestByPathMayBeRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fakeNode)
		header http.Header
		status int
		text   string
	}{
		"rules":       {func(n *fakeNode) { n.Config.Policy = `{"services":["other"]}` }, nil, 403, "Not allowed to send to this service"},
		"the service": {func(n *fakeNode) { n.Config.AuthService = "echo" }, nil, 403, "The authentication service takes no messages of clients"},
		"off":         {func(n *fakeNode) { n.Config.HttpApi = config.HTTPAPIOff }, nil, 404, "Resource not found"},
		"key":         {func(n *fakeNode) { n.Config.HttpApi = config.HTTPAPIKey }, nil, 401, "Authorization needed"},
		"jwt":         {func(n *fakeNode) { n.Config.Auth, n.Tokens = config.AuthJWT, new(access.Tokens) }, nil, 401, "Authorization needed"},
		"origin":      {nil, http.Header{"Origin": {"https://evil.example.com"}}, 403, "Origin is not allowed"},
		"signatures":  {func(n *fakeNode) { n.Signatures = access.NewSignatures([]string{"k"}, 0, func() {}) }, nil, 403, "EDGE_SIGNATURE=required: requests by path cannot be signed; POST a signed message for svc:[METHOD]/path to /v1/router/message"},
		"memory":      {func(n *fakeNode) { n.short = true }, nil, 503, "Node is short of memory"},
		"no NATS":     {func(n *fakeNode) { n.connected = false }, nil, 503, "Messaging is unavailable"},
		"not serving": {func(n *fakeNode) { n.serving = false }, nil, 503, "Messaging is unavailable"},
		"discovery":   {func(n *fakeNode) { n.nats.err = errors.New("internal detail") }, nil, 503, "Messaging is unavailable"},
	} {
		n, a := newGateway(t, test.change)
		got := ask(t, a.Public(), "GET", "/v1/echo/1", "", test.header)
		if got.status != test.status || got.description != test.text || len(n.nats.messages) > 0 {
			t.Errorf("%s: %d %q, %d messages, want %d %q", name, got.status, got.description, len(n.nats.messages), test.status, test.text)
		}
	}
}

// TestByPathUnanswered: what is told where the service does not answer.
func TestByPathUnanswered(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		text   string
	}{
		{nats.ErrNoResponders, 503, "Unavailable echo instances"}, {context.DeadlineExceeded, 504, "No answer in time"},
		{nats.ErrTimeout, 504, "No answer in time"}, {nats.ErrMaxPayload, 413, "Message is too large"}, {errors.New("internal detail"), 503, "Messaging is unavailable"},
	} {
		_, a := newGateway(t, func(n *fakeNode) {
			n.nats.services = func(*nats.Msg) (*nats.Msg, error) { return nil, test.err }
		})
		if got := ask(t, a.Public(), "GET", "/v1/echo/1", "", nil); got.status != test.status || got.description != test.text {
			t.Errorf("%v: %d %q", test.err, got.status, got.description)
		}
	}
}

// TestByPathAtItsBound: too many requests under way are refused, those before them are
// answered, and afterwards there is room again.
func TestByPathAtItsBound(t *testing.T) {
	entered, answer := make(chan struct{}), make(chan struct{})
	n, a := newGateway(t, func(n *fakeNode) {
		n.nats.services = func(*nats.Msg) (*nats.Msg, error) {
			entered <- struct{}{}
			<-answer
			return &nats.Msg{Header: nats.Header{"Umf-Status": {"204"}}}, nil
		}
	})
	a.gate.most = gateEach + gateCopies*1000 + gateEach
	h := a.Public()
	first := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/v1/echo", strings.NewReader(long(1000))))
		first <- w.Code
	}()
	<-entered
	for _, path := range []string{"/v1/echo", prefix + "message"} {
		if got := ask(t, h, "POST", path, long(1000), nil); got.status != http.StatusServiceUnavailable || got.description != "Too many requests are under way" ||
			got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if under := n.counted(t, "hydrant_requests_total"); under != 2 {
		t.Errorf("%v are counted as refused", under)
	}
	close(answer)
	if got := <-first; got != http.StatusNoContent {
		t.Errorf("the first is answered with %d", got)
	}
	go func() { <-entered }()
	if got := ask(t, h, "POST", "/v1/echo", long(1000), nil); got.status != http.StatusNoContent {
		t.Errorf("afterwards: %d", got.status)
	}
	if a.gate.requests.Load() != 0 || a.gate.bytes.Load() != 0 {
		t.Errorf("%d requests, %d bytes are left", a.gate.requests.Load(), a.gate.bytes.Load())
	}
}

// TestByPathOfServiceThatLeft: its path is not forgotten with it, until an administrator
// says so; one that is new is found at once.
func TestByPathOfServiceThatLeft(t *testing.T) {
	n, a := newGateway(t, func(n *fakeNode) {
		n.Config.AdminToken = testToken
		n.nats.services = func(*nats.Msg) (*nats.Msg, error) { return nil, nats.ErrNoResponders }
	})
	see := func(target string, want int) {
		t.Helper()
		if got := ask(t, a.Public(), "GET", target, "", bearer(testToken)); got.status != want {
			t.Errorf("%s: %d %s, want %d", target, got.status, got.body, want)
		}
	}
	see("/v1/echo/1", 503)
	see("/v1/new/1", 404)
	n.nats.instances = []discovery.Instance{{Service: "new", ID: "b", Routes: []string{"[get]/v1/new/{id}"}}}
	see("/v1/new/1", 503)
	see("/v1/echo/1", 503)
	see(prefix+"refresh", 200)
	see("/v1/echo/1", 404)
	see("/v1/new/1", 503)
}

// TestCatalogHolds: a route of an instance that does not answer in time is not forgotten
// for what the others tell; one that no instance tells any more is, some time later.
func TestCatalogHolds(t *testing.T) {
	c := newCatalog(func() {})
	one := discovery.Instance{Service: "a", ID: "1", Routes: []string{"[GET]/both"}, Described: []string{"one"}}
	late := discovery.Instance{Service: "a", ID: "2", Routes: []string{"[GET]/both", "[GET]/late"}, Described: []string{"late"}}
	for _, test := range []struct {
		list        []discovery.Instance
		after       time.Duration
		there, late string // where these go
		described   int
	}{
		{[]discovery.Instance{one, late}, 0, "a", "a", 2},
		{[]discovery.Instance{one}, catalogFresh, "a", "a", 2},
		{nil, 2 * catalogFresh, "a", "a", 2},
		{[]discovery.Instance{one}, catalogHold, "a", "a", 2},
		{[]discovery.Instance{one, late}, catalogHold + catalogFresh, "a", "a", 2},
		{[]discovery.Instance{one}, 2*catalogHold + catalogFresh, "a", "a", 2},
		{[]discovery.Instance{one}, 2*catalogHold + catalogFresh + 1, "a", "", 1},
		{[]discovery.Instance{late}, 3 * catalogHold, "a", "a", 2},
		{[]discovery.Instance{one}, catalogKeeps, "a", "", 1}, // what was told long before is not held
	} {
		r := c.take(test.list, heard.Add(test.after))
		if both, late := r.find("GET", "/both"), r.find("GET", "/late"); both.service != test.there || late.service != test.late || len(r.services["a"].described) != test.described {
			t.Errorf("after %v: /both goes to %q, /late to %q, %q", test.after, both.service, late.service, r.services["a"].described)
		}
	}
}

// TestCatalog: of services with the same route the first by name gets it, one that runs
// before one that does not; a literal goes before a wildcard, and what is no route costs
// nothing.
func TestCatalog(t *testing.T) {
	full := 0
	c := newCatalog(func() { full++ })
	instance := func(service string, routes ...string) discovery.Instance {
		return discovery.Instance{Service: scheme.Service(service), ID: "x", Routes: routes}
	}
	r := c.take([]discovery.Instance{
		instance("b", "[GET]/x/{id}", "[GET]/same", "nonsense", "[GET]/x/{id}"), instance("a", "[GET]/x/literal", "[POST]/x/{other}", "[GET]/same"),
		instance("b", "[GET]/second"), instance("c", "/same", "[GET]/"+strings.Repeat("a/", maxSegments)),
	}, heard)
	for line, want := range map[string]string{
		"GET /x/literal": "a", "GET /x/1": "b", "POST /x/literal": "a", "POST /x/1": "a", "GET /same": "a", "PUT /same": "c",
		"GET /second": "b", "GET /b/same": "b", "GET /c/same": "c", "PUT /b/same": "", "GET /" + strings.Repeat("a/", maxSegments): "",
	} {
		method, path, _ := strings.Cut(line, " ")
		if got := r.find(method, path); got.service != want {
			t.Errorf("%s goes to %q, want %q", line, got.service, want)
		}
	}
	if got := r.find("PUT", "/x/literal"); !slices.Equal(got.allowed, []string{"GET", "POST"}) {
		t.Errorf("allowed are %v", got.allowed)
	}
	r = c.take([]discovery.Instance{instance("c", "/same")}, heard.Add(catalogKeeps))
	if got := r.find("GET", "/same"); got.service != "c" {
		t.Errorf("one that is gone gets it: %q", got.service)
	}
	if got := r.find("GET", "/x/1"); got.service != "b" || len(r.running) != 1 {
		t.Errorf("%q, %v", got.service, r.running)
	}
	if r = c.take(nil, heard.Add(catalogKeeps+1)); r.find("GET", "/x/1").service != "" {
		t.Error("kept for longer")
	}
	var many []discovery.Instance
	for i := range 70 {
		in := instance("many" + itoa(i))
		for j := range 1000 {
			in.Routes = append(in.Routes, "[GET]/"+itoa(j))
		}
		many = append(many, in)
	}
	if c.take(many, heard.Add(2*catalogKeeps)); full == 0 {
		t.Error("no route is too many")
	}
}
