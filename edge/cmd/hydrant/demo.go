package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
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
	out   io.Writer
	dir   string // of the embedded NATS
	nc    *nats.Conn
	nodes []*demoNode
	echo  func() error
	steps int
	wrong int
}

func runDemo(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("demo", "")
	once := flags.Bool("once", false, "exit after the tour: status 0 only if every step was right")
	if err := parse(flags, args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGPIPE)
	defer stop()
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
	d.invite(server.URLFor(scheme.UserService))
	<-ctx.Done()
	return nil
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
		n, err := startNode(ctx, freePort(listen), server.URL(), d.dir)
		if err != nil {
			return err
		}
		d.nodes = append(d.nodes, n)
	}
	return nil
}

// restart brings the node back that the tour has killed.
func (d *demo) restart(ctx context.Context, natsURL string) error {
	killed := d.nodes[1]
	d.nodes = d.nodes[:1]
	n, err := startNode(ctx, freePort(strings.TrimPrefix(killed.url, "ws://localhost")), natsURL, d.dir)
	if err != nil {
		return err
	}
	d.nodes = append(d.nodes, n)
	return nil
}

func (d *demo) stop() {
	for _, n := range d.nodes {
		n.stop()
	}
	for _, n := range d.nodes {
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
	fmt.Fprintf(d.out, "Hydrant %s: nodes on %s and %s, service `echo`, embedded NATS on %s\n\n",
		edge.Version, d.nodes[0].url, d.nodes[1].url, bus.Redacted(d.nc.ConnectedUrl()))
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
func (d *demo) invite(natsURL string) {
	url := d.nodes[0].url
	fmt.Fprintf(d.out, `
Both nodes stay up, on %[1]s and %[4]s. Try, in another terminal
(where hydrant is not built: go run ./edge/cmd/hydrant):

  hydrant send -url %[1]s -to echo:/ -count 3
  EDGE_DATA_DIR=%[5]s hydrant echo -service hello
  EDGE_DATA_DIR=%[5]s hydrant sessions
  curl http%[3]s/v1/router/list/nodes

A service of yours finds NATS by EDGE_DATA_DIR, or by this, which is a secret:

  NATS_URL=%[2]s

Stop with Ctrl-C.
`, url, natsURL, url[len("ws"):], d.nodes[1].url, d.dir)
}
