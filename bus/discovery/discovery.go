package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/scheme"
)

// Instance is one running instance of a service, or a node.
type Instance struct {
	// Service name; for nodes the name that clients call the edge by.
	Service scheme.Service
	// ID is the instance id, or node id; for a service that does not use this
	// kit, NATS' id for it.
	ID          string
	NATS        string // NATS' id for it, as [Discovery.Vitals] has it
	Version     string
	Description string
	Host        string
	IP, Port    string    // "": it does not say
	ProcessID   int       // 0: it does not say
	Heard       time.Time // when it answered
	Kind        string    // KindService, KindNode; "": it takes no messages of clients
	Routes      []string  // "[GET]/v1/users/{id}", as the instance writes them
	Described   []string  // what it says of them: see [scheme.MetaDescribe]
	Queue       bool      // it takes from a work queue: see [scheme.MetaQueue]
	Metadata    map[string]string
}

// maxRoutes bounds what one instance registers.
const maxRoutes = 1024

// Discovery finds the services and nodes that are connected to NATS. All
// methods may be called concurrently; a result is used again for two seconds,
// and those who ask at the same time wait for the same answer. So what an Instance
// points to belongs to all of them and must not be modified.
type Discovery struct {
	cut    atomic.Uint64 // see Cut
	info   question[Instance]
	vitals question[vital]
}

// vital is what one participant tells of its health.
type vital struct {
	id   string // NATS'
	data json.RawMessage
}

// New prepares a discovery; it does no I/O.
func New(nc *nats.Conn) *Discovery {
	d := new(Discovery)
	d.info = question[Instance]{nc: nc, verb: micro.InfoVerb, parse: parseInstance, order: byName, key: func(in *Instance) string { return string(in.Service) + "." + in.NATS }, cut: &d.cut}
	d.vitals = question[vital]{nc: nc, verb: micro.StatsVerb, parse: parseVital, key: func(v *vital) string { return v.id }, cut: &d.cut}
	return d
}

// Services lists the instances of all services that take messages of clients,
// by name and id.
func (d *Discovery) Services(ctx context.Context) ([]Instance, error) {
	return d.list(ctx, scheme.KindService, time.Time{})
}

// ServicesSince lists the instances of all services as Services does, from answers
// to a question that was put after a time.
func (d *Discovery) ServicesSince(ctx context.Context, after time.Time) ([]Instance, error) {
	return d.list(ctx, scheme.KindService, after)
}

// Queues lists the services of which an instance says, after a time, that it takes from
// a work queue: by name, each once.
func (d *Discovery) Queues(ctx context.Context, after time.Time) ([]scheme.Service, error) {
	all, err := d.info.get(ctx, after)
	var services []scheme.Service
	for i := range all { // which are in order
		if in := &all[i]; in.Queue && (len(services) == 0 || services[len(services)-1] != in.Service) {
			services = append(services, in.Service)
		}
	}
	return services, err
}

// Nodes lists the edge nodes, by id.
func (d *Discovery) Nodes(ctx context.Context) ([]Instance, error) {
	return d.list(ctx, scheme.KindNode, time.Time{})
}

// Vitals is what services and nodes tell of their health (the data of one of their
// endpoints in $SRV.STATS), by [Instance.NATS].
func (d *Discovery) Vitals(ctx context.Context) (map[string]json.RawMessage, error) {
	list, err := d.vitals.get(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]json.RawMessage, len(list))
	for _, v := range list {
		byID[v.id] = v.data
	}
	return byID, nil
}

// Outdated lists the edge nodes that know a lower form of the sessions' entries only
// than this code writes (package scheme, "Forms"), by id. They cannot serve the
// sessions that this code keeps, and should be stopped.
func (d *Discovery) Outdated(ctx context.Context) ([]Instance, error) {
	nodes, err := d.Nodes(ctx)
	return slices.DeleteFunc(nodes, func(in Instance) bool { return scheme.FormOf(in.Metadata) >= scheme.Form }), err
}

