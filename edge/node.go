package edge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/api"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/redact"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
)

// Node is one edge node. Create it with [New], run it with [Node.Run]. Its
// methods may be called from any goroutine. Most of them are callbacks: of NATS, of
// its own watches, of a scrape.
type Node struct {
	// Immutable after New.
	cfg     Config
	id      scheme.NodeID
	log     *slog.Logger
	metrics *stats.Metrics
	tokens  *access.Tokens // nil: no JWT
	keys    *tokenKeys     // nil: not of an address
	rules   *policy.Book
	shared  *shard.Node // what the shards know of the node; complete before they are made
	api     *api.API
	pool    *egress.Pool
	resumes *egress.Pool // for resumes alone
	ready   *readiness
	started time.Time
	ctx     context.Context // ends when the node has stopped
	cancel  context.CancelFunc
	asked   context.Context // ends when the node is to drain
	leave   context.CancelFunc

	// Immutable after start: serving says when.
	server   *wire.Server
	handler  *shard.Handler
	doors    []shard.Door
	listener net.Listener
	admin    *http.Server

	// Shared.
	nats       natsSide
	serving    atomic.Bool // what is immutable after start is there
	short      atomic.Bool // of memory
	full       atomic.Bool // the directory, nearly: no fresh sessions
	unnamed    sync.Once   // the warning of a proxy that names no clients
	leaving    atomic.Bool // no new clients any more: the grace time is over
	background sync.WaitGroup
	addr       chan string // the address that clients connect to, once there is one
}

// Options are what a program sets beside the configuration.
type Options struct {
	// Logger; nil: slog.Default(). Loops log: a handler that waits for who reads
	// the log stops them.
	Logger   *slog.Logger
	LogLevel *slog.LevelVar // of Logger, for administrators to change; nil: they cannot
	// TracerProvider makes the spans of messages, on loops: what exports them must
	// not be waited for. nil: there are none, at no cost.
	TracerProvider trace.TracerProvider
	// Collectors are served on /metrics beside the node's own.
	Collectors []prometheus.Collector
	// StartNATS, if there is one, starts a NATS server for this node, and returns its
	// address, with the name and password of the node's user if it has users. [Node.Run] calls it once the node can say what it waits for.
	StartNATS func() (url string, err error)
	// Pages are served on the clients' port by path, before any route of a service: to
	// anybody, without CORS. nil: a node has no pages.
	Pages map[string]http.Handler
}

