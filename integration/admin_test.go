package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// S120, S121: what changes something on the admin listener wants the right method, the
// token where there is one, and no browser where there is none.
func TestAdminChangesAreGuarded(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	a, administered := w.Node(t, "a"), w.Node(t, "administered") // which has a token
	bearer := "Bearer " + world.AdminToken
	for _, test := range []struct {
		node   *harness.Node
		method string
		header http.Header
		want   int
	}{
		{a, "GET", nil, http.StatusNotFound},
		{a, "POST", http.Header{"Origin": {"http://" + a.Admin}}, http.StatusForbidden},
		{a, "POST", http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden},
		{a, "POST", http.Header{"Origin": {"https://evil.example"}, "Host": {"evil.example"}}, http.StatusMisdirectedRequest},
		{a, "POST", http.Header{"Sec-Fetch-Site": {"same-origin"}}, http.StatusForbidden},
		{administered, "POST", nil, http.StatusUnauthorized},
		{administered, "POST", http.Header{"Host": {"localhost"}}, http.StatusUnauthorized},
		{administered, "POST", http.Header{"Authorization": {"Bearer wrong"}}, http.StatusUnauthorized},
		{administered, "GET", http.Header{"Authorization": {bearer}}, http.StatusNotFound},
	} {
		if status, _, _ := fetch(t, test.method, test.node.AdminHTTP("/drain"), "", test.header); status != test.want {
			t.Errorf("%s /drain of %s with %v: status %d, want %d", test.method, test.node.Name, test.header, status, test.want)
		}
	}
	for _, path := range []string{"/drain", "/loglevel"} {
		for _, method := range []string{"POST", "PUT", "GET"} {
			if status, _, _ := fetch(t, method, administered.HTTP(path), "debug", http.Header{"Authorization": {bearer}}); status != http.StatusNotFound {
				t.Errorf("%s %s on the clients' port: status %d", method, path, status)
			}
		}
	}
	for _, node := range []*harness.Node{a, administered} {
		if err := node.Ready(); err != nil {
			t.Errorf("%s: %v", node.Name, err)
		}
	}
}

