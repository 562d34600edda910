package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/wire"
	"hydrant/umf"
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
	m              *metrics
	tracing        *tracing // nil: off
	started        time.Time
	sessionOptions session.Options
	signatures     *signatures
	tokens         *tokenChecker
	guesses        *guessLimiter
	clientLog      clientLog
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
	serving     atomic.Bool // the workers are there
	fit         atomic.Bool // there is no reason against being ready, but perhaps a drain
	draining    atomic.Bool // not ready any more
	short       atomic.Bool // of memory
	leaving     atomic.Bool // no new clients any more: the grace time is over
	connections atomic.Int64
	background  sync.WaitGroup

	// Guarded by mu.
	mu      sync.Mutex
	reasons map[string]string // why the node is not ready, by part
	addr    string
	addrSet chan struct{}
}

// Options are what a program sets beside the configuration.
type Options struct {
	Logger   *slog.Logger   // nil: slog.Default()
	LogLevel *slog.LevelVar // of Logger, for administrators to change; nil: they cannot
	// TracerProvider makes the spans of messages; nil: there are none, at no
	// cost.
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
		cfg: cfg, busCfg: busCfg, id: bus.NewNodeID(), m: newMetrics(), started: time.Now(),
		ctx: ctx, cancel: cancel, guesses: newGuessLimiter(), claims: newClaims(),
		reasons: map[string]string{"nats": "not connected yet", "listener": "not open yet"}, addrSet: make(chan struct{}),
	}
	n.log, n.logLevel = o.Logger.With("node", n.id), o.LogLevel
	n.asked, n.leave = context.WithCancel(ctx)
	n.tracing = newTracing(o.TracerProvider, n.id)
	n.fromRouter = umf.AppendString(nil, n.id+"@"+cfg.ServiceName+":/")
	n.sessionOptions = session.Options{Window: cfg.Window}
	n.signatures = newSignatures(&cfg, n.m)
	tokens, err := newTokenChecker(ctx, &cfg)
	if err != nil {
		cancel()
		return nil, err
	}
	n.tokens = tokens
	n.pool = newPool(n.m)
	n.m.registry.MustRegister(append(o.Collectors, newCollector(n))...)
	n.clientLog.full = n.m.dropped.with("client_log").Inc
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

// Run serves clients until ctx ends or [Node.Drain] is called, then drains:
// DESIGN §3.6. It returns nil after a drain.
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
	if err := n.serveClients(); err != nil {
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

// connect dials NATS and keeps dialling until it answers or ctx ends.
func (n *Node) connect(ctx context.Context) error {
	options := []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) { n.onDisconnect(nc, err) }),
		nats.ReconnectHandler(func(*nats.Conn) { n.onReconnect() }),
		nats.ErrorHandler(n.onAsyncError),
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		nc, err := bus.Connect(n.busCfg, "hydrant-edge-"+n.id, options...)
		if err == nil {
			n.nc = nc
			n.setConnected(true)
			return nil
		}
		if errors.Is(err, bus.ErrConfig) {
			return err
		}
		n.notReady("nats", err.Error())
		n.log.Warn("NATS does not answer; trying again", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// unlessStopped is err, or nil if it is there because the node was told to stop.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (n *Node) setConnected(up bool) {
	n.connected.Store(up)
	if up {
		n.m.natsState.Set(1)
		n.nowReady("nats")
		return
	}
	n.m.natsState.Set(0)
	n.notReady("nats", "not connected")
}

