package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Times and bounds of discovery. There is no list of participants anywhere:
// what is connected answers a question to all.
const (
	discoveryQuiet = 100 * time.Millisecond // no more answers: that is all
	discoveryMost  = time.Second            // the end in any case
	discoveryFresh = 2 * time.Second        // how long a result is used again
	discoveryLimit = 8192                   // instances in one result
)

// Instance is one running instance of a service, or a node.
type Instance struct {
	// Service name; for nodes the name that clients call the edge by.
	Service scheme.Service
	// ID is the instance id, or node id; for a service that does not use this
	// kit, NATS' id for it.
	ID       string
	Version  string
	Host     string
	Kind     string   // KindService, KindNode
	Routes   []string // "[GET]/v1/users/{id}"
	Metadata map[string]string
}

// Discovery finds the services and nodes that are connected to NATS. All
// methods may be called concurrently; a result is used again for two seconds,
// and those who ask at the same time wait for the same answer. So Routes and
// Metadata of an Instance belong to all of them and must not be modified.
type Discovery struct {
	// Immutable.
	nc *nats.Conn

	cut atomic.Uint64 // see Cut

	// Guarded by mu.
	mu      sync.Mutex
	latest  *round // finished or on its way; nil: none yet
	expires time.Time
}

// round is one question to all. list and err are written before done is closed.
type round struct {
	done chan struct{}
	list []Instance
	err  error
}

// New prepares a discovery; it does no I/O.
func New(nc *nats.Conn) *Discovery { return &Discovery{nc: nc} }

// Services lists the instances of all services that take messages of clients,
// by name and id.
func (d *Discovery) Services(ctx context.Context) ([]Instance, error) {
	return d.list(ctx, scheme.KindService)
}

// Nodes lists the edge nodes, by id.
func (d *Discovery) Nodes(ctx context.Context) ([]Instance, error) {
	return d.list(ctx, scheme.KindNode)
}

// Outdated lists the edge nodes that know a lower form of the sessions' entries only
// than this code writes (package scheme, "Forms"), by id. They cannot serve the
// sessions that this code keeps, and should be stopped.
func (d *Discovery) Outdated(ctx context.Context) ([]Instance, error) {
	nodes, err := d.Nodes(ctx)
	return slices.DeleteFunc(nodes, func(in Instance) bool { return scheme.FormOf(in.Metadata) >= scheme.Form }), err
}

// Cut is how many results lack a participant: there were more answers than one
// result holds, or they still came when its time was over.
func (d *Discovery) Cut() uint64 { return d.cut.Load() }

func (d *Discovery) list(ctx context.Context, kind string) ([]Instance, error) {
	r := d.join()
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, jet.RequestError(ctx.Err())
	}
	if r.err != nil {
		return nil, r.err
	}
	var out []Instance
	for _, in := range r.list {
		if in.Kind == kind {
			out = append(out, in)
		}
	}
	return out, nil
}

// join returns the round that is fresh or on its way, or begins one.
func (d *Discovery) join() *round {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latest != nil && time.Now().Before(d.expires) {
		return d.latest
	}
	r := &round{done: make(chan struct{})}
	d.latest, d.expires = r, time.Now().Add(discoveryMost+discoveryFresh)
	go func() {
		r.list, r.err = d.ask()
		d.mu.Lock()
		if d.latest == r {
			d.expires = time.Now().Add(discoveryFresh)
			if r.err != nil {
				d.latest = nil // the next one asks again
			}
		}
		d.mu.Unlock()
		close(r.done)
	}()
	return r
}

// ask sends the question and collects the answers.
func (d *Discovery) ask() ([]Instance, error) {
	inbox := d.nc.NewInbox()
	sub, err := d.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, jet.SendError(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only if the connection is closed
	if err := sub.SetPendingLimits(discoveryLimit, -1); err != nil {
		return nil, jet.SendError(err)
	}
	if err := d.nc.PublishRequest(micro.APIPrefix+"."+micro.InfoVerb.String(), inbox, nil); err != nil {
		return nil, jet.SendError(err)
	}
	list, cut, err := collect(sub)
	if err != nil {
		return nil, fmt.Errorf("bus: discovery: %w", jet.RequestError(err))
	}
	if cut {
		d.cut.Add(1)
	}
	slices.SortFunc(list, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// collect takes answers until they pause. cut: not all of them. Silence from the
// beginning proves nothing: where no participant is connected, the server says so.
func collect(sub *nats.Subscription) (list []Instance, cut bool, err error) {
	end := time.Now().Add(discoveryMost)
	for wait := discoveryMost; ; wait = min(discoveryQuiet, time.Until(end)) {
		if wait <= 0 {
			return list, true, nil
		}
		m, err := sub.NextMsg(wait)
		switch {
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout) && wait < discoveryMost:
			return list, cut, nil
		case errors.Is(err, nats.ErrSlowConsumer):
			cut = true // some found no room; those that did are good
			continue
		case err != nil:
			return nil, false, err
		}
		in, ok := parseInstance(m.Data)
		switch {
		case !ok:
		case len(list) == discoveryLimit:
			return list, true, nil
		default:
			list = append(list, in)
		}
	}
}

// parseInstance reads one answer. Services of others, that take nothing on
// this scheme's subjects, are not of interest.
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
		Service: service, ID: info.ID, Version: info.Version,
		Host: info.Metadata[scheme.MetaHost], Kind: info.Metadata[scheme.MetaKind], Metadata: info.Metadata,
		Routes: strings.Fields(info.Metadata[scheme.MetaRoutes]),
	}
	if id, err := scheme.ParseInstance(info.Metadata[scheme.MetaInstance]); err == nil {
		in.ID = string(id)
	}
	takes := slices.ContainsFunc(info.Endpoints, func(e micro.EndpointInfo) bool {
		name, err := scheme.ParseServiceSubject(e.Subject)
		return err == nil && name == service
	})
	switch {
	case in.Kind == scheme.KindNode:
		return in, true
	case takes:
		in.Kind = scheme.KindService
		return in, true
	}
	return Instance{}, false
}
