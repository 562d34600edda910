package edge

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"time"

	"hydrant/bus"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

const apiPrefix = "/v1/router/"

// apiRoute is one route of the router API.
type apiRoute struct {
	admin   bool // names sessions, or changes something
	changes bool // something
	nats    bool // asks others, or the directory
	serve   func(n *Node, ctx context.Context) (any, error)
}

// apiRoutes are the routes that answer with data, over WebSocket and HTTP. A
// longer path is another path.
var apiRoutes = map[string]apiRoute{
	"version":       {serve: (*Node).apiVersion},
	"health":        {serve: (*Node).apiHealth},
	"stats":         {serve: (*Node).apiStats},
	"list/nodes":    {nats: true, serve: (*Node).apiNodes},
	"list/services": {nats: true, serve: (*Node).apiServices},
	"list/routes":   {nats: true, serve: (*Node).apiRoutes},
	"list/wsdir":    {admin: true, nats: true, serve: (*Node).apiSessions},
	"log":           {admin: true, serve: (*Node).apiLog},
	"refresh":       {admin: true, serve: (*Node).apiRefresh},
	"clear":         {admin: true, changes: true, serve: (*Node).apiClear},
}

// openRoutes are the edge's own routes in list/routes.
var openRoutes = []string{
	"[GET]" + apiPrefix + "version", "[GET]" + apiPrefix + "health", "[GET]" + apiPrefix + "stats",
	"[GET]" + apiPrefix + "list/nodes", "[GET]" + apiPrefix + "list/services", "[GET]" + apiPrefix + "list/routes",
}

// lookupRoute finds a route for a caller. A route that the caller may not use
// looks like one that does not exist.
func (n *Node) lookupRoute(path string, admin bool) (apiRoute, bool) {
	name, ok := strings.CutPrefix(path, apiPrefix)
	if !ok {
		return apiRoute{}, false
	}
	if service, found := strings.CutPrefix(name, "refresh/"); found && bus.ValidService(service) {
		name = "refresh"
	}
	route, ok := apiRoutes[name]
	if !ok || (!admin && (route.admin || n.cfg.RouterAPI == config.RouterAPIAdmin)) {
		return apiRoute{}, false
	}
	return route, true
}

// routerAPI answers a [METHOD] message to the router.
func (c *client) routerAPI(e *umf.Envelope, to umf.Address) {
	n := c.w.node
	var buf [128]byte
	authorization, _ := e.Text(umf.Authorization, buf[:0])
	rmid := append([]byte(nil), e.Raw(umf.Mid)...)
	path, _, _ := strings.Cut(to.Path, "?")
	route, ok := n.lookupRoute(path, n.isAdmin(string(authorization)))
	if !ok {
		text := "Route " + protocol.Quote([]byte(path)) + " is not routable."
		c.fail(rmid, protocol.CodeNotRoutable, text)
		return
	}
	job := func(ctx context.Context) (json.RawMessage, error) {
		data, err := route.serve(n, ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(data)
	}
	call(c, job, func(data json.RawMessage, err error) {
		switch {
		case c.closing || c.a == nil:
		case err != nil:
			if !errors.Is(err, errBusy) {
				n.log.Warn("router API", "path", path, "error", err)
			}
			c.failCall(rmid, err)
		default:
			c.reply(stats.OutAPI, protocol.Message{To: protocol.ClientAddress(c.a.sid), RMid: rmid, Body: data})
		}
	})
}

func (n *Node) apiVersion(context.Context) (any, error) {
	return map[string]string{"version": Version}, nil
}

// nodeHealth is what health tells of this node.
type nodeHealth struct {
	ServiceName   string   `json:"serviceName"`
	InstanceID    string   `json:"instanceID"`
	HostName      string   `json:"hostName"`
	Version       string   `json:"version"`
	SampledOn     string   `json:"sampledOn"`
	ProcessID     int      `json:"processID"`
	Architecture  string   `json:"architecture"`
	Platform      string   `json:"platform"`
	UptimeSeconds float64  `json:"uptimeSeconds"`
	HeapBytes     uint64   `json:"heapBytes"`
	Goroutines    int      `json:"goroutines"`
	Connections   int64    `json:"connections"`
	Ready         bool     `json:"ready"`
	Reasons       []string `json:"reasons,omitempty"`
}

func (n *Node) apiHealth(context.Context) (any, error) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	ready, reasons := n.readiness(false)
	host, _ := os.Hostname() // empty when the system does not say
	return nodeHealth{
		ServiceName: n.cfg.ServiceName, InstanceID: n.id, HostName: host, Version: Version,
		SampledOn: time.Now().UTC().Format(time.RFC3339), ProcessID: os.Getpid(),
		Architecture: runtime.GOARCH, Platform: runtime.GOOS, UptimeSeconds: time.Since(n.started).Seconds(),
		HeapBytes: mem.HeapAlloc, Goroutines: runtime.NumGoroutine(), Connections: n.connections.Load(),
		Ready: ready, Reasons: reasons,
	}, nil
}

// nodeStats is what stats tells: numbers since the node started.
type nodeStats struct {
	InstanceID       string  `json:"instanceID"`
	UptimeSeconds    float64 `json:"uptimeSeconds"`
	Connections      int64   `json:"connections"`
	MessagesReceived float64 `json:"messagesReceived"`
	MessagesSent     float64 `json:"messagesSent"`
	BytesReceived    float64 `json:"bytesReceived"`
	BytesSent        float64 `json:"bytesSent"`
	Errors           float64 `json:"errors"`
}