// ExpectAnyWork lists the edge nodes that serve only while the stream of work takes work
// for any name (see [scheme.MetaWork]), by id.
func (d *Discovery) ExpectAnyWork(ctx context.Context) ([]Instance, error) {
	nodes, err := d.Nodes(ctx)
	return slices.DeleteFunc(nodes, func(in Instance) bool { return in.Metadata[scheme.MetaWork] == scheme.NamedWork }), err
}

// Cut is how many results lack a participant: there were more answers than one
// result holds, or they still came when its time was over.
func (d *Discovery) Cut() uint64 { return d.cut.Load() }

func (d *Discovery) list(ctx context.Context, kind string, after time.Time) ([]Instance, error) {
	all, err := d.info.get(ctx, after)
	if err != nil {
		return nil, err
	}
	var out []Instance
	for _, in := range all {
		if in.Kind == kind {
			out = append(out, in)
		}
	}
	return out, nil
}

// byName orders instances by service and id.
func byName(a, b Instance) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID))
}

// parseInstance reads one answer. Services of others, that take nothing on
// this scheme's subjects and from no work queue, are not of interest.
func parseInstance(data []byte) (Instance, bool) {
	var info micro.Info
	if json.Unmarshal(data, &info) != nil {
		return Instance{}, false
	}
	service, err := scheme.ParseService(info.Name)
	if err != nil {
		return Instance{}, false
	}
	in := Instance{
		Service: service, ID: info.ID, NATS: info.ID, Version: info.Version, Description: info.Description,
		Host: info.Metadata[scheme.MetaHost], IP: info.Metadata[scheme.MetaIP], Port: info.Metadata[scheme.MetaPort],
		Heard: time.Now(), Kind: info.Metadata[scheme.MetaKind], Metadata: info.Metadata,
	}
	if id, err := scheme.ParseInstance(info.Metadata[scheme.MetaInstance]); err == nil {
		in.ID = string(id)
	}
	if pid, err := strconv.Atoi(info.Metadata[scheme.MetaProcess]); err == nil && pid > 0 {
		in.ProcessID = pid
	}
	takes := slices.ContainsFunc(info.Endpoints, func(e micro.EndpointInfo) bool {
		name, err := scheme.ParseServiceSubject(e.Subject)
		return err == nil && name == service
	})
	if in.Kind == scheme.KindNode {
		return in, true
	}
	in.Kind, in.Queue = "", info.Metadata[scheme.MetaQueue] == "true"
	if takes {
		in.Kind = scheme.KindService
		in.register(&info)
	}
	return in, takes || in.Queue
}

// register takes the routes of a service, wherever it writes them, each once.
func (in *Instance) register(info *micro.Info) {
	told := []map[string]string{{scheme.MetaRoute: info.Metadata[scheme.MetaRoutes]}, info.Metadata}
	for _, e := range info.Endpoints {
		told = append(told, e.Metadata)
	}
	seen := make(map[string]bool)
	for _, metadata := range told {
		for _, route := range scheme.SplitRoutes(metadata[scheme.MetaRoute]) {
			if !seen[route] && len(seen) < maxRoutes {
				seen[route] = true
				in.Routes = append(in.Routes, route)
			}
		}
		if text := metadata[scheme.MetaDescribe]; text != "" {
			in.Described = append(in.Described, text)
		}
	}
}

// parseVital reads the health of one participant, which is the data of the first of
// its endpoints that has an object there.
func parseVital(data []byte) (vital, bool) {
	var s micro.Stats
	if json.Unmarshal(data, &s) != nil {
		return vital{}, false
	}
	for _, e := range s.Endpoints {
		if e != nil && len(e.Data) > 0 && e.Data[0] == '{' {
			return vital{s.ID, e.Data}, true
		}
	}
	return vital{}, false
}
