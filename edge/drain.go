package edge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"hydrant/edge/internal/wire"
)

// Draining: DESIGN §3.6.
const (
	drainTick      = 50 * time.Millisecond
	drainPerClient = 10 * time.Millisecond // a small node need not take the whole time
	closeGrace     = 5 * time.Second       // for the last close handshakes
	retrySpread    = 2 * time.Second       // hint for the clients, so that they do not return at once
)

// drain closes the clients spread over EDGE_DRAIN_TIMEOUT, parks their
// sessions and ends the connection to NATS. It returns when all is done or the
// time is over.
func (n *Node) drain() {
	n.draining.Store(true)
	n.m.ready.Set(0)
	n.log.Info("draining", "connections", n.connections.Load())
	started := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.DrainTimeout+closeGrace)
	defer cancel()
	n.server.StopAccepting()
	spread := min(n.cfg.DrainTimeout*8/10, time.Duration(n.connections.Load())*drainPerClient)
	empty := make(chan struct{}, len(n.workers))
	for _, w := range n.workers {
		w.post(func() { w.drain(time.Now(), spread, func() { empty <- struct{}{} }) })
	}
	for range n.workers {
		select {
		case <-empty:
		case <-ctx.Done():
			n.log.Warn("drain time is over; the rest keeps its last checkpoint")
		}
	}
	if err := n.server.Shutdown(ctx); err != nil {
		n.log.Warn("connections left at the end of the drain", "error", err)
	}
	if err := n.registry.Unregister(); err != nil {
		n.log.Debug("not signed off", "error", err)
	}
	n.cancel()
	n.stopOutboxes(ctx)
	n.nc.Close()
	_ = n.admin.Close() // the listener is going away with the process
	n.background.Wait()
	n.log.Info("stopped", "took", time.Since(started).Round(time.Millisecond))
}

// drain closes this loop's clients bit by bit and calls done when every
// session is parked.
func (w *worker) drain(started time.Time, spread time.Duration, done func()) {
	total := len(w.attachments)
	closed := 0
	var step func()
	step = func() {
		due := total
		if passed := time.Since(started); passed < spread {
			due = int(int64(total) * int64(passed+drainTick) / int64(spread))
		}
		for _, a := range w.attachments {
			if closed >= due {
				break
			}
			if a.client != nil && !a.client.closing {
				closed++
				a.client.close(closeRestart, retryHint())
			}
		}
		if len(w.attachments) == 0 {
			done()
			return
		}
		w.loop.AfterFunc(drainTick, step)
	}
	step()
}

// retryHint is the reason of a 1012 close: when to come back.
func retryHint() string {
	return "retry after " + strconv.FormatInt(rand.Int64N(retrySpread.Milliseconds()), 10) + " ms"
}

// stopOutboxes lets what is queued reach NATS.
func (n *Node) stopOutboxes(ctx context.Context) {
	for _, w := range n.workers {
		w.out.close()
		select {
		case <-w.out.done:
		case <-ctx.Done():
		}
	}
}

// wireOptions translates the configuration for the connection layer.
func (n *Node) wireOptions() (wire.Options, error) {
	o := wire.Options{
		MaxMessage: int64(n.cfg.MaxMessage), WriteBuffer: int(n.cfg.WriteBuffer),
		HandshakeTimeout: n.cfg.HandshakeTimeout, PingInterval: n.cfg.PingInterval, WriteTimeout: n.cfg.WriteTimeout,
		MaxConnections: n.cfg.MaxConnections, MaxConnectionsPerAddress: n.cfg.MaxConnectionsPerAddress,
		MessageRate: n.cfg.RateMessages, ByteRate: float64(n.cfg.RateBytes),
		Compression: n.cfg.Compression, ProxyProtocol: n.cfg.ProxyProtocol, Logger: n.log,
	}
	for _, p := range n.cfg.TrustedProxies {
		o.TrustedProxies = append(o.TrustedProxies, netip.Prefix(p))
	}
	if n.cfg.TLSCert != "" {
		certificates, err := wire.LoadCertificates(n.cfg.TLSCert, n.cfg.TLSKey, n.log)
		if err != nil {
			return o, fmt.Errorf("%w: EDGE_TLS_CERT: %w", ErrConfig, err)
		}
		o.TLS = certificates.Config()
	}
	return o, nil
}
