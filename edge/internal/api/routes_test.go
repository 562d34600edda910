package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
)

var (
	openNames  = []string{"version", "health", "stats", "openapi.json", "list/nodes", "list/services", "list/routes"}
	adminNames = []string{"list/wsdir", "log", "refresh", "refresh/echo-svcs", "clear"}
	otherNames = []string{"", "nonsense", "versions", "version/more", "version/", "list", "list/", "list/wsdir.js", "log.css", "clear.js",
		"refresh/", "refresh/a.b", "refresh/*", "refresh/a/b", "Version"}
)

// TestWhoSeesWhichRoute: over WebSocket and on both listeners. Who may not use a route
// is told so, and what does not exist is not found.
func TestWhoSeesWhichRoute(t *testing.T) {
	for _, test := range []struct {
		name          string
		token         string // of the node
		mode          config.RouterAPI
		authorization string
		open, admin   bool
	}{
		{"no token is set", "", config.RouterAPIOpen, "Bearer ", true, false},
		{"nothing is shown", testToken, config.RouterAPIOpen, "", true, false},
		{"wrong", testToken, config.RouterAPIOpen, "Bearer wrong", true, false},
		{"no bearer", testToken, config.RouterAPIOpen, testToken, true, false},
		{"right", testToken, config.RouterAPIOpen, "Bearer " + testToken, true, true},
		{"closed, nothing is shown", testToken, config.RouterAPIAdmin, "", false, false},
		{"closed, wrong", testToken, config.RouterAPIAdmin, "Bearer wrong", false, false},
		{"closed, right", testToken, config.RouterAPIAdmin, "Bearer " + testToken, true, true},
		{"closed, no token is set", "", config.RouterAPIAdmin, "", false, false},
	} {
		header := http.Header{"Authorization": {test.authorization}}
		for _, group := range []struct {
			names       []string
			mayUse, are bool
		}{{openNames, test.open, true}, {adminNames, test.admin, true}, {otherNames, false, false}} {
			for _, name := range group.names {
				_, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken, n.Config.RouterAPI = test.token, test.mode })
				status := wanted(name, group.mayUse, group.are)
				got := ask(t, a.Public(), "GET", prefix+name, "", header)
				if got.status != status || status == 401 && (got.header.Get("WWW-Authenticate") != "Bearer" || got.description != "EDGE_ADMIN_TOKEN is needed as bearer token") {
					t.Errorf("%s: %q is answered with %d %q, want %d", test.name, name, got.status, got.description, status)
				}
				no := map[int]protocol.Code{http.StatusNotFound: protocol.CodeNotRoutable, http.StatusUnauthorized: protocol.CodeForbidden}[status]
				if call, got := a.Route(prefix+name, test.authorization, somewhere); (call != nil) != group.mayUse || call == nil && got != no {
					t.Errorf("%s: %q over WebSocket: %v, %v", test.name, name, call != nil, got)
				}
			}
		}
	}
}

// wanted is the status of a route.
func wanted(name string, mayUse, is bool) (status int) {
	switch {
	case !is:
		return http.StatusNotFound
	case !mayUse:
		return http.StatusUnauthorized
	case name == "clear":
		return http.StatusFound
	}
	return http.StatusOK
}

// TestAnyMethod: the router's routes are asked with whatever method.
func TestAnyMethod(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken = testToken })
	for _, h := range []http.Handler{a.Public(), atHome(a)} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"} {
			for _, name := range append(append([]string{}, openNames...), adminNames...) {
				want := wanted(name, true, true)
				if got := ask(t, h, method, prefix+name, "", bearer(testToken)); got.status != want {
					t.Errorf("%s %s: %d, want %d", method, name, got.status, want)
				}
			}
		}
	}
}

// TestAdministratorsSeeAllRoutes: on their listener, without a token, but for the ids
// of all sessions.
func TestAdministratorsSeeAllRoutes(t *testing.T) {
	for _, mode := range []config.RouterAPI{config.RouterAPIOpen, config.RouterAPIAdmin} {
		_, a := newNode(t, func(n *fakeNode) { n.Config.RouterAPI = mode })
		for _, name := range append(append([]string{}, openNames...), adminNames...) {
			want := http.StatusOK
			switch name {
			case "clear":
				want = http.StatusFound
			case "list/wsdir":
				want = http.StatusUnauthorized
			}
			if got := ask(t, atHome(a), "GET", prefix+name, "", nil); got.status != want {
				t.Errorf("%s: %d, want %d", name, got.status, want)
			}
		}
		for _, name := range otherNames {
			if got := ask(t, atHome(a), "GET", prefix+name, "", nil); got.status != http.StatusNotFound {
				t.Errorf("%q: %d", name, got.status)
			}
		}
	}
}

