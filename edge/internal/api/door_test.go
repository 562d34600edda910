package api

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/config"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/stats"
)

// behind is what administrators have beside health and metrics, and something that is not
// there.
var behind = []string{
	"GET " + prefix + "version", "GET " + prefix + "health", "GET " + prefix + "stats", "GET " + prefix + "list/nodes", "GET " + prefix + "list/wsdir",
	"GET " + prefix + "log", "GET " + prefix + "refresh", "GET " + prefix + "clear", "POST " + prefix + "send",
	"GET /debug/pprof/", "GET /debug/pprof/heap", "GET /debug/pprof/cmdline", "GET /debug/pprof/symbol", "POST /debug/pprof/symbol",
	"POST /drain", "GET /loglevel", "PUT /loglevel", "GET /", "GET /console", "GET /console/app.js", "GET /nothing", "OPTIONS /drain",
	// Spellings of what is open.
	"GET /healthz/", "GET //healthz", "GET /healthz/../drain", "GET /Healthz", "GET /metrics/", "GET /metrics/..%2fdebug/pprof/", "GET /metrics;x",
	"POST /healthz", "PUT /readyz", "DELETE /metrics", "OPTIONS /metrics",
}

// probes are what everybody may ask who reaches the listener.
var probes = []string{"GET /healthz", "HEAD /healthz", "GET /readyz", "GET /metrics", "GET /readyz?x=1", "HEAD /metrics"}

// request sends one of these.
func request(t *testing.T, h http.Handler, what string, header http.Header) reply {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	return ask(t, h, method, path, "", header)
}

// elsewhere are addresses at which other machines reach the listener too.
var elsewhere = []net.Addr{
	&net.TCPAddr{IP: net.IPv4zero, Port: 9353}, &net.TCPAddr{IP: net.IPv6unspecified, Port: 9353}, &net.TCPAddr{Port: 9353},
	&net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 9353}, &net.UnixAddr{Name: "x"}, nil,
}

// TestDoorWithToken: with a token everything asks for it but health and metrics, wherever
// the listener is, and whatever is added to it.
func TestDoorWithToken(t *testing.T) {
	two := http.Header{"Authorization": {"Bearer " + testToken, "Bearer " + testToken}}
	late := http.Header{"Authorization": {"Bearer wrong", "Bearer " + testToken}}
	for _, address := range []net.Addr{elsewhere[0], loopback} {
		for _, what := range behind {
			for name, header := range map[string]http.Header{
				"nothing": nil, "another token": bearer("wrong"), "none": bearer(""), "the token twice": two, "the token behind another": late,
				"in another scheme": {"Authorization": {"Basic " + testToken}}, "without a scheme": {"Authorization": {testToken}},
				"in a cookie": {"Cookie": {"access_token=" + testToken}}, "from this machine": {"X-Forwarded-For": {"127.0.0.1"}, "Host": {"127.0.0.1"}},
				"in another field": {"Proxy-Authorization": {"Bearer " + testToken}, "X-Authorization": {"Bearer " + testToken}},
			} {
				n, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken, n.LogLevel = testToken, new(slog.LevelVar) })
				got := request(t, at(a, address), what, header)
				if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" || got.description != errNeedToken.text {
					t.Errorf("%s at %v with %s: %d %v %.200s", what, address, name, got.status, got.header, got.body)
				}
				if len(n.drains) > 0 || n.LogLevel.Level() != slog.LevelInfo {
					t.Errorf("%s at %v with %s takes effect", what, address, name)
				}
			}
			_, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken, n.LogLevel = testToken, new(slog.LevelVar) })
			if got := request(t, at(a, address), what, bearer(testToken)); got.status == http.StatusUnauthorized || got.status == http.StatusForbidden {
				t.Errorf("%s at %v with the token: %d %s", what, address, got.status, got.body)
			}
		}
		_, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken = testToken })
		for _, what := range probes {
			if got := request(t, at(a, address), what, nil); got.status != http.StatusOK {
				t.Errorf("%s at %v: %d %.200s", what, address, got.status, got.body)
			}
		}
	}
}

