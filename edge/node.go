package edge

import (
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
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
)

// Node is one edge node. Create it with [New], run it with [Node.Run]. Its
// methods may be called from any goroutine.
type Node struct {
	// Immutable after New.
	cfg            Config
	busCfg         bus.Config
	id             string
	fromRouter     []byte // "R@hydra-router:/" as JSON
	log            *slog.Logger
	logLevel       *slog.LevelVar // nil: fixed
	m              *stats.Metrics
	tracing        *tracing // nil: off
	started        time.Time
	sessionOptions session.Options
	signatures     *access.Signatures // nil: off
	tokens         *access.Tokens     // nil: no JWT
	guesses        *access.Guesses
	clientLog      *stats.ClientLog
	ctx            context.Context // ends when the node has stopped
	cancel         context.CancelFunc
	asked          context.Context // ends when the node is to drain
	leave          context.CancelFunc
	pool           *pool
	claims         *claims

	// Immutable after start.
	nc        *nats.Conn
	store     *bus.Store
	dir       *bus.Directory
	discovery *bus.Discovery
	registry  *bus.Node
	server    *wire.Server
	workers   []*worker
	admin     *http.Server
	listener  net.Listener

	// Shared.
	connected   atomic.Bool
	serving     atomic.Bool // what is immutable after start is there
	fit         atomic.Bool // there is no reason against being ready, but perhaps a drain
	draining    atomic.Bool // not ready any more
	short       atomic.Bool // of memory
	leaving     atomic.Bool // no new clients any more: the grace time is over
	connections atomic.Int64
	maxPayload  atomic.Int64 // the largest message that NATS takes, less room for headers
	background  sync.WaitGroup

	// Guarded by mu.
	mu      sync.Mutex
	reasons map[string]string // why the node is not ready, by part
	addr    string
	addrSet chan struct{}
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
}

// New prepares a node. It connects nothing yet. Errors wrap [ErrConfig].
func New(cfg Config, busCfg bus.Config, o Options) (*Node, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &Node{
		cfg: cfg, busCfg: busCfg, id: bus.NewNodeID(), m: stats.New(), started: time.Now(),
		ctx: ctx, cancel: cancel, claims: newClaims(),
		reasons: map[string]string{"nats": "not connected yet", "listener": "not open yet"}, addrSet: make(chan struct{}),
	}
	n.log, n.logLevel = o.Logger.With("node", n.id), o.LogLevel
	n.asked, n.leave = context.WithCancel(ctx)
	n.tracing = newTracing(o.TracerProvider, n.id, Version)
	n.fromRouter = protocol.AppendRouter(nil, n.id, cfg.ServiceName)
	n.sessionOptions = session.Options{Window: cfg.Window}
	n.signatures = newSignatures(&cfg, n.m)
	tokens, err := newTokens(ctx, &cfg, n.log)
	if err != nil {
		cancel()
		return nil, err
	}
	n.tokens = tokens
	n.pool = newPool(n.m)
	n.m.Registry.MustRegister(append(o.Collectors, stats.NewCollector(n.sample))...)
	n.guesses = access.NewGuesses(n.m.Dropped.Counting(stats.DropGuessTable))
	n.clientLog = stats.NewClientLog(n.m.Dropped.Counting(stats.DropClientLog))
	return n, nil
}

// ID is the node's id: 32 hex digits, new at every start.
func (n *Node) ID() string { return n.id }

// Addr is the address that clients connect to. It waits until the node
// listens or ctx ends.
func (n *Node) Addr(ctx context.Context) (string, error) {
	select {
	case <-n.addrSet:
		return n.addr, nil
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
	defer n.cancel()
	defer n.pool.stop()
	if err := n.serveAdmin(); err != nil {
		return err
	}
	defer n.admin.Close()
	if err := n.connect(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	defer n.nc.Close()
	if err := n.openStore(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	defer n.store.Close()
	if err := n.serveClients(); err != nil {
		n.giveUp()
		return err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- n.server.Serve(n.listener) }()
	n.log.Info("ready", "listen", n.listener.Addr().String(), "nats", bus.Redacted(n.nc.ConnectedUrl()), "version", Version)
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

// unlessStopped is err, or nil if it is there because the node was told to stop.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serveClients builds the loops and opens the listener.
func (n *Node) serveClients() error {
	options, err := n.wireOptions()
	if err != nil {
		return err
	}
	n.server, err = wire.NewServer(options, n, n.publicHTTP())
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	for _, loop := range n.server.Loops() {
		n.workers = append(n.workers, newWorker(n, loop))
	}
	n.server.Start()
	n.serving.Store(true)
	if err := n.subscribe(); err != nil {
		return err
	}
	for _, w := range n.workers {
		n.background.Go(func() { w.bridge(n.ctx) })
		go w.out.run() // ended by drain, which waits for it
		w.post(func() {
			w.every(checkpointEvery, w.checkpoint)
			w.every(sweepEvery, w.sweep)
			w.every(surveyEvery, w.survey)
			w.every(mendEvery, w.mend)
			w.every(n.renewals(), w.renew)
			if n.cfg.MaxConnectionAge > 0 {
				w.every(n.sweepAge(), w.retire)
			}
		})
	}
	n.background.Go(n.watchContract)
	if limit := config.MemoryLimit(); limit > 0 {
		n.background.Go(func() { n.watchMemory(limit) })
	}
	n.listener, err = net.Listen("tcp", n.cfg.Listen)
	if err != nil {
		return fmt.Errorf("edge: EDGE_LISTEN: %w", err)
	}
	n.mu.Lock()
	n.addr = n.listener.Addr().String()
	n.mu.Unlock()
	close(n.addrSet)
	n.nowReady("listener")
	return nil
}

// giveUp ends the loops of a node that has no listener.
func (n *Node) giveUp() {
	if n.server == nil {
		return
	}
	_ = n.server.Shutdown(context.Background()) // nobody has connected
	for _, w := range n.workers {
		w.out.close()
	}
}

// sample is the node's part of a scrape.
func (n *Node) sample() stats.Sample {
	s := stats.Sample{Waiting: len(n.pool.jobs), Busy: n.pool.busy.Load()}
	if !n.serving.Load() {
		return s
	}
	s.Wire, s.Unasked, s.Cut = n.server.Stats(), n.store.Unasked(), n.discovery.Cut()
	s.Loops = make([]stats.Loop, len(n.workers))
	for i, w := range n.workers {
		s.Loops[i] = stats.Loop{Tally: &w.tally, Ops: w.out.ops.Load(), Bytes: w.out.bytes.Load(), Flying: w.out.flying.Load()}
	}
	return s
}

func (n *Node) workerOf(l *wire.Loop) *worker { return n.workers[l.Index()] }

// maxDelivery is the largest mailbox entry that is put into a frame.
func (n *Node) maxDelivery() int64 { return max(4*int64(n.cfg.MaxMessage), 8<<20) }
