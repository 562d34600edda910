package api

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/edge/internal/stats"
)

// presence is one running instance, as list/nodes shows it. null: it does not say.
type presence struct {
	ServiceName        scheme.Service `json:"serviceName"`
	ServiceDescription *string        `json:"serviceDescription"`
	Version            string         `json:"version"`
	InstanceID         string         `json:"instanceID"`
	UpdatedOn          string         `json:"updatedOn"`
	ProcessID          *int           `json:"processID"`
	IP                 *string        `json:"ip"`
	Port               *string        `json:"port"`
	HostName           *string        `json:"hostName"`
	Elapsed            int64          `json:"elapsed"` // seconds since it was last heard of
}

// orNull is nil for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func presenceOf(i *discovery.Instance, now time.Time) presence {
	return presence{
		ServiceName: i.Service, ServiceDescription: orNull(i.Description), Version: i.Version, InstanceID: i.ID,
		UpdatedOn: i.Heard.UTC().Format(scheme.TimeFormat), ProcessID: orNull(i.ProcessID),
		IP: orNull(i.IP), Port: orNull(i.Port), HostName: orNull(i.Host),
		Elapsed: max(0, int64(now.Sub(i.Heard)/time.Second)),
	}
}

// participants lists all that runs: nodes and instances of services.
func participants(ctx context.Context, n *NATS) ([]discovery.Instance, error) {
	nodes, err := n.Discovery.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	services, err := n.Discovery.Services(ctx)
	return slices.Concat(nodes, services), err
}

func (a *API) listNodes(ctx context.Context, n *NATS) (any, error) {
	all, err := participants(ctx, n)
	if err != nil {
		return nil, err
	}
	list, now := make([]presence, len(all)), time.Now()
	for i := range all {
		list[i] = presenceOf(&all[i], now)
	}
	return list, nil
}

// health is what a participant tells of its process, beside what its presence has.
// null: it does not.
type health struct {
	SampledOn     json.RawMessage `json:"sampledOn"`
	Architecture  json.RawMessage `json:"architecture"`
	Platform      json.RawMessage `json:"platform"`
	NodeVersion   json.RawMessage `json:"nodeVersion"`
	Memory        json.RawMessage `json:"memory"`
	UptimeSeconds json.RawMessage `json:"uptimeSeconds"`
}

// serviceRow is one instance of list/services.
type serviceRow struct {
	presence
	health
}

// listServices lists all that runs with its health. It is a list all the same where
// the participants do not tell of that.
func (a *API) listServices(ctx context.Context, n *NATS) (any, error) {
	all, err := participants(ctx, n)
	if err != nil {
		return nil, err
	}
	told, err := n.Discovery.Vitals(ctx)
	if err != nil {
		a.node.Log.Debug("list/services lacks the health of services", "error", err)
	}
	list, now := make([]serviceRow, len(all)), time.Now()
	for i := range all {
		list[i].presence = presenceOf(&all[i], now)
		var process struct {
			ProcessID int `json:"processID"`
			health
		}
		if json.Unmarshal(told[all[i].NATS], &process) != nil {
			continue // nothing, or not what Hydra's health is
		}
		list[i].health = process.health
		if list[i].ProcessID == nil {
			list[i].ProcessID = orNull(process.ProcessID)
		}
	}
	return list, nil
}

// routesRow is one service of list/routes.
type routesRow struct {
	ServiceName string   `json:"serviceName"`
	Routes      []string `json:"routes"`
}

// listRoutes lists the routes of each service that runs, of all its instances.
func (a *API) listRoutes(ctx context.Context, n *NATS) (any, error) {
	instances, err := n.Discovery.Services(ctx) // sorted by name
	if err != nil {
		return nil, err
	}
	list := []routesRow{{a.node.Config.ServiceName, ownRoutes}}
	for _, i := range instances {
		last := &list[len(list)-1]
		if len(list) == 1 || last.ServiceName != string(i.Service) {
			list = append(list, routesRow{string(i.Service), []string{}})
			last = &list[len(list)-1]
		}
		last.Routes = appendRoutes(last.Routes, i.Routes)
	}
	return list, nil
}

// appendRoutes adds routes that are not there yet. A method is shown in lower case, as
// Hydra's services write it.
func appendRoutes(list, routes []string) []string {
	seen := make(map[string]bool, len(list)+len(routes))
	for _, text := range list {
		seen[text] = true
	}
	for _, text := range routes {
		route, err := scheme.ParseRoute(text)
		if err != nil {
			continue
		}
		shown := route.Path
		if route.Method != "" {
			shown = "[" + strings.ToLower(route.Method) + "]" + route.Path
		}
		if !seen[shown] {
			seen[shown] = true
			list = append(list, shown)
		}
	}
	return list
}

// maxSessionRows bounds the answer of list/wsdir.
const maxSessionRows = 10_000

// sessionRow is one session of list/wsdir.
type sessionRow struct {
	ClientID scheme.SID    `json:"clientID"`
	RouterID scheme.NodeID `json:"routerID"` // "": it is parked
	State    string        `json:"state"`
}

func (a *API) listSessions(ctx context.Context, n *NATS) (any, error) {
	list := []sessionRow{}
	err := n.Directory.List(ctx, func(sid scheme.SID, entry scheme.Entry) bool {
		row := sessionRow{ClientID: sid, State: entry.State.String()}
		if entry.State == scheme.StateLive {
			row.RouterID = entry.Node
		}
		if len(list) == maxSessionRows {
			a.node.Metrics.Dropped.Inc(stats.DropSessionList)
			return false
		}
		list = append(list, row)
		return true
	})
	return list, err
}

// hostname is empty when the system does not say.
func hostname() string {
	name, _ := os.Hostname()
	return name
}
