package edge

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

// A server that is cut from its peers keeps its clients' connections, answers their
// pings, and stores nothing. A node asks all the time for an acknowledgement, which
// only a quorum can give: see the package's documentation, "Acknowledgements".
const (
	pulseEvery  = 2 * time.Second
	pulseHedge  = time.Second     // after that another mailbox stream is asked as well
	pulseTries  = 3               // streams of one pulse
	pulseLate   = 3 * time.Second // without an acknowledgement a node is not ready
	pulseMove   = 8 * time.Second // … and another server is looked for: a leader that died is replaced in less
	scoutTime   = 5 * time.Second // to connect to one
	moveAtLeast = 10 * time.Second
	moveAtMost  = time.Minute
)

// acksWatch keeps the readiness of acknowledgements up to date, and leaves a server
// that gives none.
type acksWatch struct {
	// Immutable.
	ready     *readiness
	connected func() bool                     // to a server, which then owes an acknowledgement
	pulse     func(ctx context.Context) error // asks for one
	move      func() bool                     // to another server; false: there is none that is better

	// Owned by run.
	heard time.Time     // when an acknowledgement came last, or there was no connection
	moved time.Time     // when another server was chosen last
	rest  time.Duration // before that is done again
}

// run asks until ctx ends.
func (w *acksWatch) run(ctx context.Context) {
	w.heard, w.rest = time.Now(), moveAtLeast
	for pause(ctx, pulseEvery) == nil {
		if !w.connected() {
			w.heard = time.Now() // that is another matter
			continue
		}
		beat, cancel := context.WithTimeout(ctx, pulseLate)
		err := w.pulse(beat)
		cancel()
		if ctx.Err() == nil {
			w.judge(err)
		}
	}
}

func (w *acksWatch) judge(err error) {
	silent := time.Since(w.heard)
	switch {
	case err == nil:
		w.heard, w.rest = time.Now(), moveAtLeast
		w.ready.now(stats.PartAcks)
		return
	case silent < pulseLate || !w.connected():
		return
	}
	w.ready.not(stats.PartAcks, "NATS acknowledges nothing over a connection that is there: "+err.Error())
	if silent >= pulseMove && (w.moved.IsZero() || time.Since(w.moved) >= w.rest) && w.move() {
		w.moved, w.rest = time.Now(), min(2*w.rest, moveAtMost)
	}
}

// watchAcks watches the connection of the moment.
func (n *Node) watchAcks() {
	part := rand.N(n.cfg.MailboxStreams)
	w := acksWatch{
		ready:     n.ready,
		connected: func() bool { return n.nats.connected.Load() && !n.nats.link.Load().isGone() },
		move:      func() bool { return n.move(n.nats.link.Load()) },
		pulse: func(ctx context.Context) error {
			nc := n.nats.link.Load().conn
			n.nats.maxPayload.Store(nc.MaxPayload() - headerRoom) // the server may have told of another
			part += pulseTries
			return n.pulse(ctx, nc, part)
		},
	}
	w.run(n.ctx)
}

// leaveIfCutOff leaves a server that acknowledges nothing while the store is being
// opened: one that is cut from its peers never will be. Where there are no streams yet,
// no server acknowledges.
func (n *Node) leaveIfCutOff(ctx context.Context, l *uplink) {
	for heard := time.Now(); pause(ctx, pulseEvery) == nil; {
		beat, cancel := context.WithTimeout(ctx, pulseLate)
		err := n.pulse(beat, l.conn, rand.N(n.cfg.MailboxStreams))
		cancel()
		switch {
		case err == nil:
			heard = time.Now()
		case time.Since(heard) >= pulseMove && ctx.Err() == nil:
			n.move(l)
			heard = time.Now()
		}
	}
}

// pulse stores a marker, gone after a second, in a mailbox that nobody has, and waits
// for its acknowledgement. The streams have leaders of their own, so that several are
// asked before silence means something: first one, and others if it fails or is slow.
func (n *Node) pulse(ctx context.Context, nc *nats.Conn, part int) error {
	var err error
	answers := make(chan error, pulseTries)
	asked, failed := 0, 0
	for {
		var hedge <-chan time.Time
		if asked < pulseTries {
			sid := scheme.NewSIDIn((part+asked)%n.cfg.MailboxStreams, n.cfg.MailboxStreams)
			go func() { answers <- store.Acknowledges(ctx, nc, sid) }()
			asked++
			hedge = time.After(pulseHedge)
		}
		select {
		case e := <-answers:
			if e == nil {
				return nil
			}
			if failed++; failed == pulseTries {
				return e
			}
			err = e
		case <-hedge:
		case <-ctx.Done():
			return cmp.Or(err, ctx.Err())
		}
	}
}

// moves remembers to which server the next reconnect is to go. Safe for concurrent
// use.
type moves struct{ to atomic.Pointer[string] }

// choose is nats.go's question which server to connect to next; nil: that is its own
// choice.
func (m *moves) choose(servers []nats.Server, _ nats.ServerInfo) (*nats.Server, time.Duration) {
	to := m.to.Swap(nil)
	if to == nil {
		return nil, 0
	}
	for i := range servers {
		if servers[i].URL.Host == *to {
			return &servers[i], 0
		}
	}
	return nil, 0
}

// move leaves the server for one that acknowledges, if there is one: without a quorum
// anywhere, clients keep what they have, which a new connection would put in doubt.
func (n *Node) move(l *uplink) bool {
	here := l.conn.ConnectedServerName()
	if here == "" || l.conn.ConnectedClusterName() == "" {
		return false // a server alone has nobody to be cut from
	}
	host, ok := n.scout(l, here)
	if !ok {
		return false
	}
	n.log.Warn("leaving a NATS server that acknowledges nothing", "server", here, "for", host)
	n.metrics.NATSEvents.Inc(stats.NATSMoved)
	n.nats.moves.to.Store(&host)
	return l.conn.ForceReconnect() == nil
}

// scout finds a server with another name that acknowledges, among those that nats.go
// knows.
func (n *Node) scout(l *uplink, here string) (host string, ok bool) {
	for _, address := range l.conn.Servers() {
		ctx, cancel := context.WithTimeout(n.ctx, scoutTime)
		nc, err := connect(ctx, func() (*nats.Conn, error) {
			return bus.Connect(n.nats.cfg.At(address), "hydrant-scout-"+n.ID(), nats.NoReconnect())
		})
		cancel()
		if err != nil {
			continue
		}
		beat, cancel := context.WithTimeout(n.ctx, pulseLate)
		well := nc.ConnectedServerName() != here && n.pulse(beat, nc, rand.N(n.cfg.MailboxStreams)) == nil
		cancel()
		nc.Close()
		if u, err := url.Parse(address); well && err == nil {
			return u.Host, true
		}
	}
	return "", false
}
