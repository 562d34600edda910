package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/config"
)

// prefix begins the path of every route.
const prefix = "/v1/router/"

// route is one route of the router API. It has either local or remote.
type route struct {
	admin   bool // names sessions, or changes something
	names   bool // sessions: no administrator without the token
	changes bool // something
	local   func(a *API) (any, error)
	remote  func(a *API, ctx context.Context, n *NATS) (any, error) // asks others, or the directory
}

// routes answer with data, over WebSocket and HTTP, by what follows the prefix.
var routes = map[string]route{
	"version":       {local: (*API).version},
	"health":        {local: (*API).health},
	"stats":         {local: (*API).stats},
	"list/nodes":    {remote: (*API).listNodes},
	"list/services": {remote: (*API).listServices},
	"list/routes":   {remote: (*API).listRoutes},
	"list/wsdir":    {admin: true, names: true, remote: (*API).listSessions},
	"log":           {admin: true, local: (*API).log},
	"refresh":       {admin: true, local: (*API).refresh},
	"clear":         {admin: true, changes: true, local: (*API).clear},
}

// openRoutes are the router's own in list/routes.
var openRoutes = []string{
	"[GET]" + prefix + "version", "[GET]" + prefix + "health", "[GET]" + prefix + "stats",
	"[GET]" + prefix + "list/nodes", "[GET]" + prefix + "list/services", "[GET]" + prefix + "list/routes",
}

// errNotServing: a route asks NATS, and the node does not serve yet.
var errNotServing = errors.New("api: the node does not serve yet")

// find finds a route for a caller.
func (a *API) find(path string, admin bool) (route, bool) {
	name, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return route{}, false
	}
	if service, found := strings.CutPrefix(name, "refresh/"); found && scheme.ValidName(service) {
		name = "refresh"
	}
	r, ok := routes[name]
	if !ok || (!admin && (r.admin || a.node.Config.RouterAPI == config.RouterAPIAdmin)) {
		return route{}, false
	}
	return r, true
}

// answer runs a route. It fails with errNotServing, or with an error of NATS.
func (a *API) answer(ctx context.Context, r route) (any, error) {
	if r.local != nil {
		return r.local(a)
	}
	n := a.node.NATS()
	if n == nil {
		return nil, errNotServing
	}
	return r.remote(a, ctx, n)
}

// isAdmin reports whether a field Authorization has the token of administrators.
func (a *API) isAdmin(authorization string) bool { return a.admin.Matches(authorization) }

// Route finds a route for a client. path has no query; authorization is as in
// HTTP, "" if the client shows none. ok is false for a route that the client may
// not use as well. call waits for NATS, so an event loop leaves it to another
// goroutine, and answers with JSON.
func (a *API) Route(path, authorization string) (call func(context.Context) ([]byte, error), ok bool) {
	r, ok := a.find(path, a.isAdmin(authorization))
	if !ok {
		return nil, false
	}
	return func(ctx context.Context) ([]byte, error) {
		data, err := a.answer(ctx, r)
		if err != nil {
			return nil, err
		}
		return json.Marshal(data)
	}, true
}