// New prepares a node. It connects nothing yet. Errors wrap [ErrConfig].
func New(cfg Config, busCfg bus.Config, o Options) (*Node, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	id := scheme.NewNodeID()
	n := &Node{cfg: cfg, id: id, log: slog.New(redact.New(o.Logger.Handler())).With("node", id), metrics: stats.New(), started: time.Now(), addr: make(chan string, 1)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.asked, n.leave = context.WithCancel(n.ctx)
	n.ready = newReadiness(n.metrics, n.log)
	tokens, err := n.newTokens()
	if err != nil {
		n.cancel()
		return nil, err
	}
	n.tokens = tokens
	if n.rules, err = policy.NewBook(cfg.Policy, cfg.AuthService); err != nil {
		n.cancel()
		return nil, fmt.Errorf("%w: EDGE_POLICY: %w", ErrConfig, err)
	}
	n.prepareNATS(busCfg, o.StartNATS)
	n.ready.begin(stats.PartNATS, n.whichNATS())
	n.ready.begin(stats.PartListener, "opened when all else is there")
	n.pool, n.resumes = egress.NewPool(n.metrics), egress.NewPool(n.metrics)
	n.shared = n.share(o.TracerProvider)
	n.api = api.New(n.apiNode(&o))
	n.shared.API = n.api.Route
	n.metrics.Registry.MustRegister(append(o.Collectors, stats.NewCollector(n.sample), stats.NewBuild(Version))...)
	return n, nil
}

// ID is the node's id: 32 hex digits, new at every start.
func (n *Node) ID() string { return string(n.id) }

// Addr is the address that clients connect to. It waits until the node
// listens or ctx ends.
func (n *Node) Addr(ctx context.Context) (string, error) {
	select {
	case addr := <-n.addr:
		n.addr <- addr
		return addr, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Run serves clients until ctx ends or [Node.Drain] is called, then drains. It
// returns nil after a drain.
func (n *Node) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(n.asked, stop)()
	defer n.release()
	if err := n.serveAdmin(); err != nil {
		return err
	}
	if err := n.ownNATS(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	l, err := n.establish(ctx, 0)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	n.nats.link.Store(l)
	if n.keys != nil {
		n.background.Go(func() { n.keys.set.Watch(n.ctx) })
	}
	if err := n.serveClients(l); err != nil {
		n.giveUp()
		return err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- n.server.Serve(n.listener) }()
	n.log.Info("ready", "listen", n.listener.Addr().String(), "nats", bus.Redacted(l.conn.ConnectedUrl()), "version", Version)
	select {
	case err := <-stopped:
		return fmt.Errorf("edge: listener: %w", err)
	case <-ctx.Done():
	}
	n.Drain("told to stop")
	n.drain()
	<-stopped
	return nil
}

// whichNATS says what the node waits for at its start.
func (n *Node) whichNATS() string {
	if n.nats.start != nil {
		return "the server inside the process opens its store"
	}
	return "asks " + bus.Redacted(cmp.Or(n.nats.cfg.URL, nats.DefaultURL))
}

// ownNATS starts the node's own server, if it is to have one, and waits for it until
// ctx ends: to open a large store takes its time.
func (n *Node) ownNATS(ctx context.Context) error {
	if n.nats.start == nil {
		return nil
	}
	var url string
	var err error
	if !within(ctx, func() { url, err = n.nats.start() }) {
		return ctx.Err()
	}
	n.nats.cfg = bus.Config{URL: url, InboxPrefix: scheme.NodeInbox} // credentials of the environment are for others
	return err
}

// unlessStopped is err, or nil if it is there because the node was told to stop.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serveClients builds the loops and opens the listener.
func (n *Node) serveClients(l *uplink) error {
	options, err := n.wireOptions()
	if err != nil {
		return err
	}
	n.handler = shard.NewHandler(n.upgrade)
	n.server, err = wire.NewServer(options, n.handler, n.api.Public())
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	n.shareNATS(len(n.server.Loops()))
	n.doors = n.handler.Build(n.shared, n.server.Loops(), egress.NATS{Conn: l.conn, Store: l.store, Directory: l.directory})
	n.server.Start()
	n.serving.Store(true)
	for _, in := range n.nats.inbox {
		n.background.Go(func() { shard.Pump(n.ctx, in.ch, in.handle) })
	}
	if err := n.subscribe(l); err != nil && !l.isGone() { // else the next uplink will be
		return err
	}
	n.ready.now(stats.PartStore)
	n.handler.Run(n.ctx, n.background.Go)
	n.keepQueues(l)
	n.background.Go(n.keepLinked)
	n.background.Go(func() { n.nats.bulk.keep(n.ctx) })
	n.background.Go(func() { n.api.Run(n.ctx) })
	n.background.Go(func() { n.nats.contract.run(n.ctx) })
	n.background.Go(n.watchAcks)
	n.background.Go(n.leaveSigns)
	n.background.Go(n.watchRoom)
	if limit := config.MemoryLimit(); limit > 0 {
		n.background.Go(func() { n.watchMemory(limit) })
	}
	n.listener, err = net.Listen("tcp", n.cfg.Listen)
	if err != nil {
		return fmt.Errorf("edge: EDGE_LISTEN: %w", err)
	}
	n.addr <- n.listener.Addr().String()
	n.ready.now(stats.PartListener)
	return nil
}

// giveUp ends the loops of a node that has no listener.
func (n *Node) giveUp() {
	if n.server == nil {
		return
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.server.Shutdown(context.Background()) // nobody has connected
	n.handler.Stop(ended)
}

// connections is the number of WebSocket connections that are open.
func (n *Node) connections() int64 {
	if !n.serving.Load() {
		return 0
	}
	return int64(n.server.Stats().Upgraded)
}

// all runs f on every shard's loop. It waits for room in their inboxes.
func (n *Node) all(f func(*shard.Shard)) {
	for _, door := range n.doors {
		door.Do(f)
	}
}

// sample is the node's part of a scrape.
func (n *Node) sample() stats.Sample {
	s := stats.Sample{Waiting: n.pool.Waiting() + n.resumes.Waiting(), Busy: n.pool.Busy() + n.resumes.Busy(), KeysAge: n.keysAge()}
	s.Tails, s.TailBytes = n.shared.Tails.Held()
	s.PassBytes, _ = n.shared.Crowd.Held()
	if n.serving.Load() {
		s.Wire, s.Loops = n.server.Stats(), n.handler.Loops()
		l := n.nats.link.Load()
		s.Unasked, s.Cut = l.store.Unasked(), l.discovery.Cut()
		s.Probes, s.Again = l.directory.Proofs()
		s.Queues, s.Looks = l.store.Queues().Count(), l.store.Queues().Looks()
	}
	return s
}
