package api

import (
	"context"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/edge/internal/stats"
)

// presence is one running instance, as list/nodes shows it.
type presence struct {
	ServiceName        scheme.Service `json:"serviceName"`
	ServiceDescription string         `json:"serviceDescription,omitempty"`
	Version            string         `json:"version"`
	InstanceID         string         `json:"instanceID"`
	HostName           string         `json:"hostName"`
	Hostname           string         `json:"hostname"` // clients of Hydra Router read either spelling
}

func presenceOf(i discovery.Instance) presence {
	return presence{i.Service, i.Metadata["description"], i.Version, i.ID, i.Host, i.Host}
}

// listNodes lists all that runs: nodes and instances of services.
func (a *API) listNodes(ctx context.Context, n *NATS) (any, error) {
	nodes, err := n.Discovery.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	services, err := n.Discovery.Services(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]presence, 0, len(nodes)+len(services))
	for _, instances := range [][]discovery.Instance{nodes, services} {
		for _, i := range instances {
			list = append(list, presenceOf(i))
		}
	}
	return list, nil
}

// serviceRow is one service of list/services.
type serviceRow struct {
	ServiceName scheme.Service `json:"serviceName"`
	Instances   []presence     `json:"instances"`
}

func (a *API) listServices(ctx context.Context, n *NATS) (any, error) {
	instances, err := n.Discovery.Services(ctx) // sorted by name
	if err != nil {
		return nil, err
	}
	list := []serviceRow{}
	for _, i := range instances {
		if len(list) == 0 || list[len(list)-1].ServiceName != i.Service {
			list = append(list, serviceRow{ServiceName: i.Service})
		}
		last := &list[len(list)-1]
		last.Instances = append(last.Instances, presenceOf(i))
	}
	return list, nil
}

// listRoutes lists the routes of each service. The first instance speaks for all.
func (a *API) listRoutes(ctx context.Context, n *NATS) (any, error) {
	instances, err := n.Discovery.Services(ctx)
	if err != nil {
		return nil, err
	}
	list := map[string][]string{a.node.Config.ServiceName: openRoutes}
	for _, i := range instances {
		if _, there := list[string(i.Service)]; !there {
			list[string(i.Service)] = append([]string{}, i.Routes...)
		}
	}
	return list, nil
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
