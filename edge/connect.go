package edge

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/config"
)

// What a node has of NATS: the connection, the store, its own subscriptions.

// connect dials NATS and keeps dialling until it answers or ctx ends.
func (n *Node) connect(ctx context.Context) error {
	options := []nats.Option{
		nats.DisconnectErrHandler(n.onDisconnect),
		nats.ReconnectHandler(n.onReconnect),
		nats.ErrorHandler(n.onAsyncError),
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		nc, err := bus.Connect(n.busCfg, "hydrant-edge-"+n.id, options...)
		if err == nil {
			n.nc, n.discovery = nc, bus.NewDiscovery(nc)
			n.setConnected(nc, true)
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

// setConnected notes whether there is a connection. nats.go may call it before
// n.nc is there.
func (n *Node) setConnected(nc *nats.Conn, up bool) {
	if up { // asked now, since a loop must not: nats.go holds its lock while it writes
		n.maxPayload.Store(nc.MaxPayload() - headerRoom)
	}
	n.connected.Store(up)
	if up {
		n.m.Connected.Set(1)
		n.nowReady("nats")
		return
	}
	n.m.Connected.Set(0)
	n.notReady("nats", "not connected")
}

// openStore creates or checks streams and bucket until they hold the contract.
func (n *Node) openStore(ctx context.Context) error {
	cfg := mailboxes(&n.cfg, n.nc)
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 20*time.Second)
		store, err := bus.OpenStore(attempt, n.nc, cfg)
		cancel()
		if err == nil {
			n.store, n.dir = store, store.Directory()
			n.nowReady("store")
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
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
func mailboxes(c *config.Config, nc *nats.Conn) bus.MailboxConfig {
	return bus.MailboxConfig{
		Streams: c.MailboxStreams, Replicas: replicas(c, nc), QueueLimit: c.QueueLimit,
		TTL: c.SessionTTL, MaxBytes: int64(c.MailboxMaxBytes),
		Window: storeWindow * runtime.GOMAXPROCS(0), // a loop each: those have a window of their own, and wait where this one refuses
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
	if _, err := n.store.WatchExpiries(n.onExpiry); err != nil { // the same
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
	n.registry, err = bus.RegisterNode(n.nc, bus.NodeInfo{ID: n.id, Service: n.cfg.ServiceName, Version: config.SemanticVersion(Version)}, n.orders)
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
	for size := len(first.Data); len(batch) < liveBatch && size < liveBytes; {
		select {
		case msg := <-ch:
			batch = append(batch, msg)
			size += len(msg.Data)
		default:
			return batch
		}
	}
	return batch
}

// headerRoom is what the headers of a message may take of NATS' maximum.
const headerRoom = 1024