// TestDoorWithoutToken: without a token other machines get health and metrics alone.
func TestDoorWithoutToken(t *testing.T) {
	for _, address := range elsewhere {
		n, a := newNode(t, func(n *fakeNode) { n.LogLevel = new(slog.LevelVar) })
		for _, what := range behind {
			for _, header := range []http.Header{nil, bearer(""), bearer("any"), {"Host": {"127.0.0.1:9353"}}} {
				got := request(t, at(a, address), what, header)
				if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(got.description, "EDGE_ADMIN_TOKEN") {
					t.Errorf("%s at %v: %d %v %.200s", what, address, got.status, got.header, got.body)
				}
			}
		}
		if len(n.drains) > 0 || n.LogLevel.Level() != slog.LevelInfo {
			t.Errorf("at %v it drains, or logs at %v", address, n.LogLevel.Level())
		}
		for _, what := range probes {
			if got := request(t, at(a, address), what, nil); got.status != http.StatusOK {
				t.Errorf("%s at %v: %d %.200s", what, address, got.status, got.body)
			}
		}
		if got := n.counted(t, "hydrant_wrong_admin_tokens_total"); got != 0 {
			t.Errorf("%v tokens are wrong where none is right", got)
		}
	}
	_, a := newNode(t, nil)
	for _, address := range []net.Addr{loopback, &net.TCPAddr{IP: net.IPv4(127, 8, 9, 10)}, &net.TCPAddr{IP: net.IPv6loopback}} {
		for _, what := range []string{"GET " + prefix + "version", "GET /debug/pprof/", "GET " + prefix + "log", "POST /drain"} {
			if got := request(t, at(a, address), what, nil); got.status >= 400 {
				t.Errorf("%s at %v: %d %.200s", what, address, got.status, got.body)
			}
		}
	}
}

// TestDoorHost: a page can have a name of its own lead to the listener, and is then asked
// for nothing by its browser. So names count that no page can have.
func TestDoorHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:9353": true, "localhost:1": true, "LocalHost:9353": true, "localhost.": true, "localhost.:9353": true, "node.localhost": true,
		"127.0.0.1": true, "127.0.0.1:9353": true, "10.1.2.3:9353": true, "192.0.2.1": true, "0.0.0.0:9353": true,
		"[::1]": true, "[::1]:9353": true, "[2001:DB8::1]:9353": true, "[::ffff:127.0.0.1]:9353": true, "[fe80::1%eth0]:9353": true, "[fe80::1%25eth0]": true,
		"":            true, // HTTP/1.0, as checks of balancers have it
		"ops.example": true, "ops.example:9353": true, "OPS.example.:9353": true, "xn--bcher-kva.example": true, "edge-7": true, "EDGE-7.:1": true,

		"evil.example": false, "evil.example:9353": false, "localhost.evil.example": false, "evil-localhost": false, "notlocalhost": false, "localhost.localdomain": false,
		"127.0.0.1.evil.example": false, "127.0.0.1.": false, "127.1": false, "2130706433": false, "0x7f.0.0.1": false, "017700000001": false, "127.0.0.01": false,
		"::1": false, "[::1": false, "[::1]evil.example": false, "[::1].evil.example": false, "[127.0.0.1]": false, "[evil.example]": false,
		"[::1%]:9353]": false, "evil.example%[::1]": false, "localhost@evil.example": false, "evil.example:9353@localhost": false, "localhost:": false, "localhost:x": false,
		"localhost:99999": false, "localhost,evil.example": false, "localhost evil.example": false, "evil.example, localhost": false, "*.ops.example": false,
		"a.ops.example": false, "ops.example.evil.example": false, "bücher.example": false, ".": false, "localhost..": false, "null": false,
	} {
		n, a := newNode(t, func(n *fakeNode) {
			n.Config.AdminToken, n.Config.AdminListen = testToken, "edge-7:9353"
			for _, name := range []string{"ops.example", "bücher.example"} {
				var h config.HostName
				if err := h.Decode(name); err != nil {
					t.Fatal(err)
				}
				n.Config.AdminHosts = append(n.Config.AdminHosts, h)
			}
		})
		for _, what := range append(append([]string{}, probes...), behind...) {
			header := bearer(testToken)
			header.Set("Host", host)
			got := request(t, a.Admin(loopback), what, header)
			if (got.status != http.StatusMisdirectedRequest) != want {
				t.Errorf("Host %q, %s: %d %.200s", host, what, got.status, got.body)
			}
		}
		if !want && (len(n.drains) > 0 || n.counted(t, "hydrant_dropped_total") < float64(len(behind))) {
			t.Errorf("Host %q: drains %v, counted %v", host, n.drains, n.counted(t, "hydrant_dropped_total"))
		}
	}
}

