package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// NodeOptions say how an edge node is started.
type NodeOptions struct {
	Name   string            // in logs and failures
	Binary string            // hydrant itself; "": the one of [Build]
	NATS   string            // NATS_URL
	Env    map[string]string // further variables; EDGE_LISTEN and, but for its host, EDGE_ADMIN_LISTEN are given ones
	Output *os.File          // of the process, instead of its log
	Host   *Host             // where it runs; nil: here, on loopback
}

// Node is one edge node: the process `hydrant serve`. It keeps its addresses
// across restarts. Not for concurrent use, but for what only reads.
type Node struct {
	*Process
	Addr  string // where clients connect
	Admin string // of the admin listener
	o     NodeOptions
	log   *Log
}

// StartNode starts a node and waits until it is ready.
func StartNode(ctx context.Context, o NodeOptions) (*Node, error) {
	n, err := LaunchNode(o)
	if err != nil {
		return nil, err
	}
	var errs []error
	for range startAttempts {
		err := n.WaitReady(ctx)
		if err == nil {
			return n, nil
		}
		errs = append(errs, err)
		n.Kill()
		if !errors.Is(err, ErrExited) {
			break
		}
		if n, err = LaunchNode(o); err != nil {
			return nil, err
		}
	}
	n.Kill()
	return nil, errors.Join(errs...)
}

// LaunchNode starts a node on new addresses and does not wait: for a test of
// what it does when it is not ready.
func LaunchNode(o NodeOptions) (*Node, error) {
	n := &Node{o: o, log: &Log{}}
	for _, addr := range []*string{&n.Addr, &n.Admin} {
		var err error
		if *addr, err = FreeAddr(); err != nil {
			return nil, err
		}
		*addr = o.Host.on(*addr)
	}
	return n, n.Start()
}

// Start runs the node, or runs it again after its end, on the same addresses.
func (n *Node) Start() error {
	binary := n.o.Binary
	if binary == "" {
		bin, err := Build()
		if err != nil {
			return err
		}
		binary = bin.Hydrant
	}
	var output io.Writer = n.log
	if n.o.Output != nil {
		output = n.o.Output
	}
	path, args := n.o.Host.run(binary, []string{"serve"})
	p, err := StartProcess(n.o.Name, path, args, n.environment(), n.log, output)
	if err != nil {
		return err
	}
	n.Process = p
	return nil
}

// Upgrade makes the next Start, on the same addresses, run another binary.
func (n *Node) Upgrade(binary string) { n.o.Binary = binary }

func (n *Node) environment() []string {
	env := []string{"EDGE_LISTEN=" + n.Addr, "EDGE_ADMIN_LISTEN=" + n.Admin, "NATS_URL=" + n.o.NATS}
	for _, name := range slices.Sorted(maps.Keys(n.o.Env)) {
		value := n.o.Env[name]
		if host, ok := strings.CutSuffix(value, ":"); ok && name == "EDGE_ADMIN_LISTEN" {
			_, port, _ := strings.Cut(n.Admin, ":")
			value = host + ":" + port
		}
		env = append(env, name+"="+value)
	}
	return env
}

// WaitReady returns when the node says that it is ready.
func (n *Node) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	err := Until(ctx, func() error {
		select {
		case <-n.Exited():
			// Not a reason to wait any longer.
			cancel()
			return fmt.Errorf("%w: %w", ErrExited, n.Err())
		default:
			return n.Ready()
		}
	})
	if err != nil {
		return fmt.Errorf("harness: node %s is not ready: %w\n%s", n.Name, err, n.log.Tail(4096))
	}
	return nil
}

// Ready asks the node; the error holds its reason.
func (n *Node) Ready() error {
	_, err := Get("http://" + n.Admin + "/readyz")
	return err
}

// Alive asks the node whether it runs at all.
func (n *Node) Alive() error {
	_, err := Get("http://" + n.Admin + "/healthz")
	return err
}

// Crash kills the node (SIGKILL) and starts it again, with a new node id.
func (n *Node) Crash(ctx context.Context) error {
	n.Kill()
	if err := n.Start(); err != nil {
		return err
	}
	return n.WaitReady(ctx)
}

// URL is the WebSocket URL of a path ("/" for clients that do not care).
func (n *Node) URL(path string) string { return "ws://" + n.Addr + path }

// HTTP is the URL of a path on the clients' port.
func (n *Node) HTTP(path string) string { return "http://" + n.Addr + path }

// AdminHTTP is the URL of a path on the admin listener.
func (n *Node) AdminHTTP(path string) string { return "http://" + n.Admin + path }

// StartEcho starts the example service, with further variables of the form
// NAME=value. It is there when it answers on $SRV.PING.<service> (NATS micro).
func StartEcho(natsURL, service string, env ...string) (*Process, error) {
	bin, err := Build()
	if err != nil {
		return nil, err
	}
	log := &Log{}
	return StartProcess("echo "+service, bin.Hydrant, []string{"echo", "--service", service},
		append([]string{"NATS_URL=" + natsURL}, env...), log, log)
}