// openStore creates or checks streams and bucket until they hold the contract.
func (n *Node) openStore(ctx context.Context) error {
	cfg := n.cfg.mailboxes(n.nc)
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 20*time.Second)
		store, err := bus.OpenStore(attempt, n.nc, cfg)
		cancel()
		if err == nil {
			n.store, n.dir = store, store.Directory()
			n.nowReady("store")
			return nil
		}
		n.notReady("store", err.Error())
		n.log.Error("NATS cannot hold the sessions; trying again", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// mailboxes is what NATS has to hold for this configuration.
func (c *Config) mailboxes(nc *nats.Conn) bus.MailboxConfig {
	return bus.MailboxConfig{
		Streams: c.MailboxStreams, Replicas: c.replicas(nc), QueueLimit: c.QueueLimit,
		TTL: c.SessionTTL, MaxBytes: int64(c.MailboxMaxBytes),
		Window: storeWindow * runtime.GOMAXPROCS(0), // a loop each: those have a window of their own, and wait where this one refuses
	}
}

// replicas is how many copies of the mailboxes there are to be: by default
// three where NATS is a cluster, since fewer lose what was acknowledged with
// one server.
func (c *Config) replicas(nc *nats.Conn) int {
	switch {
	case c.StreamReplicas > 0:
		return c.StreamReplicas
	case nc.ConnectedClusterName() != "":
		return 3
	}
	return 1
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
	if limit := memoryLimit(); limit > 0 {
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

// subscribe opens the node's own subscriptions and registers it.
func (n *Node) subscribe() error {
	replies, err := bus.ReplyWildcard(n.id)
	if err != nil {
		return err
	}
	requests, err := bus.RequestWildcard(n.id)
	if err != nil {
		return err
	}
	subjects := []struct {
		subject string
		handle  func([]*nats.Msg)
	}{
		{replies, n.undeliverable},
		{requests, n.answers},
	}
	for _, s := range subjects {
		ch := make(chan *nats.Msg, liveQueue)
		if _, err := n.nc.ChanSubscribe(s.subject, ch); err != nil {
			return fmt.Errorf("edge: subscribe %s: %w", s.subject, err)
		}
		n.background.Go(func() { pump(n.ctx, ch, s.handle) })
	}
	if _, err := n.store.WatchLeaders(n.leaderChanged); err != nil { // ends with the connection
		return fmt.Errorf("edge: %w", err)
	}
	orders, err := bus.NodeSubject(n.id)
	if err != nil {
		return err
	}
	for _, w := range n.workers {
		if _, err := n.nc.ChanSubscribe(orders, w.live); err != nil {
			return fmt.Errorf("edge: subscribe %s: %w", orders, err)
		}
	}
	n.discovery = bus.NewDiscovery(n.nc)
	n.registry, err = bus.RegisterNode(n.nc, bus.NodeInfo{ID: n.id, Service: n.cfg.ServiceName, Version: SemanticVersion()}, n.orders)
	if err != nil {
		return fmt.Errorf("edge: register: %w", err)
	}
	return nil
}

// pump hands what arrives on a channel to handle, in batches, until ctx ends.
func pump(ctx context.Context, ch <-chan *nats.Msg, handle func([]*nats.Msg)) {
	for {
		select {
		case msg := <-ch:
			handle(gather(msg, ch))
		case <-ctx.Done():
			return
		}
	}
}

// gather takes what is waiting in ch behind the first message, bounded.
func gather(first *nats.Msg, ch <-chan *nats.Msg) []*nats.Msg {
	batch := append(make([]*nats.Msg, 0, 8), first)
	for len(batch) < liveBatch {
		select {
		case msg := <-ch:
			batch = append(batch, msg)
		default:
			return batch
		}
	}
	return batch
}

// serveAdmin opens the administrators' listener. Where the default port is
// taken, as with a second node on one machine, any free one does.
func (n *Node) serveAdmin() error {
	n.admin = n.httpServer(n.adminHTTP())
	if n.cfg.AdminListen == "" {
		return nil
	}
	listener, err := net.Listen("tcp", n.cfg.AdminListen)
	if errors.Is(err, syscall.EADDRINUSE) && n.cfg.AdminListen == defaultAdminListen {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("edge: EDGE_ADMIN_LISTEN: %w", err)
	}
	n.log.Info("administration", "listen", listener.Addr().String())
	n.background.Go(func() {
		if err := n.admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("administrators' listener ended", "error", err)
		}
	})
	return nil
}

// notReady records why a part keeps the node from being ready.
func (n *Node) notReady(part, why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reasons[part] = why
	n.fit.Store(false)
	n.showReady()
}

func (n *Node) nowReady(part string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.reasons, part)
	n.fit.Store(len(n.reasons) == 0)
	n.showReady()
}

// showReady sets the metric to what readiness says.
func (n *Node) showReady() {
	if n.fit.Load() && !n.draining.Load() {
		n.m.ready.Set(1)
	} else {
		n.m.ready.Set(0)
	}
}

// readiness reports whether the node takes new clients, or which parts keep it
// from that; with the details, which are for administrators, also why.
func (n *Node) readiness(details bool) (bool, []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var reasons []string
	add := func(part, why string) {
		if details {
			part += ": " + why
		}
		reasons = append(reasons, part)
	}
	for part, why := range n.reasons {
		add(part, why)
	}
	if n.draining.Load() {
		add("drain", "the node is stopping")
	}
	sort.Strings(reasons)
	return len(reasons) == 0, reasons
}

func (n *Node) workerOf(l *wire.Loop) *worker { return n.workers[l.Index()] }

// headerRoom is what the headers of a message may take of NATS' maximum.
const headerRoom = 1024

// maxPayload is the largest message that NATS takes, less room for headers.
func (n *Node) maxPayload() int { return int(n.nc.MaxPayload()) - headerRoom }

// maxDelivery is the largest mailbox entry that is put into a frame.
func (n *Node) maxDelivery() int64 { return max(4*int64(n.cfg.MaxMessage), 8<<20) }