func (n *Node) apiStats(context.Context) (any, error) {
	sums, err := n.m.Sums()
	if err != nil {
		return nil, err
	}
	return nodeStats{
		InstanceID: n.id, UptimeSeconds: time.Since(n.started).Seconds(), Connections: n.connections.Load(),
		MessagesReceived: sums["hydrant_messages_received_total"], MessagesSent: sums["hydrant_messages_sent_total"],
		BytesReceived: sums["hydrant_received_bytes_total"], BytesSent: sums["hydrant_sent_bytes_total"],
		Errors: sums["hydrant_client_errors_total"],
	}, nil
}

// presence is one running instance, as list/nodes shows it.
type presence struct {
	ServiceName        string `json:"serviceName"`
	ServiceDescription string `json:"serviceDescription,omitempty"`
	Version            string `json:"version"`
	InstanceID         string `json:"instanceID"`
	HostName           string `json:"hostName"`
	Hostname           string `json:"hostname"` // the original has both spellings in use
}

func presenceOf(i bus.Instance) presence {
	return presence{i.Service, i.Metadata["description"], i.Version, i.ID, i.Host, i.Host}
}

// apiNodes lists everything that runs: nodes and instances of services.
func (n *Node) apiNodes(ctx context.Context) (any, error) {
	nodes, err := n.discovery.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	services, err := n.discovery.Services(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]presence, 0, len(nodes)+len(services))
	for _, i := range append(nodes, services...) {
		list = append(list, presenceOf(i))
	}
	return list, nil
}

// serviceList is one service, as list/services shows it.
type serviceList struct {
	ServiceName string     `json:"serviceName"`
	Instances   []presence `json:"instances"`
}

func (n *Node) apiServices(ctx context.Context) (any, error) {
	instances, err := n.discovery.Services(ctx) // sorted by name
	if err != nil {
		return nil, err
	}
	list := []serviceList{}
	for _, i := range instances {
		if len(list) == 0 || list[len(list)-1].ServiceName != i.Service {
			list = append(list, serviceList{ServiceName: i.Service})
		}
		last := &list[len(list)-1]
		last.Instances = append(last.Instances, presenceOf(i))
	}
	return list, nil
}

func (n *Node) apiRoutes(ctx context.Context) (any, error) {
	instances, err := n.discovery.Services(ctx)
	if err != nil {
		return nil, err
	}
	routes := map[string][]string{n.cfg.ServiceName: openRoutes}
	for _, i := range instances {
		if _, there := routes[i.Service]; !there {
			routes[i.Service] = append([]string{}, i.Routes...)
		}
	}
	return routes, nil
}

// maxListedSessions bounds the answer of list/wsdir.
const maxListedSessions = 10_000

// directoryRow is one session of list/wsdir.
type directoryRow struct {
	ClientID string `json:"clientID"`
	RouterID string `json:"routerID"`
	State    string `json:"state"`
}

func (n *Node) apiSessions(ctx context.Context) (any, error) {
	list := []directoryRow{}
	err := n.dir.List(ctx, func(sid string, entry bus.Entry) bool {
		row := directoryRow{ClientID: sid, State: entry.State.String()}
		if entry.State == bus.StateLive {
			row.RouterID = entry.Node
		}
		if len(list) == maxListedSessions {
			n.m.Dropped.Inc(stats.DropSessionList)
			return false
		}
		list = append(list, row)
		return true
	})
	return list, err
}

func (n *Node) apiLog(context.Context) (any, error) { return n.clientLog.List(), nil }

// apiRefresh has nothing to do: routes are asked of the services each time.
func (n *Node) apiRefresh(context.Context) (any, error) { return map[string]any{}, nil }

func (n *Node) apiClear(context.Context) (any, error) {
	n.clientLog.Clear()
	return map[string]any{}, nil
}

// pong answers a ping to the router.
func (c *client) pong(e *umf.Envelope) {
	c.reply(stats.OutPong, protocol.Message{ToRaw: e.Raw(umf.From), From: protocol.NoSender, RMid: e.Raw(umf.Mid), Type: protocol.TypePong, Body: []byte(protocol.PongBody)})
}

// locate answers wsdir.loc: which node holds a session's socket.
func (c *client) locate(e *umf.Envelope) {
	n := c.w.node
	sid, _ := umf.MemberText(e.Raw(umf.Body), "clientID") // none is the same as an unknown client
	to := append([]byte(nil), e.Raw(umf.From)...)
	rmid := append([]byte(nil), e.Raw(umf.Mid)...)
	answer := func(node string) {
		c.reply(stats.OutWsdir, protocol.Message{ToRaw: to, RMid: rmid, Type: protocol.TypeLocate, Body: protocol.AppendLocation(nil, node, sid)})
	}
	if !bus.ValidSID(sid) {
		answer("")
		return
	}
	job := func(ctx context.Context) (string, error) {
		entry, _, err := n.dir.Get(ctx, sid)
		if err != nil || entry.State != bus.StateLive {
			return "", err
		}
		return entry.Node, nil
	}
	call(c, job, func(node string, err error) {
		switch {
		case c.closing:
		case err == nil, errors.Is(err, bus.ErrNoSession):
			answer(node)
		default:
			c.failCall(rmid, err)
		}
	})
}