// TestEveryRouteIsListed: the lists above are complete, and a route has one way to
// be answered.
func TestEveryRouteIsListed(t *testing.T) {
	listed := strings.Join(append(append([]string{}, openNames...), adminNames...), " ") + " "
	for name, r := range routes {
		if !strings.Contains(listed, name+" ") {
			t.Errorf("%s is in no test", name)
		}
		if (r.local == nil) == (r.remote == nil) {
			t.Errorf("%s is answered in two ways, or in none", name)
		}
		if r.changes && !r.admin {
			t.Errorf("%s changes something, and everybody may use it", name)
		}
	}
	for name := range routes {
		if !slices.Contains(ownRoutes, prefix+name) {
			t.Errorf("list/routes lacks %s", name)
		}
	}
	for name := range posts {
		if !slices.Contains(ownRoutes, "[post]"+prefix+name) {
			t.Errorf("list/routes lacks %s", name)
		}
	}
}

// TestRoutesBeforeNATS: an administrator who looks at a node that still waits
// for NATS is told so.
func TestRoutesBeforeNATS(t *testing.T) {
	n, a := newNode(t, func(n *fakeNode) { n.serving, n.Config.AdminToken = false, testToken })
	for path := range routes {
		want := http.StatusOK
		switch path {
		case "list/nodes", "list/services", "list/routes", "list/wsdir":
			want = http.StatusServiceUnavailable
		case "clear":
			want = http.StatusFound
		}
		got := ask(t, atHome(a), "GET", prefix+path, "", bearer(testToken))
		if got.status != want || want == http.StatusServiceUnavailable && got.description != "Not available yet" {
			t.Errorf("%s: %d %q, want %d", path, got.status, got.description, want)
		}
	}
	if n.logged.Len() > 0 {
		t.Errorf("in the log: %s", &n.logged)
	}
	call, _ := a.Route(prefix+"list/nodes", "", somewhere)
	if call == nil {
		t.Fatal("no list/nodes")
	}
	if data, err := call(t.Context()); !errors.Is(err, errNotServing) || data != nil {
		t.Errorf("%s, %v", data, err)
	}
}

// TestRoutesWithoutAnswer: what NATS says of a list is for the log alone.
func TestRoutesWithoutAnswer(t *testing.T) {
	for _, name := range []string{"list/nodes", "list/services", "list/routes", "list/wsdir"} {
		n, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken, n.nats.err = testToken, errors.New("internal detail") })
		got := ask(t, a.Public(), "GET", prefix+name, "", bearer(testToken))
		if got.status != http.StatusServiceUnavailable || got.description != "Not available now" || got.result != "{}" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if said := n.logged.String(); !strings.Contains(said, "internal detail") || !strings.Contains(said, prefix+name) {
			t.Errorf("%s: in the log: %s", name, said)
		}
		call, _ := a.Route(prefix+name, "Bearer "+testToken, somewhere)
		if call == nil {
			t.Fatalf("no %s", name)
		}
		if _, err := call(t.Context()); err != n.nats.err {
			t.Errorf("%s over WebSocket: %v", name, err)
		}
	}
}

// TestSameDataBothWays: a message is answered with what the envelope has as its
// result.
func TestSameDataBothWays(t *testing.T) {
	_, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken = testToken })
	for _, name := range []string{"version", "list/nodes", "list/services", "list/routes", "list/wsdir", "log", "refresh", "refresh/echo"} {
		got := ask(t, a.Public(), "GET", prefix+name, "", bearer(testToken))
		if got.status != http.StatusOK || got.description != "Request succeeded without error" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		call, _ := a.Route(prefix+name, "Bearer "+testToken, somewhere)
		if call == nil {
			t.Fatalf("no %s", name)
		}
		if data, err := call(context.Background()); err != nil || string(data) != got.result {
			t.Errorf("%s: %s, %v; over HTTP %s", name, data, err, got.result)
		}
	}
}
