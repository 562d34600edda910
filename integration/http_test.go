package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// fetch performs a request and reads the envelope, if there is one.
func fetch(t *testing.T, method, url, body string, header http.Header) (int, envelope, http.Header) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	if host := header.Get("Host"); host != "" {
		request.Host = host
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, raw, err := harness.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	var e envelope
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Errorf("%s %s: %v in %.300s", method, url, err, raw)
		}
	}
	return response.StatusCode, e, response.Header
}

// Hydra: HTTP on the same port.
func TestHTTPRouterAPI(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	echo := w.EchoService(t)
	node := w.Node(t, "a")
	c, other := world.Dial(t, node), world.Dial(t, w.Node(t, "b"))
	for path, pieces := range map[string][]string{
		"version":       {`"version":"`},
		"health":        {},
		"list/nodes":    {c.Router, other.Router, `"instanceID"`, `"hostName"`, `"version"`},
		"list/services": {echo, `"instanceID"`},
		"list/routes":   {},
		"stats":         {},
	} {
		// What the node knows of others may be seconds old.
		if err := harness.Until(world.Patient(t), func() error {
			status, e, _ := fetch(t, "GET", node.HTTP("/v1/router/"+path), "", nil)
			if status != http.StatusOK || e.StatusCode != http.StatusOK || e.StatusMessage == "" || e.StatusDescription == "" {
				t.Errorf("%s: status %d, envelope %+v", path, status, e)
			}
			if path == "list/nodes" && (e.InstanceID != c.Router || e.Hostname == "" || e.Version == "") {
				t.Errorf("list/nodes does not say who answers: %+v", e)
			}
			for _, piece := range append(pieces, "") {
				if !nonEmpty(string(e.Result)) || !strings.Contains(string(e.Result), piece) {
					return fmt.Errorf("no %s in %.500s", piece, e.Result)
				}
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestHTTPUnknownPath(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "a")
	for _, path := range []string{"/v1/router/nonsense", "/v1/router/version/more", "/v1/router", "/nonsense"} {
		if status, _, _ := fetch(t, "GET", node.HTTP(path), "", nil); status != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, status)
		}
	}
}

// S18, S19, S20: what names sessions or changes something is refused without
// the token, whatever the Host header and the path's end say.
func TestHTTPWithoutToken(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	// Of its own, since who has tried wrong tokens waits with the right one.
	guessed := w.Start(t, "guessed", map[string]string{"EDGE_ADMIN_TOKEN": world.AdminToken})
	for _, node := range []*harness.Node{w.Node(t, "a"), guessed} {
		name := node.Name
		victim := world.Dial(t, node)
		for _, path := range []string{"list/wsdir", "log", "refresh", "refresh/echo-svcs", "clear", "list/wsdir.js", "log.css", "clear.js", "list/wsdir?x=.js"} {
			for _, header := range []http.Header{
				{}, {"Host": {"localhost"}}, {"Host": {"127.0.0.1"}},
				{"Authorization": {"Bearer wrong"}}, {"X-Forwarded-For": {"127.0.0.1"}}, {"X-Forwarded-Host": {"localhost"}},
			} {
				status, e, _ := fetch(t, "GET", node.HTTP("/v1/router/"+path), "", header)
				if status < 400 || strings.Contains(string(e.Result), victim.ID) {
					t.Errorf("node %s, %s with %v: status %d, result %.200s", name, path, header, status, e.Result)
				}
			}
		}
	}
}

// The same with the token, and on the admin listener.
func TestHTTPForAdministrators(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	administered, a := w.Node(t, "administered"), w.Node(t, "a")
	bearer := http.Header{"Authorization": {"Bearer " + world.AdminToken}}
	for _, way := range []struct {
		url    func(string) string
		header http.Header
		node   *harness.Node
	}{{administered.HTTP, bearer, administered}, {administered.AdminHTTP, bearer, administered}, {a.AdminHTTP, nil, a}} {
		c := world.Dial(t, way.node)
		if way.header == nil { // whoever reaches the listener does not get everybody's id with that
			if status, _, _ := fetch(t, "GET", way.url("/v1/router/list/wsdir"), "", nil); status != http.StatusUnauthorized {
				t.Errorf("list/wsdir without a token: status %d", status)
			}
		} else if status, e, _ := fetch(t, "GET", way.url("/v1/router/list/wsdir"), "", way.header); status != http.StatusOK || !strings.Contains(string(e.Result), c.ID) {
			t.Errorf("list/wsdir: status %d, without %s: %.300s", status, c.ID, e.Result)
		}
		for _, path := range []string{"log", "refresh"} {
			if status, e, _ := fetch(t, "GET", way.url("/v1/router/"+path), "", way.header); status != http.StatusOK || e.StatusCode != http.StatusOK {
				t.Errorf("%s: status %d, %+v", path, status, e)
			}
		}
		status, _, header := fetch(t, "GET", way.url("/v1/router/clear"), "", way.header)
		if status != http.StatusFound || header.Get("Location") != "/" {
			t.Errorf("clear: status %d to %q, want 302 to /", status, header.Get("Location"))
		}
		c.Quiet()
	}
}

// Liveness, readiness and metrics are the operator's, on the admin listener.
func TestHTTPAdminListener(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "a")
	for _, path := range []string{"/readyz", "/healthz", "/metrics"} {
		if _, err := harness.Get(node.AdminHTTP(path)); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		if status, _, _ := fetch(t, "GET", node.HTTP(path), "", nil); status < 400 {
			t.Errorf("%s is open to clients: status %d", path, status)
		}
	}
}
