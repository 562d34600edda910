package main

import (
	"context"
	"encoding/json"
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
	"hydrant/umf"
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

// tour is the two clients that walk through the demo.
type tour struct {
	d      *demo
	first  *client
	second *client
	lost   *client // how the first client was known before its connection dropped
}

func (t *tour) close() {
	for _, c := range []*client{t.first, t.second} {
		if c != nil {
			c.close()
		}
	}
}

func (t *tour) connect(ctx context.Context) (string, error) {
	c, err := dial(ctx, t.d.nodes[0].url, "")
	if err != nil {
		return "", err
	}
	t.first = c
	return "session " + c.id, nil
}

// exchange sends a message and waits for its answer.
func exchange(ctx context.Context, c *client, to string, body any) (*umf.Message, error) {
	msg, err := c.post(ctx, to, body)
	if err != nil {
		return nil, err
	}
	return c.await(ctx, func(m *umf.Message) bool { return m.Rmid == msg.Mid })
}

func (t *tour) ask(ctx context.Context) (string, error) {
	answer, err := exchange(ctx, t.first, "echo:/", map[string]string{"hello": "service"})
	if err != nil {
		return "", err
	}
	if string(answer.Body) != `{"hello":"service"}` {
		return "", fmt.Errorf("answer %s", answer.Body)
	}
	return "answer from " + answer.From + ": " + string(answer.Body), nil
}

func (t *tour) call(ctx context.Context) (string, error) {
	answer, err := exchange(ctx, t.first, "echo:[GET]/v1/echo", map[string]int{"n": 1})
	if err != nil {
		return "", err
	}
	if string(answer.Body) != `{"n":1}` {
		return "", fmt.Errorf("answer %s", answer.Body)
	}
	return "answer from " + answer.From + ": " + string(answer.Body), nil
}

func (t *tour) across(ctx context.Context) (string, error) {
	c, err := dial(ctx, t.d.nodes[1].url, "")
	if err != nil {
		return "", err
	}
	t.second = c
	return t.pass(ctx, t.first, t.second, `"hello, other node"`)
}

func (t *tour) back(ctx context.Context) (string, error) {
	return t.pass(ctx, t.second, t.first, `"hello to you"`)
}

// pass sends a message from one client to another.
func (t *tour) pass(ctx context.Context, from, to *client, body string) (string, error) {
	msg, err := from.compose("hydra-router:/", json.RawMessage(body))
	if err != nil {
		return "", err
	}
	msg.Forward = to.address()
	if err := from.send(ctx, msg); err != nil {
		return "", err
	}
	got, err := to.next(ctx)
	if err != nil {
		return "", err
	}
	if got.Mid != msg.Mid || string(got.Body) != body {
		return "", fmt.Errorf("got mid %s with %s", got.Mid, got.Body)
	}
	return "received " + string(got.Body), nil
}

func (t *tour) signed(context.Context) (string, error) {
	msg, err := t.first.compose("echo:/", map[string]int{"amount": 10})
	if err != nil {
		return "", err
	}
	if err := msg.Sign(demoSecret); err != nil {
		return "", err
	}
	if err := msg.Verify(demoSecret); err != nil {
		return "", fmt.Errorf("own signature: %w", err)
	}
	signature := msg.Signature
	msg.Body = json.RawMessage(`{"amount":1000}`)
	if msg.Verify(demoSecret) == nil {
		return "", fmt.Errorf("a changed body was not noticed")
	}
	return "sig " + signature[:16] + "… (nodes demand it with EDGE_SIGNATURE=required)", nil
}

func (t *tour) missing(ctx context.Context) (string, error) {
	answer, err := exchange(ctx, t.first, "nobody:/", map[string]int{"n": 1})
	if err != nil {
		return "", err
	}
	var body struct{ Error string }
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return "", err
	}
	if body.Error != "No nobody instances available" {
		return "", fmt.Errorf("answer %s", answer.Body)
	}
	return body.Error, nil
}

func (t *tour) away(ctx context.Context) (string, error) {
	t.lost, t.first = t.first, nil
	t.lost.drop()
	for n := 1; n <= 100; n++ {
		msg, err := t.second.compose("hydra-router:/", n)
		if err != nil {
			return "", err
		}
		msg.Forward = t.lost.address()
		if err := t.second.send(ctx, msg); err != nil {
			return "", err
		}
	}
	// The node answers in order: when this comes back it has taken all of them.
	if _, err := exchange(ctx, t.second, "echo:/", map[string]int{"n": 100}); err != nil {
		return "", err
	}
	return "sent to " + t.lost.id, nil
}

func (t *tour) resume(ctx context.Context) (string, error) {
	c, err := t.reconnect(ctx, t.d.nodes[1])
	if err != nil {
		return "", err
	}
	for n := 1; n <= 100; n++ {
		msg, err := c.next(ctx)
		if err != nil {
			return "", fmt.Errorf("instead of message %d: %w", n, err)
		}
		if string(msg.Body) != fmt.Sprint(n) {
			return "", fmt.Errorf("message %d has body %s", n, msg.Body)
		}
	}
	return "100 messages", nil
}

// reconnect brings the lost client back on a node.
func (t *tour) reconnect(ctx context.Context, n *demoNode) (*client, error) {
	c, err := dial(ctx, n.url, "")
	if err != nil {
		return nil, err
	}
	t.first = c
	w, err := c.resume(ctx, t.lost.id, t.lost.token)
	if err != nil {
		return nil, err
	}
	if w.Resumed == nil || !*w.Resumed || w.ID != t.lost.id {
		return nil, fmt.Errorf("not resumed: %+v", w)
	}
	c.token = t.lost.token
	return c, nil
}

// failover kills the node that both clients are on.
func (t *tour) failover(ctx context.Context) (string, error) {
	t.d.nodes[1].kill()
	var err error
	for err == nil {
		_, err = t.first.next(ctx)
	}
	if code := closedBy(err); code != 0 {
		return "", fmt.Errorf("connection ended with close %d, as if the node had been alive", code)
	}
	t.lost = t.first
	if _, err := t.reconnect(ctx, t.d.nodes[0]); err != nil {
		return "", err
	}
	answer, err := exchange(ctx, t.first, "echo:/", map[string]string{"still": "here"})
	if err != nil {
		return "", err
	}
	return "resumed " + t.first.id + ", answer: " + string(answer.Body), nil
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