// S120, S121, S122: the administrators' listener of nodes that run, by the address that it
// has: what it answers to whom, and under which name.
func TestAdminListenerByAddress(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	token := http.Header{"Authorization": {"Bearer " + world.AdminToken}}
	page := http.Header{"Authorization": {"Bearer " + world.AdminToken}, "Host": {"evil.example"}}
	named := http.Header{"Authorization": {"Bearer " + world.AdminToken}, "Host": {"ops.example:9353"}}
	for name, test := range map[string]struct {
		env  map[string]string
		want [4]int // of who shows nothing, the token, the token under a strange name, and under one of its own
	}{
		"alone":                 {map[string]string{}, [4]int{200, 200, 421, 421}},
		"alone, with a token":   {map[string]string{"EDGE_ADMIN_TOKEN": world.AdminToken}, [4]int{401, 200, 421, 421}},
		"reached":               {map[string]string{"EDGE_ADMIN_LISTEN": ":"}, [4]int{401, 401, 421, 421}},
		"reached, with a token": {map[string]string{"EDGE_ADMIN_LISTEN": "0.0.0.0:", "EDGE_ADMIN_TOKEN": world.AdminToken, "EDGE_ADMIN_HOSTS": "Ops.example."}, [4]int{401, 200, 421, 200}},
	} {
		node := w.Start(t, name, test.env)
		for i, header := range []http.Header{nil, token, page, named} {
			for _, path := range []string{"/v1/router/version", "/v1/router/log", "/debug/pprof/", "/debug/pprof/cmdline", "/loglevel"} {
				if status, _, _ := fetch(t, "GET", node.AdminHTTP(path), "", header); status != test.want[i] {
					t.Errorf("%s, %s with %v: status %d, want %d", name, path, header, status, test.want[i])
				}
			}
			for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
				want := http.StatusOK
				if test.want[i] == http.StatusMisdirectedRequest {
					want = test.want[i]
				}
				if status, _, _ := fetch(t, "GET", node.AdminHTTP(path), "", header); status != want {
					t.Errorf("%s, %s with %v: status %d, want %d", name, path, header, status, want)
				}
			}
		}
		if test.want[0] == http.StatusUnauthorized {
			if status, _, _ := fetch(t, "POST", node.AdminHTTP("/drain"), "", nil); status != http.StatusUnauthorized {
				t.Errorf("%s: drains with status %d", name, status)
			}
			if err := node.Ready(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if out := healthcheck(t, node, 0, "-ready"); out != "ok\n" {
			t.Errorf("%s: healthcheck says %q", name, out)
		}
	}
}

// S123: whoever guesses the token is slowed down, over HTTP and in a message's aut, and it
// is counted and logged.
func TestGuessedAdminTokens(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Start(t, "guessed by many", map[string]string{"EDGE_ADMIN_TOKEN": world.AdminToken})
	c := world.Dial(t, node)
	ways := map[string]func(n int) bool{ // whether it is told to wait
		"http": func(n int) bool {
			status, _, header := fetch(t, "GET", node.HTTP("/v1/router/log"), "", http.Header{"Authorization": {fmt.Sprint("Bearer wrong-", n)}})
			return status == http.StatusTooManyRequests && header.Get("Retry-After") == "1"
		},
		"websocket": func(n int) bool {
			m := c.Call(object{"to": "hydra-router:[GET]/v1/router/log", "aut": fmt.Sprint("Bearer wrong-", n), "bdy": 1})
			return m.At("bdy", "code") == "overload"
		},
		"admin": func(n int) bool {
			status, _, header := fetch(t, "GET", node.AdminHTTP("/loglevel"), "", http.Header{"Authorization": {fmt.Sprint("Bearer wrong-", n)}})
			return status == http.StatusTooManyRequests && header.Get("Retry-After") == "1"
		},
	}
	for _, way := range []string{"websocket", "http", "admin"} {
		for n := 0; !ways[way](n); n++ {
			if n == 1000 {
				t.Errorf("%s: a thousand tokens were looked at", way)
				break
			}
		}
	}
	page, err := harness.Get(node.AdminHTTP("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	said := string(node.Log.Since(0))
	for _, way := range []string{"websocket", "admin"} { // those of http may all have been spent before
		if strings.Contains(string(page), `hydrant_wrong_admin_tokens_total{way="`+way+`"} 0`) || !strings.Contains(said, `"way":"`+way+`"`) {
			t.Errorf("%s: neither counted nor told: %s", way, said)
		}
	}
	if strings.Contains(said, "wrong-") {
		t.Errorf("the log has what was shown: %s", said)
	}
	// It is let in as soon as a second is over, with all clients still there.
	if err := harness.Until(world.Patient(t), func() error {
		status, _, _ := fetch(t, "GET", node.AdminHTTP("/loglevel"), "", http.Header{"Authorization": {"Bearer " + world.AdminToken}})
		if status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	c.Fence()
}

// The log level changes while the node runs.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "quiet", map[string]string{"EDGE_LOG_LEVEL": "warn"})
	level := func(method, body string, status int, want string) {
		t.Helper()
		got, e, _ := fetch(t, method, node.AdminHTTP("/loglevel"), body, nil)
		if got != status || !strings.Contains(string(e.Result), want) {
			t.Errorf("%s %q: status %d, %s", method, body, got, e.Result)
		}
	}
	level("GET", "", http.StatusOK, `"warn"`)
	for _, nonsense := range []string{"", "loud", "debug+4", strings.Repeat("debug", 100)} {
		level("PUT", nonsense, http.StatusBadRequest, "")
	}
	level("PUT", "info", http.StatusOK, `"info"`)
	level("GET", "", http.StatusOK, `"info"`)
	mark := node.Log.Mark()
	if err := node.Terminate(world.Patient(t)); err != nil {
		t.Error(err)
	}
	if said := string(node.Log.Since(mark)); !strings.Contains(said, "draining") {
		t.Errorf("at level info it says only %s", said)
	}
}

// Clients learn which part is missing, and only administrators why.
func TestReasonsAreForAdministrators(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "node", nil)
	if out := healthcheck(t, node, 0, "-ready"); out != "ok\n" {
		t.Errorf("healthcheck says %q", out)
	}
	server := w.NATS.Servers[0]
	server.Kill()
	notReady(t, node, "nats: not connected")
	for _, path := range []string{"/readyz", "/v1/router/health"} {
		_, status, err := statusOf(node.HTTP(path))
		if err != nil || !strings.Contains(status, `"nats"`) || strings.Contains(status, "connected") {
			t.Errorf("%s says %s, %v", path, status, err)
		}
	}
	if out := healthcheck(t, node, 1, "-ready"); !strings.Contains(out, "nats: not connected") {
		t.Errorf("healthcheck says %s", out)
	}
	healthcheck(t, node, 0) // alive: a restart would cure nothing
}