// TestDoorTargets: what a whole URL as the target names counts, as RFC 9112 §3.2.2 has it,
// and a request has one Host.
func TestDoorTargets(t *testing.T) {
	_, a := newNode(t, nil)
	server := httptest.NewServer(a.Admin(loopback))
	defer server.Close()
	for head, want := range map[string]int{
		"GET /loglevel HTTP/1.1\r\nHost: 127.0.0.1\r\n":                               http.StatusNotImplemented, // it is let in
		"GET http://127.0.0.1/loglevel HTTP/1.1\r\nHost: 127.0.0.1\r\n":               http.StatusNotImplemented,
		"GET http://evil.example/loglevel HTTP/1.1\r\nHost: 127.0.0.1\r\n":            http.StatusMisdirectedRequest,
		"GET http://localhost@evil.example/loglevel HTTP/1.1\r\nHost: 127.0.0.1\r\n":  http.StatusMisdirectedRequest,
		"GET /loglevel HTTP/1.1\r\nHost: evil.example\r\n":                            http.StatusMisdirectedRequest,
		"GET /loglevel HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n":         http.StatusBadRequest,
		"GET /loglevel HTTP/1.1\r\n":                                                  http.StatusBadRequest,
		"GET /loglevel HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost": http.StatusMisdirectedRequest,
		"GET /readyz HTTP/1.0\r\n":                                                    http.StatusOK,
		"GET /readyz HTTP/1.0\r\nHost: evil.example\r\n":                              http.StatusMisdirectedRequest,
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "%s\r\nConnection: close\r\n\r\n", strings.TrimSuffix(head, "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		if conn.Close(); got.StatusCode != want || err != nil {
			t.Errorf("%q: %d %s %v, want %d", head, got.StatusCode, text, err, want)
		}
	}
}

