package integration

import (
	"net/http"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// What changes something on the admin listener wants the right method, the
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
		{a, "POST", http.Header{"Origin": {"https://evil.example"}, "Host": {"evil.example"}}, http.StatusForbidden},
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
