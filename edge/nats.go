package edge

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus"
	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
)

// uplink is what a node has of NATS. Immutable once the store is open.
type uplink struct {
	conn      *nats.Conn
	store     *store.Store
	directory *store.Directory
	discovery *discovery.Discovery
	registry  *discovery.Node
}

// headerRoom is what the headers of a message may take of NATS' maximum.
const headerRoom = 1024

// connect dials NATS and keeps dialling until it answers or ctx ends.
func (n *Node) connect(ctx context.Context) error {
	options := []nats.Option{
		nats.DisconnectErrHandler(n.onDisconnect),
		nats.ReconnectHandler(n.onReconnect),
		nats.ErrorHandler(n.onAsyncError),
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		nc, err := bus.Connect(n.busCfg, "hydrant-edge-"+n.ID(), options...)
		if err == nil {
			n.nats.conn, n.nats.discovery = nc, discovery.New(nc)
			n.setConnected(nc, true)
			return nil
		}
		if errors.Is(err, bus.ErrConfig) {
			return err
		}
		n.ready.not("nats", err.Error())
		n.log.Warn("NATS does not answer; trying again", "error", err)
		if err := pause(ctx, wait); err != nil {
			return err
		}
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

// setConnected notes whether there is a connection. nats.go may call it before
// the node has it.
func (n *Node) setConnected(nc *nats.Conn, up bool) {
	if up { // asked now, since a loop must not: nats.go holds its lock while it writes
		n.maxPayload.Store(nc.MaxPayload() - headerRoom)
	}
	n.connected.Store(up)
	if up {
		n.metrics.Connected.Set(1)
		n.ready.now("nats")
		return
	}
	n.metrics.Connected.Set(0)
	n.ready.not("nats", "not connected")
}

// openStore creates or checks streams and bucket until they hold the contract.
func (n *Node) openStore(ctx context.Context) error {
	cfg := storeConfig(&n.cfg, n.nats.conn)
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 20*time.Second)
		opened, err := store.Open(attempt, n.nats.conn, cfg)
		cancel()
		if err == nil {
			n.nats.store, n.nats.directory = opened, opened.Directory()
			n.ready.now("store")
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n.ready.not("store", err.Error())
		n.log.Error("NATS cannot hold the sessions; trying again", "error", err)
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// storeConfig is what NATS has to hold for this configuration.
func storeConfig(c *config.Config, nc *nats.Conn) store.Config {
	return store.Config{
		Streams: c.MailboxStreams, Replicas: replicas(c, nc), QueueLimit: c.QueueLimit,
		TTL: c.SessionTTL, MaxBytes: int64(c.MailboxMaxBytes),
		Window: egress.StoreWindow * runtime.GOMAXPROCS(0), // a loop each: those have a window of their own, and wait where this one refuses
	}
}

// replicas is how many copies of the mailboxes there are to be: by default
// three where NATS is a cluster, since fewer lose what was acknowledged with
// one server.
func replicas(c *config.Config, nc *nats.Conn) int {
	switch {
	case c.StreamReplicas > 0:
		return c.StreamReplicas
	case nc.ConnectedClusterName() != "":
		return 3
	}
	return 1
}

// nodeQueue bounds what waits on each of the node's own subscriptions.
const nodeQueue = 1 << 15

// subscribe opens the node's own subscriptions and registers it. They end with the
// connection.
func (n *Node) subscribe() error {
	for subject, handle := range map[string]func([]*nats.Msg){
		scheme.ReplyWildcard(n.id):   n.undeliverable,
		scheme.RequestWildcard(n.id): n.answers,
	} {
		ch := make(chan *nats.Msg, nodeQueue)
		if _, err := n.nats.conn.ChanSubscribe(subject, ch); err != nil {
			return fmt.Errorf("edge: subscribe %s: %w", subject, err)
		}
		n.background.Go(func() { shard.Pump(n.ctx, ch, handle) })
	}
	if _, err := n.nats.store.WatchLeaders(n.leaderChanged); err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	if _, err := n.nats.store.WatchExpiries(n.onExpiry); err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	requests := scheme.NodeSubject(n.id)
	if err := n.handler.Subscribe(n.nats.conn, requests); err != nil {
		return fmt.Errorf("edge: subscribe %s: %w", requests, err)
	}
	info := discovery.NodeInfo{ID: n.id, Service: scheme.Service(n.cfg.ServiceName), Version: config.SemanticVersion(Version)}
	registry, err := discovery.RegisterNode(n.nats.conn, info, func(r micro.Request) { n.handOver(r) })
	if err != nil {
		return fmt.Errorf("edge: register: %w", err)
	}
	n.nats.registry = registry
	return nil
}

func (n *Node) onDisconnect(nc *nats.Conn, err error) {
	n.metrics.NATSEvents.Inc(stats.NATSDisconnected)
	n.setConnected(nc, false)
	if !nc.IsClosed() && !n.ready.draining() {
		n.log.Warn("NATS connection lost", "error", err)
	}
}

// onReconnect tells the shards of a new connection: copies were missed meanwhile,
// and sessions may have moved.
func (n *Node) onReconnect(nc *nats.Conn) {
	n.metrics.NATSEvents.Inc(stats.NATSReconnected)
	n.setConnected(nc, true)
	if !n.serving.Load() {
		return // there are no sessions yet
	}
	n.log.Info("NATS connection is back", "url", bus.Redacted(nc.ConnectedUrl()))
	epoch := n.epoch()
	n.all(func(s *shard.Shard) { s.Reconnected(epoch) })
}

// epoch counts the connections to NATS that were lost. It grows before anything
// comes over the next one.
func (n *Node) epoch() uint64 { return n.nats.conn.Stats().Reconnects }

func (n *Node) onAsyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	n.metrics.NATSEvents.Inc(stats.NATSError)
	n.log.Warn("NATS", "error", err)
	if !errors.Is(err, nats.ErrSlowConsumer) {
		return
	}
	if sub.Type() != nats.ChanSubscription { // not a queue of this node's own
		n.metrics.Dropped.Inc(stats.DropNATSQueue)
		return
	}
	n.metrics.Dropped.Inc(stats.DropLiveQueue)
	if n.serving.Load() {
		n.handler.Missed()
	}
}

// leaderChanged tells the shards of a mailbox stream's new leader. It waits for
// room: this goroutine of NATS has nothing else to do.
func (n *Node) leaderChanged(partition int) {
	n.metrics.NATSEvents.Inc(stats.NATSLeader)
	n.all(func(s *shard.Shard) { s.LeaderChanged(partition) })
}

// contractEvery is how often a node looks whether streams and bucket still
// hold what it needs.
const contractEvery = 30 * time.Second

func (n *Node) watchContract() {
	for pause(n.ctx, contractEvery) == nil {
		if !n.connected.Load() {
			continue
		}
		ctx, cancel := context.WithTimeout(n.ctx, contractEvery/2)
		err := n.nats.store.CheckContract(ctx)
		cancel()
		if err != nil {
			n.log.Error("NATS does not hold the contract", "error", err)
			n.ready.not("store", err.Error())
			continue
		}
		n.ready.now("store")
	}
}