// TestDoorForeignPages: without a token a page in an administrator's browser has nothing
// done or worked out, also where it cannot read the answer.
func TestDoorForeignPages(t *testing.T) {
	for _, test := range []struct {
		header http.Header
		reads  bool
	}{
		{http.Header{}, true},
		{http.Header{"Sec-Fetch-Site": {"none"}}, true},
		{http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		{http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{http.Header{"Sec-Fetch-Site": {"same-site"}}, false}, // another port
		{http.Header{"Sec-Fetch-Site": {"anything"}}, false},
		{http.Header{"Origin": {"https://evil.example"}}, false},
		{http.Header{"Origin": {"null"}}, false},
		{http.Header{"Origin": {"http://localhost:9353"}}, false}, // of a GET it is another page's
	} {
		_, a := newNode(t, nil)
		for _, what := range []string{"GET /debug/pprof/heap", "GET " + prefix + "log", "GET " + prefix + "version", "GET /loglevel"} {
			if got := request(t, atHome(a), what, test.header); (got.status != http.StatusForbidden) != test.reads {
				t.Errorf("%s with %v: %d %.200s", what, test.header, got.status, got.body)
			}
		}
		for _, what := range probes {
			if got := request(t, atHome(a), what, test.header); got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s with %v: %d %v", what, test.header, got.status, got.header)
			}
		}
	}
}

// TestWrongTokensAreSlow: at the listener and at the clients' port, over HTTP and
// WebSocket, an address has a few wrong tokens and then a pause, in which the right one
// is not looked at either. The two listeners count apart.
func TestWrongTokensAreSlow(t *testing.T) {
	for _, test := range []struct {
		way  stats.TokenWay
		line string // of the log
		try  func(a *API, token string) (status int)
	}{
		{stats.TokenAdmin, "way=admin count=1 address=192.0.2.1", func(a *API, token string) int {
			return request(t, atHome(a), "GET /loglevel", bearer(token)).status
		}},
		{stats.TokenHTTP, "way=http count=1 address=192.0.2.1", func(a *API, token string) int {
			return request(t, a.Public(), "GET "+prefix+"log", bearer(token)).status
		}},
		{stats.TokenWebSocket, "way=websocket count=1 address=192.0.2.9", func(a *API, token string) int {
			call, no := a.Route(prefix+"log", "Bearer "+token, somewhere)
			if call != nil {
				return http.StatusOK
			}
			return map[string]int{"forbidden": http.StatusUnauthorized, "overload": http.StatusTooManyRequests}[no.String()]
		}},
	} {
		n, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken, n.LogLevel = testToken, new(slog.LevelVar) })
		wrong := 0
		for test.try(a, fmt.Sprint("wrong", wrong)) == http.StatusUnauthorized {
			if wrong++; wrong > 1000 {
				t.Fatalf("%v: no end", test.way)
			}
		}
		if got := test.try(a, testToken); wrong < 10 || got != http.StatusTooManyRequests && got != http.StatusOK { // a second may be over
			t.Errorf("%v: after %d wrong tokens the right one is %d", test.way, wrong, got)
		}
		if got := n.counted(t, "hydrant_wrong_admin_tokens_total"); got < float64(wrong) || got > float64(wrong)+2 {
			t.Errorf("%v: %d were wrong, %v are counted", test.way, wrong, got)
		}
		said := n.logged.String()
		if lines := strings.Count(said, "wrong tokens of administrators"); lines == 0 || lines >= wrong || !strings.Contains(said, test.line) || strings.Contains(said, "wrong0") {
			t.Errorf("%v: in the log: %s", test.way, said)
		}
		other := request(t, a.Public(), "GET "+prefix+"log", bearer(testToken))
		if test.way != stats.TokenAdmin {
			other = request(t, atHome(a), "GET /loglevel", bearer(testToken))
		}
		if other.status != http.StatusOK {
			t.Errorf("%v: the other listener: %d", test.way, other.status)
		}
	}
}

// spend tries wrong tokens at a route until one is not looked at.
func spend(t *testing.T, a *API, route string) (last reply) {
	t.Helper()
	for range 1000 {
		if last = request(t, a.Public(), "GET "+prefix+route, bearer("wrong")); last.status == http.StatusTooManyRequests {
			return last
		}
	}
	t.Fatalf("a thousand tokens were looked at: %d %s", last.status, last.body)
	return last
}

// TestTooManyTokens: the answer says so, and when to come back; what needs no token is
// answered, and a client's own token goes where it went.
func TestTooManyTokens(t *testing.T) {
	n, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken = testToken })
	if got := spend(t, a, "log"); got.header.Get("Retry-After") != "1" || got.description != errTokens.text {
		t.Errorf("%v %s", got.header, got.body)
	}
	if got := request(t, a.Public(), "GET "+prefix+"version", bearer("wrong")); got.status != http.StatusOK {
		t.Errorf("an open route: %d", got.status)
	}
	if got := post(t, a, "send", toService, bearer("wrong")); got.status != http.StatusOK {
		t.Errorf("a post: %d", got.status)
	}
	if call, _ := a.Route(prefix+"version", "Bearer wrong", peerOf(httptest.NewRequest("GET", "/", nil))); call == nil {
		t.Error("an open route over WebSocket")
	}
	n.nats.answer = []byte("{}")
	_, a = newNode(t, func(n *fakeNode) {
		n.Config.AdminToken, n.Config.HttpApi, n.Config.HttpKeys = testToken, config.HTTPAPIKey, []config.HTTPKey{{Name: "shop", Key: "0123456789abcdef"}}
	})
	spend(t, a, "version")
	if got := request(t, a.Public(), "GET "+prefix+"version", bearer("0123456789abcdef")); got.status != http.StatusOK {
		t.Errorf("a key: %d", got.status)
	}
}

