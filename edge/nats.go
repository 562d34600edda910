package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/takeover"
)

// natsSide is what a node has of NATS.
type natsSide struct {
	// Immutable after New, but for the address of a server of its own.
	cfg      bus.Config
	start    func() (url string, err error) // nil: a server is there
	inbox    []inbox
	contract *contractWatch

	// Shared.
	link       atomic.Pointer[uplink] // there before the node serves
	registry   atomic.Pointer[discovery.Node]
	moves      moves
	signs      *takeover.Signs // immutable
	questions  *questions      // immutable
	bulk       *bulk           // immutable
	refused    refused
	connected  atomic.Bool
	maxPayload atomic.Int64 // the largest message that NATS takes, less room for headers
}

// prepareNATS makes what needs no connection.
func (n *Node) prepareNATS(cfg bus.Config, start func() (string, error)) {
	if start == nil {
		cfg = cfg.As(scheme.UserEdge)
	}
	cfg.InboxPrefix = scheme.NodeInbox // by which nodes know each other
	n.nats.cfg, n.nats.start, n.nats.inbox = cfg, start, n.inboxes()
	n.nats.questions = newQuestions(n.id)
	n.nats.bulk = newBulk(func(options ...nats.Option) (*nats.Conn, error) { // once there is an address
		return bus.Connect(n.nats.cfg, "hydrant-edge-"+n.ID()+"-bulk", options...)
	}, n.onAsyncError, n.log, n.metrics.BulkConnected)
	n.nats.contract = &contractWatch{ready: n.ready, connected: n.nats.connected.Load, now: make(chan struct{}, 1),
		check: (&storeCheck{node: n}).check}
	n.nats.signs = takeover.NewSigns(func(ctx context.Context, node scheme.NodeID) (uint64, time.Duration, error) {
		return n.nats.link.Load().directory.LastSign(ctx, node)
	})
}

// headerRoom is what the headers of a message may take of NATS' maximum.
const headerRoom = 1024

// setConnected notes whether there is a connection, and why not. nats.go may call
// it before the node has it.
func (n *Node) setConnected(nc *nats.Conn, up bool, why error) {
	if up { // asked now, since a loop must not: nats.go holds its lock while it writes
		n.nats.maxPayload.Store(nc.MaxPayload() - headerRoom)
	}
	n.nats.connected.Store(up)
	if up {
		n.metrics.Connected.Set(1)
		n.ready.now(stats.PartNATS)
		return
	}
	n.metrics.Connected.Set(0)
	text := "not connected"
	if why != nil {
		text += ": " + why.Error()
	}
	n.ready.not(stats.PartNATS, text)
}

// storeConfig is what NATS has to hold for this configuration.
func storeConfig(c *config.Config, nc *nats.Conn) store.Config {
	return store.Config{
		Streams: c.MailboxStreams, Replicas: replicas(c, nc), QueueLimit: c.QueueLimit,
		TTL: c.SessionTTL, Bytes: int64(c.StoreBytes),
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

// inbox is one of the node's own subjects. Its channel outlives connections.
type inbox struct {
	subject string
	ch      chan *nats.Msg
	handle  func([]*nats.Msg)
}

// inboxes are those of the node.
func (n *Node) inboxes() []inbox {
	n.nats.refused.ch, n.nats.refused.stopped = make(chan *nats.Msg, nodeQueue), n.ctx.Done()
	return []inbox{
		{scheme.ReplyWildcard(n.id), n.nats.refused.ch, n.undeliverable},
		{scheme.RequestWildcard(n.id), make(chan *nats.Msg, nodeQueue), n.answers},
	}
}

// subscribe opens the node's own subscriptions on an uplink and registers the node.
// They end with the connection.
func (n *Node) subscribe(l *uplink) error {
	for _, in := range n.nats.inbox {
		sub, err := l.conn.ChanSubscribe(in.subject, in.ch)
		if err != nil {
			return fmt.Errorf("edge: subscribe %s: %w", in.subject, err)
		}
		if in.ch == n.nats.refused.ch {
			n.nats.refused.sub.Store(sub)
		}
	}
	if _, err := l.store.WatchLeaders(n.leaderChanged); err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	if _, err := l.store.WatchExpiries(n.onExpiry); err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	if _, err := l.conn.QueueSubscribe(scheme.ExistsWildcard, scheme.ExistsGroup, func(m *nats.Msg) { n.exists(l.conn, m) }); err != nil {
		return fmt.Errorf("edge: subscribe %s: %w", scheme.ExistsWildcard, err)
	}
	requests := scheme.NodeSubject(n.id)
	if err := n.handler.Subscribe(l.conn, requests); err != nil {
		return fmt.Errorf("edge: subscribe %s: %w", requests, err)
	}
	info := discovery.NodeInfo{
		ID: n.id, Service: scheme.Service(n.cfg.ServiceName), Version: config.SemanticVersion(Version),
		Data: n.vitals,
	}
	if host, _, err := net.SplitHostPort(l.conn.LocalAddr()); err == nil {
		info.IP = host
	}
	if _, port, err := net.SplitHostPort(n.cfg.Listen); err == nil {
		info.Port = port
	}
	registry, err := discovery.RegisterNode(l.conn, info, n.handOver)
	if err != nil {
		return fmt.Errorf("edge: register: %w", err)
	}
	n.nats.registry.Store(registry)
	return nil
}

// vitals is what others are told of the node's health.
func (n *Node) vitals() any {
	v := scheme.NodeVitals{Vitals: scheme.VitalsOf(n.started, time.Now())}
	v.Tails, v.TailBytes = n.shared.Tails.Held()
	return v
}

func (n *Node) onDisconnect(nc *nats.Conn, err error) {
	n.metrics.NATSEvents.Inc(stats.NATSDisconnected)
	if nc.IsClosed() && n.ready.draining() {
		n.nats.connected.Store(false) // by the node itself
		return
	}
	n.setConnected(nc, false, err)
	if n.serving.Load() && n.nats.link.Load().conn == nc { // stores may go back before there is another connection
		n.all((*shard.Shard).Disconnected)
	}
}

// onReconnect tells the shards of a new connection: copies were missed meanwhile,
// and sessions may have moved.
func (n *Node) onReconnect(l *uplink, nc *nats.Conn) {
	n.metrics.NATSEvents.Inc(stats.NATSReconnected)
	n.setConnected(nc, true, nil)
	if !n.serving.Load() || n.nats.link.Load() != l {
		return // there are no sessions yet, or they do not use this connection yet
	}
	n.nats.contract.look()
	n.log.Info("NATS connection is back", "url", bus.Redacted(nc.ConnectedUrl()))
	epoch := n.epoch()
	n.all(func(s *shard.Shard) { s.Connected(epoch) })
}

// isQuestion reports whether an error is but the server's answer to a question: the store
// asks whether this user may make or change a stream, and tells by itself what comes of it.
func isQuestion(err error) bool {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	text := err.Error()
	return strings.Contains(text, `Publish to "`+scheme.APIStreamCreate) || strings.Contains(text, `Publish to "`+scheme.APIStreamUpdate)
}

func (n *Node) onAsyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	n.metrics.NATSEvents.Inc(stats.NATSError)
	if isQuestion(err) {
		n.log.Debug("NATS", "error", err)
		return
	}
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
