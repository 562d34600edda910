package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// Hydra: typ ping.
func TestRouterPing(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	for _, from := range []string{c.Address(), "client:/", "me@somewhere:/"} {
		mid := c.Send(object{"to": "hydra-router:/", "frm": from, "typ": "ping", "bdy": object{}})
		m := c.Answer(mid)
		world.Want(t, m, "to", from, "typ", "pong")
		if m.Body() != `{"typ":"pong"}` {
			t.Errorf("body %s", m.Body())
		}
		if order := []string{"to", "mid", "rmid", "ts", "typ", "ver", "bdy"}; !slices.Equal(m.Keys, order) {
			t.Errorf("keys %v, want %v", m.Keys, order)
		}
	}
}

// Hydra: typ log has no answer.
func TestRouterLog(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	c := world.Dial(t, node)
	text := "log-" + world.Unique(t)
	c.Send(object{"to": "hydra-router:/", "typ": "log", "bdy": object{"text": text}})
	c.Quiet()
	page, err := harness.Get(node.AdminHTTP("/v1/router/log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), text) {
		t.Errorf("not in /v1/router/log: %.500s", page)
	}
}

// Hydra: typ wsdir.loc.
func TestRouterWhereIs(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, near, far := world.Dial(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "b"))
	for id, router := range map[string]string{
		c.ID: c.Router, near.ID: near.Router, far.ID: far.Router,
		strings.Repeat("q7", 13): "", "constructor": "", "*": "",
	} {
		m := c.Call(object{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": object{"clientID": id}})
		world.Want(t, m, "to", c.Address())
		if m.At("bdy", "routerID") != router || m.At("bdy", "clientID") != id {
			t.Errorf("%s is said to be at %s, want %s", id, m.Body(), router)
		}
	}
}

// Hydra: typ reconnect without an id, and a typ that is none.
func TestRouterTypesThatAreWrong(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "a")
	for typ, text := range map[string]string{
		"reconnect":    "reconnect message missing reconnect id",
		"reconnection": "reconnect message missing reconnect id",
		"nonsense":     "Unrecognized Hydra Router request",
		"PING":         "Unrecognized Hydra Router request",
		"":             "Unrecognized Hydra Router request",
	} {
		c := world.Dial(t, node)
		c.Send(object{"to": "hydra-router:/", "typ": typ, "bdy": object{"x": 1}})
		c.WantErrorAndClose(text, "")
	}
}

// Hydra, requests to hydra-router:[GET]/v1/router/….
func TestRouterAPIOverWebSocket(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	echo := w.EchoService(t)
	c, other := world.Dial(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "b"))
	for path, check := range map[string]func(body string) bool{
		"version": func(body string) bool { return strings.Contains(body, `"version":"`) },
		"health":  nonEmpty,
		"list/nodes": func(body string) bool {
			return strings.Contains(body, c.Router) && strings.Contains(body, other.Router)
		},
		"list/services": func(body string) bool { return strings.Contains(body, echo) },
		"list/routes":   nonEmpty,
		"stats":         nonEmpty,
	} {
		for _, verb := range []string{"GET", "get", "POST"} {
			// What the node knows of others may be seconds old.
			if err := harness.Until(world.Patient(t), func() error {
				m := c.Call(object{"to": "hydra-router:[" + verb + "]/v1/router/" + path, "bdy": object{}})
				world.Want(t, m, "to", c.Address(), "frm", c.Router+"@hydra-router:/")
				if m.Error() != "" || !check(m.Body()) {
					return fmt.Errorf("body %.500s", m.Body())
				}
				return nil
			}); err != nil {
				t.Errorf("[%s] %s: %v", verb, path, err)
			}
		}
	}
}

func nonEmpty(body string) bool { return body != "" && body != "{}" && body != "null" }

// Hydra: paths that are none, and a longer path is another path.
func TestRouterAPIUnknownPaths(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	for _, path := range []string{"/v1/router/nonsense", "/v1/router/version/more", "/v1/router/versions", "/v1/router/", "/v1/router/list"} {
		c.WantError(c.Call(object{"to": "hydra-router:[GET]" + path, "bdy": object{}}), "Route "+path+" is not routable.")
	}
}

// Hydra: refresh answers; whether it does something is a matter of S18.
func TestRouterAPIRefreshAnswers(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	for _, path := range []string{"refresh", "refresh/echo-svcs"} {
		world.Want(t, c.Call(object{"to": "hydra-router:[GET]/v1/router/" + path, "bdy": object{}}), "frm", c.Router+"@hydra-router:/")
	}
	c.Fence()
}

// S18 and S20 over WebSocket: sessions are not listed to anybody.
func TestRouterAPIWithoutToken(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, victim := world.Dial(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "a"))
	for _, path := range []string{"list/wsdir", "log", "clear"} {
		m := c.Call(object{"to": "hydra-router:[GET]/v1/router/" + path, "bdy": object{}})
		if m.Error() == "" || strings.Contains(string(m.Raw), victim.ID) {
			t.Errorf("%s: %.500s", path, m.Raw)
		}
	}
	c.Fence()
}

// S18: EDGE_ROUTER_API=admin closes the rest of it.
func TestRouterAPIClosed(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "guarded")
	c := world.Dial(t, node)
	for _, path := range []string{"list/nodes", "list/services", "list/routes", "stats"} {
		if m := c.Call(object{"to": "hydra-router:[GET]/v1/router/" + path, "bdy": object{}}); m.Error() == "" {
			t.Errorf("%s: %.300s", path, m.Raw)
		}
		if _, err := harness.Get(node.HTTP("/v1/router/" + path)); err == nil {
			t.Errorf("%s is open over HTTP", path)
		}
	}
}

// envelope is what the router API answers over HTTP.
type envelope struct {
	StatusCode        int             `json:"statusCode"`
	StatusMessage     string          `json:"statusMessage"`
	StatusDescription string          `json:"statusDescription"`
	Result            json.RawMessage `json:"result"`

	// Of list/nodes.
	InstanceID string `json:"instanceID"`
	Hostname   string `json:"hostname"`
	Version    string `json:"version"`
}