// TestWrongTokensThatCount: a token is wrong where the right one would have opened what is
// refused. Elsewhere it is the client's own affair.
func TestWrongTokensThatCount(t *testing.T) {
	wrong := bearer("wrong")
	for name, test := range map[string]struct {
		change func(*fakeNode)
		what   string
		header http.Header
		want   float64
	}{
		"a route of administrators":  {nil, "GET " + prefix + "log", wrong, 1},
		"the same without a token":   {nil, "GET " + prefix + "log", nil, 0},
		"the same with a client's":   {nil, "GET " + prefix + "log", bearer("x.y.z"), 0},
		"the same in another scheme": {nil, "GET " + prefix + "log", http.Header{"Authorization": {"Basic wrong"}}, 0},
		"an open route":              {nil, "GET " + prefix + "version", wrong, 0},
		"a route that is closed":     {func(n *fakeNode) { n.Config.RouterAPI = config.RouterAPIAdmin }, "GET " + prefix + "version", wrong, 1},
		"no route":                   {nil, "GET " + prefix + "nothing", wrong, 0},
		"a post":                     {nil, "POST " + prefix + "send", wrong, 0},
		"a post that rules forbid":   {func(n *fakeNode) { n.Config.Policy = `{"services":[]}` }, "POST " + prefix + "send", wrong, 1},
		"no key":                     {func(n *fakeNode) { n.Config.HttpApi = config.HTTPAPIKey }, "GET " + prefix + "version", wrong, 1},
		"above the rate": {func(n *fakeNode) {
			n.Accounts = quota.NewTable(quota.Limits{Messages: quota.NewRate(0.001, 0, 0)}, func() {})
		}, "GET " + prefix + "version", wrong, 1},
		"a foreign page":         {nil, "GET " + prefix + "log", http.Header{"Authorization": {"Bearer wrong"}, "Origin": {"https://evil.example"}}, 0},
		"a path that nobody has": {nil, "GET /nothing", wrong, 0},
		"no token is set":        {func(n *fakeNode) { n.Config.AdminToken = "" }, "GET " + prefix + "log", wrong, 0},
		"nobody says who it is": {func(n *fakeNode) {
			n.Config.Auth, n.nats.auth = config.AuthService, func() (*nats.Msg, error) { return nil, nats.ErrNoResponders }
		}, "GET " + prefix + "version", wrong, 0},
		"it is no client's either": {func(n *fakeNode) {
			n.Config.Auth, n.nats.auth = config.AuthService, func() (*nats.Msg, error) { return &nats.Msg{}, nil }
		}, "GET " + prefix + "version", wrong, 1},
	} {
		n, a := newNode(t, func(n *fakeNode) {
			n.Config.AdminToken = testToken
			if test.change != nil {
				test.change(n)
			}
			var err error
			if n.Rules, err = policy.NewBook(n.Config.Policy, n.Config.AuthService); err != nil {
				t.Fatal(err)
			}
		})
		method, path, _ := strings.Cut(test.what, " ")
		body := ""
		if method == http.MethodPost {
			body = toService
		}
		got := ask(t, a.Public(), method, path, body, test.header)
		if counted := n.counted(t, "hydrant_wrong_admin_tokens_total"); counted != test.want {
			t.Errorf("%s: %d %s, counted %v", name, got.status, got.body, counted)
		}
	}
}
