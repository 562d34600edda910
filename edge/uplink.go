package edge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus"
	"hydrant/bus/discovery"
	"hydrant/bus/store"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
)

// uplink is a connection to NATS and what hangs on it: see the package's
// documentation, "Uplinks". Immutable once it is made.
type uplink struct {
	number    uint64 // how many came before it
	conn      *nats.Conn
	store     *store.Store
	directory *store.Directory
	discovery *discovery.Discovery
	gone      chan struct{} // closed by a callback of nats.go: it has given the connection up
}

// errGone: nats.go has given the connection up.
var errGone = errors.New("edge: NATS connection given up")

// establish makes an uplink: it dials, and opens the store, until both have gone
// well. It fails when ctx ends, and the first one with settings that cannot work.
func (n *Node) establish(ctx context.Context, number uint64) (*uplink, error) {
	for {
		l := &uplink{number: number, gone: make(chan struct{})}
		if err := n.dial(ctx, l); err != nil {
			return nil, err
		}
		err := n.openStore(ctx, l)
		if err == nil {
			return l, nil
		}
		go l.conn.Close() // whatever nats.go holds its lock for
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n.ready.not(stats.PartNATS, err.Error())
		if err := pause(ctx, redialWait); err != nil {
			return nil, err
		}
	}
}

// Pauses between attempts.
const (
	dialWait     = 100 * time.Millisecond // grows
	dialWaitMost = 5 * time.Second
	redialWait   = 500 * time.Millisecond // after a connection that was given up
)

// dial dials NATS and keeps dialling until it answers or ctx ends.
func (n *Node) dial(ctx context.Context, l *uplink) error {
	options := []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) { n.onDisconnect(nc, err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { n.onReconnect(l, nc) }),
		nats.ErrorHandler(n.onAsyncError),
		nats.ClosedHandler(func(*nats.Conn) { close(l.gone) }), // the last of all callbacks
		nats.ReconnectToServer(n.nats.moves.choose),
	}
	for wait := dialWait; ; wait = min(2*wait, dialWaitMost) {
		nc, err := connect(ctx, func() (*nats.Conn, error) { return bus.Connect(n.nats.cfg, "hydrant-edge-"+n.ID(), options...) })
		if err == nil {
			l.conn, l.discovery = nc, discovery.New(nc)
			n.setConnected(nc, true, nil)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if l.number == 0 && errors.Is(err, bus.ErrConfig) { // later a file may be being replaced
			return err
		}
		n.ready.not(stats.PartNATS, err.Error())
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// connect makes a connection, and waits for it no longer than until ctx ends.
func connect(ctx context.Context, dial func() (*nats.Conn, error)) (*nats.Conn, error) {
	var nc *nats.Conn
	var err error
	made := make(chan struct{})
	go func() {
		defer close(made)
		nc, err = dial()
	}()
	select {
	case <-made:
		return nc, err
	case <-ctx.Done():
		go func() {
			if <-made; nc != nil {
				nc.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// pause waits, or fails when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// within runs f and waits for it until ctx ends; then f is left behind. It is for
// calls of nats.go, which wait for its lock whatever their context says.
func within(ctx context.Context, f func()) (done bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// openTime bounds one attempt to open the store. A cluster takes its time to make
// many streams; the next attempt goes on where this one ended.
const (
	openTime  = 20 * time.Second
	openGrace = 2 * bus.BlockTimeout // for calls that look at no context
)

// openStore creates or checks streams and bucket until they hold the contract.
func (n *Node) openStore(ctx context.Context, l *uplink) error {
	ctx, cancel := l.until(ctx)
	defer cancel()
	n.ready.begin(stats.PartStore, "streams and bucket are made, or checked")
	n.background.Go(func() { n.leaveIfCutOff(ctx, l) })
	cfg := storeConfig(&n.cfg, l.conn)
	if n.nats.start != nil {
		if free, ok := config.FreeDisk(n.cfg.DataDir); ok {
			cfg.Room = free / 2
		}
	}
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, dialWaitMost) {
		var opened *store.Store
		var err error
		bound, end := context.WithTimeout(ctx, openTime+openGrace)
		done := within(bound, func() {
			attempt, cancel := context.WithTimeout(bound, openTime)
			var explaining sync.WaitGroup
			explaining.Go(func() { n.explain(attempt, l) })
			opened, err = store.Open(attempt, l.conn, cfg)
			cancel()
			explaining.Wait() // or it would say that the store is waited for
		})
		end()
		switch {
		case l.isGone():
			return fmt.Errorf("%w: %w", errGone, l.conn.LastError())
		case ctx.Err() != nil:
			return ctx.Err()
		case done && err == nil:
			l.store, l.directory = opened, opened.Directory()
			return nil
		case done:
			n.ready.not(stats.PartStore, err.Error())
		}
		if err := pause(ctx, wait); err != nil && !l.isGone() {
			return err
		}
	}
}

// until returns a context that ends with ctx, or when the connection is given up.
func (l *uplink) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-l.gone:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (l *uplink) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// Questions to JetStream while the store is opened.
const (
	explainEvery = time.Second
	explainTime  = 2 * time.Second
)

// explain says what the store waits for while it is being opened: most often it is
// JetStream itself, which answers nothing without a quorum.
func (n *Node) explain(ctx context.Context, l *uplink) {
	js, err := jetstream.New(l.conn)
	if err != nil {
		return
	}
	for pause(ctx, explainEvery) == nil {
		ask, cancel := context.WithTimeout(ctx, explainTime)
		_, err := js.AccountInfo(ask)
		cancel()
		switch {
		case ctx.Err() != nil:
		case err != nil:
			n.ready.not(stats.PartStore, "JetStream does not answer, as without a quorum: "+err.Error())
		default:
			n.ready.begin(stats.PartStore, "streams and bucket are made, or checked")
		}
	}
}

// keepLinked makes a new uplink whenever nats.go gives the connection up.
func (n *Node) keepLinked() {
	for {
		l := n.nats.link.Load()
		select {
		case <-n.ctx.Done():
			return
		case <-l.gone:
		}
		n.metrics.NATSEvents.Inc(stats.NATSClosed)
		n.ready.not(stats.PartNATS, fmt.Sprintf("the connection was given up, and another is made: %v", l.conn.LastError()))
		next, err := n.establish(n.ctx, l.number+1)
		if err != nil {
			return // the node ends
		}
		n.relink(l, next)
	}
}

// relink puts an uplink in the place of another. The order matters: nothing may come
// over the new one before the shards can see its epoch, and what they ask for by
// then must go over it.
func (n *Node) relink(old, l *uplink) {
	n.handler.Relink(egress.NATS{Conn: l.conn, Store: l.store, Directory: l.directory})
	n.nats.link.Store(l)
	old.store.Close()
	epoch := n.epoch()
	n.all(func(s *shard.Shard) { s.Connected(epoch) })
	if err := n.subscribe(l); err != nil {
		n.log.Error("not subscribed on a new connection to NATS", "error", err)
		l.conn.Close() // and the next one is made
		return
	}
	n.ready.now(stats.PartStore)
	n.log.Info("another connection to NATS", "url", bus.Redacted(l.conn.ConnectedUrl()))
}

// epoch is that of the connection to NATS. It grows before anything comes over the
// next one.
func (n *Node) epoch() uint64 {
	l := n.nats.link.Load()
	return shard.Epoch(l.number, l.conn.Stats().Reconnects)
}
