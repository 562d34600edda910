package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"hydrant/bus"
	"hydrant/bus/scheme"
)

// bulk is a connection to NATS beside the uplink, for what HTTP asks services: see the
// package's documentation, "Bulk". Any goroutine may use it.
type bulk struct {
	// Immutable.
	dial      func(...nats.Option) (*nats.Conn, error)
	onError   nats.ErrHandler
	log       *slog.Logger
	connected prometheus.Gauge
	asked     chan struct{} // closed by want

	// Shared.
	once sync.Once                // closes asked
	now  atomic.Pointer[bulkLink] // nil: it is not up, or nothing large has come yet
}

// bulkLink is one connection. Immutable, once it is open.
type bulkLink struct {
	conn      *nats.Conn
	questions *questions
	gone      chan struct{} // closed by a callback of nats.go: it has given the connection up
	open      atomic.Bool   // conn is there, and gets answers
}

func newBulk(dial func(...nats.Option) (*nats.Conn, error), onError nats.ErrHandler, log *slog.Logger, connected prometheus.Gauge) *bulk {
	return &bulk{dial: dial, onError: onError, log: log, connected: connected, asked: make(chan struct{})}
}

// want has the connection made, once something large has come.
func (b *bulk) want() { b.once.Do(func() { close(b.asked) }) }

// keep makes the connection once it is wanted, and another whenever nats.go gives it up,
// until ctx ends.
func (b *bulk) keep(ctx context.Context) {
	select {
	case <-b.asked:
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		l, err := b.establish(ctx)
		if err != nil {
			return // the node ends
		}
		select {
		case <-l.gone:
			b.down(l, l.conn.LastError())
			_ = pause(ctx, redialWait) // or the node ends
		case <-ctx.Done():
			b.now.CompareAndSwap(l, nil)
			l.conn.Close()
		}
	}
}

// establish makes a connection, and tries again until there is one or ctx ends.
func (b *bulk) establish(ctx context.Context) (*bulkLink, error) {
	for wait := dialWait; ; wait = min(2*wait, dialWaitMost) {
		l, err := b.open(ctx)
		if err == nil {
			return l, nil
		}
		if wait == dialWait {
			b.log.Warn("there is no connection to NATS for large bodies yet; they go over the other", "error", err)
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// open makes a connection that can ask. Answers come to an id of its own, since the
// uplink's subscription takes all that come to the node's.
func (b *bulk) open(ctx context.Context) (*bulkLink, error) {
	l := &bulkLink{questions: newQuestions(scheme.NewNodeID()), gone: make(chan struct{})}
	var err error
	l.conn, err = connect(ctx, func() (*nats.Conn, error) {
		return b.dial(
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { b.down(l, err) }),
			nats.ReconnectHandler(func(*nats.Conn) {
				if l.open.Load() {
					b.up(l)
				}
			}),
			nats.ErrorHandler(b.onError),
			nats.ClosedHandler(func(*nats.Conn) { close(l.gone) }),
			nats.ReconnectBufSize(-1), // what cannot go now goes over the uplink
		)
	})
	if err != nil {
		return nil, err
	}
	if err := l.subscribe(ctx); err != nil {
		l.conn.Close()
		return nil, err
	}
	l.open.Store(true)
	b.up(l)
	if !l.conn.IsConnected() { // lost before that
		b.down(l, l.conn.LastError())
	}
	return l, nil
}

// subscribe opens the way of the answers. What the server does not allow it says ahead of
// its answer to the flush.
func (l *bulkLink) subscribe(ctx context.Context) error {
	if _, err := l.conn.Subscribe(scheme.RequestWildcard(l.questions.node), func(m *nats.Msg) {
		if _, id, ok := scheme.ParseRequestSubject(m.Subject); ok {
			l.questions.answer(id, m)
		}
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bus.BlockTimeout)
	defer cancel()
	if err := l.conn.FlushWithContext(ctx); err != nil {
		return err
	}
	if err := l.conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) || errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		return err
	}
	return nil
}

func (b *bulk) up(l *bulkLink) {
	b.now.Store(l)
	b.connected.Set(1)
	b.log.Info("a connection to NATS for large bodies is there", "url", bus.Redacted(l.conn.ConnectedUrl()))
}

func (b *bulk) down(l *bulkLink, why error) {
	if b.now.CompareAndSwap(l, nil) {
		b.connected.Set(0)
		b.log.Warn("the connection to NATS for large bodies is lost; they go over the other", "error", why)
	}
}

// elsewhere reports whether what has gone nowhere over this connection is to go over the
// uplink: the server may be cut from peers that know who listens.
func elsewhere(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrReconnectBufExceeded)
}

// delivery is how the API reaches services: over the uplink, or the connection for what is
// large.
type delivery struct {
	conn      *nats.Conn
	questions *questions
	bulk      *bulk
}

// RequestMsgWithContext implements [api.Conn]. How large an answer will be nobody knows, so
// that all questions go over the connection for large ones, where it is up.
func (d delivery) RequestMsgWithContext(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	if len(m.Data) >= largeMessage {
		d.bulk.want()
	}
	if l := d.bulk.now.Load(); l != nil {
		if got, err := l.questions.ask(ctx, l.conn, m); !elsewhere(err) {
			return got, err
		}
	}
	got, err := d.questions.ask(ctx, d.conn, m)
	if err == nil && len(got.Data) >= largeMessage {
		d.bulk.want()
	}
	return got, err
}

// Deliver implements [api.Conn].
func (d delivery) Deliver(ctx context.Context, m *nats.Msg) error {
	if len(m.Data) >= largeMessage {
		d.bulk.want()
		if l := d.bulk.now.Load(); l != nil {
			if err := l.questions.deliver(ctx, l.conn, m); !elsewhere(err) {
				return err
			}
		}
	}
	return d.questions.deliver(ctx, d.conn, m)
}
