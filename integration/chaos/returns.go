package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus"
	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// workName is what work is called in the history, beside the nodes.
const (
	workName   = "work"
	workStream = "UMF_WORK" // of the queue
)

// work is what the service takes from its queue.
func (r *run) work(_ context.Context, q *bus.Request) error {
	r.seen.add(q.Message.Mid)
	return nil
}

// enqueue stores a piece of work.
func (r *run) enqueue(ctx context.Context, js jetstream.JetStream) (mid string, err error) {
	mid = r.newMid(workName)
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	_, err = js.Publish(ctx, "umf.v1.work."+serviceName, fmt.Appendf(nil, `{"to":"%s:/work","frm":"bare@chaos:/","mid":%q,"bdy":1}`, serviceName, mid))
	return mid, err
}

// worked returns when a piece of work was done that is stored now, or later.
func (r *run) worked(ctx context.Context, js jetstream.JetStream) (at time.Time, err error) {
	err = harness.Until(ctx, func() error {
		mid, err := r.enqueue(ctx, js)
		if err != nil {
			return err
		}
		return harness.Until(ctx, func() error {
			var ok bool
			if at, ok = r.seen.at(mid); !ok {
				return fmt.Errorf("%w: %s is not done", errNotReady, mid)
			}
			return nil
		})
	})
	return at, err
}

// returns writes down that the servers store again, as a bare client sees it, and
// then when each of the nodes is ready, and work is done.
func (r *run) returns(ctx context.Context, nodes []*node) error {
	ctx, cancel := context.WithTimeout(ctx, 2*harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error { _, err := r.oneOfEach(ctx); return err }); err != nil {
		return err
	}
	r.h.Add(history.Event{Kind: history.Well})
	began := time.Now()
	back := func(who string) {
		r.cfg.Log("%s is back %v after the servers", who, time.Since(began))
		r.h.Add(history.Event{Kind: history.Back, Node: who})
	}
	errs := make([]error, len(nodes)+1)
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			if errs[i] = n.heal(ctx); errs[i] == nil {
				back(n.name)
			}
		})
	}
	all.Go(func() {
		if _, errs[len(nodes)] = r.worked(ctx, r.js); errs[len(nodes)] == nil {
			back(workName)
		}
	})
	all.Wait()
	return errors.Join(errs...)
}

// workLeads names the server that leads the work queue; empty: none says so.
func (r *run) workLeads(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	queue, err := r.js.Consumer(ctx, workStream, serviceName)
	if err != nil || queue.CachedInfo().Cluster == nil {
		return ""
	}
	return queue.CachedInfo().Cluster.Leader
}

// workLeader cuts the server off that leads the work queue, while the service is
// connected to another one: what the service had asked it for is gone, and nobody says
// so. Nodes on that server have to find another one first.
func (s *schedule) workLeader(f *fault) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*harness.Patience)
	defer cancel()
	var leader *harness.NATSServer
	err := harness.Until(ctx, func() error {
		name := s.run.workLeads(ctx)
		if name != "" && name == s.run.nc.ConnectedServerName() {
			_, err := s.run.nc.Request("$JS.API.CONSUMER.LEADER.STEPDOWN."+workStream+"."+serviceName, nil, askPatience)
			return errors.Join(errNotYet, err)
		}
		if leader = s.run.server(name); leader == nil {
			return errors.New("chaos: the work queue has no leader")
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.whom = leader.ServerName
	links := s.run.around(leader)
	if err := cutAll(links); err != nil {
		return err
	}
	err = harness.Until(ctx, func() error {
		if name := s.run.workLeads(ctx); name == "" || name == leader.ServerName {
			return errNotYet
		}
		return nil
	})
	if err == nil {
		f.bit("another one leads it")
		err = s.run.returns(ctx, nil)
	}
	_, mending := mendAll(links)
	return errors.Join(err, mending, s.run.servers.WaitServing(ctx))
}

// serversAway ends all servers and starts them again when no node is ready any more.
func (s *schedule) serversAway(f *fault) error {
	f.whom = "all"
	return s.away(f, s.run.servers.Servers)
}

// quorumAway ends all servers but one, so that nodes stay connected and nothing can be
// stored: no new connection tells them that it can be again.
func (s *schedule) quorumAway(f *fault) error {
	stays := s.run.uplink(s.run.nodes[0])
	if stays == nil {
		return nil // it is made again
	}
	f.whom = "all but " + stays.ServerName
	return s.away(f, s.run.peers(stays))
}

func (s *schedule) away(f *fault, servers []*harness.NATSServer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*harness.Patience)
	defer cancel()
	for _, server := range servers {
		server.Kill()
	}
	err := harness.Until(ctx, func() error {
		for _, n := range s.run.nodes {
			if n.process.Ready() == nil {
				return fmt.Errorf("chaos: %s is ready where nothing can be stored", n.name)
			}
		}
		return nil
	})
	if err == nil {
		f.bit("no node is ready")
	}
	s.hold(time.Second, 6*time.Second)
	errs := []error{err}
	for _, server := range servers {
		errs = append(errs, server.Start())
	}
	// What a server says of its own health comes seconds after it stores again.
	return errors.Join(append(errs, s.run.returns(ctx, s.run.nodes), s.run.servers.WaitServing(ctx))...)
}
