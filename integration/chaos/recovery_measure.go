package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// measure makes the fault and fills in what is measured of it.
func (s *schedule) measure(c recoverable, result *Recovery) error {
	r := s.run
	ctx, cancel := context.WithTimeout(context.Background(), 3*harness.Patience)
	defer cancel()
	probes, err := r.oneOfEach(ctx)
	if err == nil && c.crowded {
		err = s.gather(ctx, r.nodes[1])
	}
	if err != nil {
		return err
	}
	sockets, asked := r.lost.Load(), r.asked.Load()
	f := s.note(c.fault, "")
	began := time.Now()
	undo, nc, err := c.hurt(s)
	if err != nil {
		return err
	}
	f.bit("made")
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var watch sync.WaitGroup
	watch.Go(func() { result.Ready = r.unready(watching, began) })
	var undoing sync.WaitGroup
	var undone error
	if undo != nil {
		undoing.Go(func() {
			nap(ctx, c.lasts-time.Since(began))
			undone = undo()
		})
	}
	if result.NATS, err = r.storesAgain(ctx, nc, probes, began); err != nil {
		return errors.Join(err, errOf(&undoing, &undone))
	}
	watch.Go(func() { result.Work = r.workAgain(ctx, nc, began) })
	if result.Live, err = r.allLive(ctx, nc, began); err != nil {
		stop()
		watch.Wait()
		result.Live, result.Ready = never, never
		return errors.Join(err, errOf(&undoing, &undone))
	}
	if r.asked.Load() > asked {
		result.Asked = time.Unix(0, r.askedAt.Load()).Sub(began)
	}
	result.Sockets = int(r.lost.Load() - sockets)
	if err := errOf(&undoing, &undone); err != nil {
		return err
	}
	for _, n := range r.nodes {
		if err := n.heal(ctx); err != nil {
			return err
		}
	}
	stop()
	watch.Wait()
	return nil
}

// never stands for a time that is not over within minutes.
const never = -1

// gather has every client that may be harmed move to a node.
func (s *schedule) gather(ctx context.Context, n *node) error {
	clients := s.run.clients[calmClients : calmClients+s.run.cfg.Clients]
	for _, c := range clients {
		if !c.isOn(n) {
			c.tell(order{kind: orderReset, to: n})
		}
	}
	return harness.Until(ctx, func() error {
		for _, c := range clients {
			if !c.isOn(n) {
				return fmt.Errorf("chaos: %s is not on %s", c.name, n.name)
			}
		}
		return nil
	})
}

// isOn reports whether a node has given the client its session.
func (c *client) isOn(n *node) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current != nil && c.current.node == n && c.current.given.Load()
}

// workAgain is when work is done that is stored now.
func (r *run) workAgain(ctx context.Context, nc *nats.Conn, began time.Time) time.Duration {
	js, err := jetstream.New(nc)
	if err == nil {
		var at time.Time
		if at, err = r.worked(ctx, js); err == nil {
			return at.Sub(began)
		}
	}
	r.cfg.Log("work: %v", err)
	return never
}

// unready looks at all nodes until ctx ends, and returns when one was seen last
// that was not ready.
func (r *run) unready(ctx context.Context, began time.Time) (last time.Duration) {
	for ctx.Err() == nil {
		for _, n := range r.nodes {
			if n.process.Ready() != nil {
				last = time.Since(began)
			}
		}
		nap(ctx, 20*time.Millisecond)
	}
	return last
}

func errOf(w *sync.WaitGroup, err *error) error {
	w.Wait()
	return *err
}

// oneOfEach stores a message in each stream of mailboxes that has a session, and returns
// one session of each.
func (r *run) oneOfEach(ctx context.Context) (sids []string, err error) {
	found := make(map[string]bool)
	for _, c := range r.clients[:calmClients+r.cfg.Clients] {
		ack, err := r.storeBy(ctx, r.js, c.session(), r.newMid(history.ByNATS))
		if err != nil {
			return nil, err
		}
		if !found[ack.Stream] {
			found[ack.Stream] = true
			sids = append(sids, c.session())
		}
		if len(found) == len(streams)-1 {
			break
		}
	}
	return sids, nil
}

// storeBy stores a message and writes down what came of it.
func (r *run) storeBy(ctx context.Context, js jetstream.JetStream, sid, mid string) (ack *jetstream.PubAck, err error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	r.attempt(mid, sid, history.ByNATS, func() (uint64, error) {
		if ack, err = js.Publish(ctx, "umf.v1.out."+sid[:1]+"."+sid, bareMessage(sid, mid)); err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	})
	return ack, err
}

func bareMessage(sid, mid string) []byte {
	return fmt.Appendf(nil, `{"to":"%s@client:/","frm":"bare@chaos:/","mid":%q,"bdy":{"for":%q}}`, sid, mid, sid)
}

// storesAgain returns when each stream has taken a message, and the directory has a
// leader.
func (r *run) storesAgain(ctx context.Context, nc *nats.Conn, sids []string, began time.Time) (time.Duration, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	for _, sid := range sids {
		err := harness.Until(ctx, func() error {
			_, err := r.storeBy(ctx, js, sid, r.newMid(history.ByNATS))
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	err = harness.Until(ctx, func() error {
		info, err := r.info(nc, directory)
		if err == nil && info.Cluster != nil && r.cfg.Servers > 1 && info.Cluster.Leader == "" {
			return errNotYet
		}
		return err
	})
	return time.Since(began), err
}

// allLive stores a message for every session, and returns when the last has come.
func (r *run) allLive(ctx context.Context, nc *nats.Conn, began time.Time) (time.Duration, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4000), jetstream.WithPublishAsyncTimeout(publishPatience))
	if err != nil {
		return 0, err
	}
	mids := make([]string, 0, r.cfg.Clients)
	var sending sync.WaitGroup
	for _, c := range r.clients[calmClients : calmClients+r.cfg.Clients] {
		sid, mid := c.session(), r.newMid(history.ByNATS)
		mids = append(mids, mid)
		r.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: sid, Source: history.ByNATS})
		future, err := js.PublishAsync("umf.v1.out."+sid[:1]+"."+sid, bareMessage(sid, mid))
		if err != nil {
			return 0, err
		}
		sending.Go(func() {
			select {
			case ack := <-future.Ok():
				r.told(mid, sid, ack.Sequence, nil)
			case err := <-future.Err():
				r.told(mid, sid, 0, err)
			}
		})
	}
	var last time.Time
	err = harness.Until(ctx, func() error {
		for len(mids) > 0 {
			at, ok := r.seen.at(mids[0])
			if !ok {
				return fmt.Errorf("chaos: %d sessions are not live", len(mids))
			}
			if at.After(last) {
				last = at
			}
			mids = mids[1:]
		}
		return nil
	})
	sending.Wait()
	return last.Sub(began), err
}
