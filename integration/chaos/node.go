package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"hydrant/integration/harness"
)

// node is an edge node with a faulty network on both sides.
type node struct {
	// Immutable after startNode.
	name    string
	process *harness.Node
	front   *harness.Proxy   // between clients and the node
	uplinks []*harness.Proxy // between the node and each NATS server; none with a network
	host    *harness.Host    // nil: loopback

	// Guarded by mu: one fault at a time.
	mu   sync.Mutex
	busy bool
}

func (r *run) startNode(ctx context.Context, i int) (*node, error) {
	n := &node{name: fmt.Sprintf("node-%d", i)}
	urls, err := n.link(r)
	if err != nil {
		return nil, err
	}
	pings := 2 * time.Second // a run is too short for the default
	if i == 0 {
		pings *= 5 // the calm clients must not lose their sockets where the machine is slow
	}
	var clients *harness.Host
	if r.network != nil {
		clients = r.network.Clients
		if n.host, err = r.network.Host(n.name); err != nil {
			return nil, err
		}
	}
	env := map[string]string{
		"NATS_USER":            r.secret.user(),
		"NATS_PASSWORD_FILE":   r.secret.file,
		"EDGE_RATE_MESSAGES":   "0", // all clients have one address
		"EDGE_RATE_BYTES":      "0",
		"EDGE_QUEUE_LIMIT":     fmt.Sprint(r.cfg.Queue),
		"EDGE_MAILBOX_STREAMS": "4",
		"EDGE_STREAM_REPLICAS": fmt.Sprint(r.cfg.Servers),
		"EDGE_PING_INTERVAL":   pings.String(),
		"EDGE_DRAIN_TIMEOUT":   "2s",    // a run is too short for the default
		"EDGE_WRITE_BUFFER":    "32KiB", // so that slow clients fall behind
		"EDGE_WINDOW":          "64",
	}
	if r.network != nil {
		env["EDGE_STORE_BYTES"] = fmt.Sprint(storeDisk / 2) // a server gives away three quarters
	}
	tails, err := r.cfg.Tails.env()
	if err != nil {
		return nil, err
	}
	maps.Copy(env, tails)
	if r.binary != "" {
		harness.WithClock(env, filepath.Join(r.dir, n.name+".clock"))
	}
	if r.cfg.binary == nil { // former versions do not know it
		env["EDGE_QUEUE_SERVICES"] = serviceName // else work waits for ever where stores go back
	}
	binary := r.binary
	if r.cfg.binary != nil {
		binary = r.cfg.binary(i)
	}
	n.process, err = harness.StartNode(ctx, harness.NodeOptions{
		Name: n.name, Binary: binary, NATS: strings.Join(urls, ","), Host: n.host, Env: env,
	})
	if err != nil {
		return nil, err
	}
	n.front, err = harness.NewProxyFrom(clients, n.process.Addr)
	return n, err
}

// link is where the node finds the servers: on loopback through proxies of its own.
func (n *node) link(r *run) (urls []string, err error) {
	for _, server := range r.servers.Servers {
		if r.network != nil {
			urls = append(urls, "nats://"+server.Addr)
			continue
		}
		uplink, err := harness.NewProxy(server.Addr)
		if err != nil {
			return nil, err
		}
		n.uplinks = append(n.uplinks, uplink)
		urls = append(urls, "nats://"+uplink.Addr())
	}
	return urls, nil
}

func (n *node) stop() {
	n.process.Kill()
	if n.front != nil {
		n.front.Close()
	}
	for _, uplink := range n.uplinks {
		uplink.Close()
	}
}

// claim reserves the node for one fault; false: it has one already.
func (n *node) claim() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy {
		return false
	}
	n.busy = true
	return true
}

func (n *node) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy = false
}

var errNotReady = errors.New("chaos: not ready after the faults")

// heal returns when the node takes clients again. Its faults are over.
func (n *node) heal(ctx context.Context) error {
	if err := n.process.WaitReady(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	return nil
}
