package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// prefix begins the path of every route.
const prefix = "/v1/router/"

// route is one route of the router API. It has either local or remote.
type route struct {
	admin   bool // names sessions, or changes something
	names   bool // sessions: no administrator without the token
	changes bool // something
	plain   bool // over HTTP without an envelope
	local   func(a *API, ctx context.Context) (any, error)
	remote  func(a *API, ctx context.Context, n *NATS) (any, error) // asks others, or the directory
}

// routes answer with data, over WebSocket and HTTP, by what follows the prefix.
var routes = map[string]route{
	"version":       {local: (*API).version},
	"health":        {local: (*API).health},
	"stats":         {local: (*API).stats},
	"openapi.json":  {plain: true, local: (*API).openAPI},
	"list/nodes":    {remote: (*API).listNodes},
	"list/services": {remote: (*API).listServices},
	"list/routes":   {remote: (*API).listRoutes},
	"list/wsdir":    {admin: true, names: true, remote: (*API).listSessions},
	"log":           {admin: true, local: (*API).log},
	"refresh":       {admin: true, local: (*API).refresh},
	"clear":         {admin: true, changes: true, local: (*API).clear},
}

// ownRoutes are the router's own in list/routes.
var ownRoutes = []string{
	prefix + "version", prefix + "health", prefix + "stats", prefix + "openapi.json",
	prefix + "list/nodes", prefix + "list/services", prefix + "list/routes", prefix + "list/wsdir",
	prefix + "log", prefix + "refresh", prefix + "refresh/{service}", prefix + "clear",
	"[post]" + prefix + "send", "[post]" + prefix + "queue", "[post]" + prefix + "message",
}

// errNotServing: a route asks NATS, and the node does not serve yet.
var errNotServing = errors.New("api: the node does not serve yet")

// find finds a route.
func (a *API) find(path string) (route, bool) {
	name, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return route{}, false
	}
	if service, found := strings.CutPrefix(name, "refresh/"); found && scheme.ValidName(service) {
		name = "refresh"
	}
	r, ok := routes[name]
	return r, ok
}

// mayUse reports whether a caller may use a route.
func (a *API) mayUse(r route, admin bool) bool {
	return admin || !r.admin && a.node.Config.RouterAPI != config.RouterAPIAdmin
}

// answer runs a route. It fails with errNotServing, or with an error of NATS.
func (a *API) answer(ctx context.Context, r route) (any, error) {
	if r.local != nil {
		return r.local(a, ctx)
	}
	n := a.node.NATS()
	if n == nil {
		return nil, errNotServing
	}
	return r.remote(a, ctx, n)
}

// Route finds a route for a client. path has no query; authorization is as in HTTP, ""
// if the client shows none, and from its address. Without a call the client is refused
// with a code: not_routable, forbidden, or overload after too many wrong tokens. call
// waits for NATS, so an event loop leaves it to another goroutine, and answers with JSON.
func (a *API) Route(path, authorization string, from netip.Addr) (call func(context.Context) ([]byte, error), no protocol.Code) {
	r, known := a.find(path)
	if !known {
		return nil, protocol.CodeNotRoutable
	}
	standing := a.admins.Check(authorization, from, time.Now())
	if !a.mayUse(r, standing == access.Administrator) {
		if a.countWrong(standing, stats.TokenWebSocket, from); standing == access.TooManyTokens {
			return nil, protocol.CodeOverload
		}
		return nil, protocol.CodeForbidden
	}
	return func(ctx context.Context) ([]byte, error) {
		data, err := a.answer(ctx, r)
		if err != nil {
			return nil, err
		}
		return json.Marshal(data)
	}, 0
}

// countWrong counts and reports a wrong token for which something is refused.
func (a *API) countWrong(standing access.Standing, way stats.TokenWay, from netip.Addr) {
	admins := a.admins
	if way == stats.TokenAdmin {
		admins = a.desk
	}
	if standing != access.WrongToken {
		return
	}
	now := time.Now()
	admins.Wrong(from, now)
	if count := a.node.Metrics.WrongTokens.Inc(way, now); count > 0 {
		a.node.Log.Warn("wrong tokens of administrators", "way", way.String(), "count", count, "address", from)
	}
}
