package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/bus/scheme"
	"hydrant/edge"
	"hydrant/edge/internal/redact"
)

// demoSecret signs a message of the tour. A real one is random, in a file.
const demoSecret = "only-for-the-demo"

// demo is a service and the embedded NATS in this process, and two nodes in
// processes of their own.
type demo struct {
	// Immutable after start.
	out   io.Writer
	dir   string // of the embedded NATS
	nc    *nats.Conn
	ports []string
	echo  func() error

	// Of the tour.
	steps int
	wrong int

	// Guarded by mu, once the nodes are played with.
	mu      sync.Mutex
	nodes   []*demoNode
	playing bool
}

func runDemo(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("demo", "")
	once := flags.Bool("once", false, "exit after the tour: status 0 only if every step was right")
	if err := parse(flags, args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGPIPE)
	defer stop()
	passOver(os.Environ())
	started := atWork(ctx, "starting NATS and two nodes")
	defer started()
	dir, err := os.MkdirTemp("", "hydrant-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log := slog.New(redact.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	server, err := embedded.Start(embedded.Options{DataDir: dir, Listen: freePort("127.0.0.1:4222"), Logger: log})
	if err != nil {
		return err
	}
	defer stopNATS(server, log)
	d := &demo{out: out, dir: dir}
	defer d.stop()
	if err := d.start(ctx, server); err != nil {
		return err
	}
	started()
	d.tour(ctx)
	if d.wrong > 0 {
		return fmt.Errorf("%d of %d steps of the tour went wrong", d.wrong, d.steps)
	}
	fmt.Fprintf(out, "\nAll %d steps were right.\n", d.steps)
	if *once {
		return nil
	}
	if err := d.restart(ctx, server.URL()); err != nil {
		return err
	}
	d.invite()
	d.play(ctx, server.URL())
	return nil
}

// passOver says which settings of the environment count for nothing here.
func passOver(environ []string) {
	var names []string
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); configures(variable) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "passed over, since the demo has settings of its own: %s\n", strings.Join(names, " "))
	}
}

// freePort returns the address if it can be listened on, else one of the same
// host with a port that is free now.
func freePort(address string) string {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		host, _, splitErr := net.SplitHostPort(address)
		if splitErr != nil {
			return address
		}
		if listener, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			return address
		}
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		address = net.JoinHostPort(host, port)
	}
	_ = listener.Close() // it was only a try
	return address
}

func (d *demo) start(ctx context.Context, server *embedded.Server) error {
	nc, err := bus.Connect(bus.Config{URL: server.URLFor(scheme.UserService)}, "hydrant-demo")
	if err != nil {
		return err
	}
	d.nc = nc
	if d.echo, err = startEcho(nc, "echo"); err != nil {
		return err
	}
	for _, listen := range []string{":5353", ":5354"} {
		_, port, err := net.SplitHostPort(freePort(listen))
		if err != nil {
			return err
		}
		d.ports = append(d.ports, port)
	}
	for _, port := range d.ports {
		n, err := d.startNode(ctx, port, server.URL())
		if err != nil {
			return err
		}
		d.nodes = append(d.nodes, n)
	}
	return nil
}

// restart brings the node back that the tour has killed.
func (d *demo) restart(ctx context.Context, natsURL string) error {
	n, err := d.startNode(ctx, d.ports[1], natsURL)
	if err == nil {
		d.nodes[1] = n
	}
	return err
}

func (d *demo) stop() {
	var running []*demoNode
	for _, n := range d.nodes {
		if n.runs() {
			running = append(running, n)
			n.stop()
		}
	}
	for _, n := range running {
		if err := n.wait(); err != nil {
			fmt.Fprintln(os.Stderr, "node:", err)
		}
	}
	if d.echo != nil {
		if err := d.echo(); err != nil {
			fmt.Fprintln(os.Stderr, "echo:", err)
		}
	}
	if d.nc != nil {
		d.nc.Close()
	}
}

// step runs one step of the tour and says how it went.
func (d *demo) step(title string, f func() (string, error)) {
	d.steps++
	result, err := f()
	if err != nil {
		d.wrong++
		fmt.Fprintf(d.out, "%2d. %s\n    WRONG: %v\n", d.steps, title, err)
		return
	}
	fmt.Fprintf(d.out, "%2d. %s\n    %s\n", d.steps, title, result)
}

func (d *demo) tour(ctx context.Context) {
	fmt.Fprintf(d.out, "Hydrant %s: nodes on :%s and :%s, service `echo`,\nembedded NATS on %s\n\n",
		edge.Version, d.ports[0], d.ports[1], bus.Redacted(d.nc.ConnectedUrl()))
	t := &tour{d: d}
	defer t.close()
	for _, s := range []struct {
		title string
		run   func(context.Context) (string, error)
	}{
		{"A client connects to the first node", t.connect},
		{"It asks the service", t.ask},
		{"It calls the service as if by HTTP, with a [GET] address", t.call},
		{"A second client, on the other node, gets a message from it", t.across},
		{"It answers, back across the nodes", t.back},
		{"A signed message verifies, and one that was changed does not", t.signed},
		{"A message for a service that does not exist is answered at once", t.missing},
		{"The first client's connection drops; 100 messages are sent to it meanwhile", t.away},
		{"It resumes on the other node and gets all 100, in order", t.resume},
		{"Its node is killed under it (SIGKILL); it resumes on the node that is left", t.failover},
	} {
		bounded, cancel := context.WithTimeout(ctx, 2*patience)
		d.step(s.title, func() (string, error) { return s.run(bounded) })
		cancel()
		if d.wrong > 0 {
			return
		}
	}
}

// invite says what to try while the demo stays up.
func (d *demo) invite() {
	fmt.Fprintf(d.out, `
Open this page, and kill a node:

  http://localhost:%[1]s/

Or try, in another terminal (where hydrant is not built,
go run ./edge/cmd/hydrant):

  hydrant send -url ws://localhost:%[1]s -to echo:/ -count 3
  curl http://localhost:%[2]s/v1/router/list/nodes

A service or a tool of yours finds NATS, and its password, by

  export EDGE_DATA_DIR=%[3]s

Stop with Ctrl-C.
`, d.ports[0], d.ports[1], d.dir)
}
