package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
	"hydrant/integration/harness"
)

// running is a node with NATS in the test's own process, so that the test can
// hold up parts of it.
type running struct {
	*Node
	t       *testing.T
	url     string
	network *harness.Proxy // between the node and NATS
}

// startNATS starts a NATS server of the test's own.
func startNATS(t *testing.T) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(embedded.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

// run starts a node with two loops at least: one to be held up, and one to be
// left alone.
func run(t *testing.T, change func(*Config)) *running {
	t.Helper()
	return runLoops(t, 2, change)
}

func runLoops(t *testing.T, loops int, change func(*Config)) *running {
	t.Helper()
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(loops, before))
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	server := startNATS(t)
	network, err := harness.NewProxy(strings.TrimPrefix(server.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen, cfg.AdminListen, cfg.MailboxStreams, cfg.DrainTimeout = "127.0.0.1:0", "", 1, 0
	cfg.RequestTimeout, cfg.HandshakeTimeout = harness.Patience, harness.Patience
	cfg.PingInterval, cfg.WriteTimeout = time.Hour, time.Hour // clients that do not read are not to be closed for it
	change(&cfg)
	n, err := New(cfg, bus.Config{URL: network.Addr()}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(context.Background()) }()
	t.Cleanup(func() {
		n.Drain("end of the test")
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	addr, err := n.Addr(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Node: n, t: t, url: "ws://" + addr + "/", network: network}
	t.Cleanup(r.tell)
	return r
}

// until waits for a condition.
func (r *running) until(condition func() error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, condition); err != nil {
		r.t.Fatal(err)
	}
}

// metric is a counter or gauge by its name, with its label if it has one:
// name{label="value"}.
func (r *running) metric(series string) float64 {
	r.t.Helper()
	value, ok := r.metrics()[series]
	if !ok {
		r.t.Fatalf("no metric %s", series)
	}
	return value
}

// metrics are all counters and gauges, as metric names them.
func (r *running) metrics() map[string]float64 {
	r.t.Helper()
	families, err := r.m.Registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			text := family.GetName()
			for _, l := range m.GetLabel() {
				text += fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
			}
			all[text] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

// tell says what a node has counted, where its test has failed.
func (r *running) tell() {
	if !r.t.Failed() {
		return
	}
	all := r.metrics()
	for _, series := range slices.Sorted(maps.Keys(all)) {
		if value := all[series]; value != 0 && strings.HasPrefix(series, "hydrant_") {
			r.t.Log(series, value)
		}
	}
}

// moves runs f and waits until the metric has grown.
func (r *running) moves(series string, f func()) {
	r.t.Helper()
	before := r.metric(series)
	f()
	r.until(func() error {
		if now := r.metric(series); now <= before {
			return fmt.Errorf("%s stays at %v", series, now)
		}
		return nil
	})
}

// dial connects a client.
func (r *running) dial(o harness.DialOptions) *harness.Client {
	r.t.Helper()
	c, err := harness.Dial(r.t.Context(), r.url, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Drop)
	return c
}

// owner is the worker that holds a client's session.
func (r *running) owner(c *harness.Client) *worker {
	r.t.Helper()
	for _, w := range r.workers {
		found := make(chan bool, 1)
		w.post(func() { found <- w.attachments[c.ID] != nil })
		if <-found {
			return w
		}
	}
	r.t.Fatalf("no loop has the session %s", c.ID)
	return nil
}

// crowd connects count clients to one loop, and one to another.
func (r *running) crowd(count int) (w *worker, here []*harness.Client, elsewhere *harness.Client) {
	r.t.Helper()
	here = append(here, r.dial(harness.DialOptions{}))
	w = r.owner(here[0])
	for len(here) < count || elsewhere == nil {
		if c := r.dial(harness.DialOptions{}); r.owner(c) == w {
			here = append(here, c)
		} else {
			elsewhere = c
		}
	}
	return w, here, elsewhere
}

// call sends a message and takes its answer.
func (r *running) call(c *harness.Client, message harness.Object) harness.Message {
	r.t.Helper()
	m, err := c.Call(context.WithoutCancel(r.t.Context()), message)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// send sends a message, with what it lacks.
func (r *running) send(c *harness.Client, message harness.Object) {
	r.t.Helper()
	if _, ok := message["mid"]; !ok {
		message["mid"] = c.Mid()
	}
	message["frm"] = c.Address()
	if err := c.Send(message); err != nil {
		r.t.Fatal(err)
	}
}

// serves shows that a client is served.
func (r *running) serves(c *harness.Client) {
	r.t.Helper()
	if m := r.call(c, harness.Object{"to": "hydra-router:/", "typ": "ping", "bdy": 1}); m.Type() != "pong" {
		r.t.Errorf("a ping is answered with %s", m.Raw)
	}
}

// refuses expects an error with this code.
func (r *running) refuses(c *harness.Client, code protocol.Code, message harness.Object) {
	r.t.Helper()
	m := r.call(c, message)
	if got, _ := m.At("bdy", "code").(string); got != code.String() || m.Error() == "" {
		r.t.Errorf("to %v: answered with %.300s, want an error with the code %s", message["to"], m.Raw, code)
	}
}

// store puts messages number from to below to into a client's mailbox.
func (r *running) store(sid string, from, to, size int) {
	r.t.Helper()
	padding := strings.Repeat("x", size)
	for i := from; i < to; i++ {
		text, err := harness.Encode(harness.Object{"to": sid + "@client:/", "frm": "test:/", "mid": fmt.Sprint("stored-", i), "ts": "2026-01-12T20:16:29.157Z",
			"ver": "UMF/1.4.6", "bdy": padding})
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.Node.store.Publish(r.t.Context(), sid, store.Outgoing{Payload: text}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// gets takes messages number from to below to, in order and nothing between them.
func (r *running) gets(c *harness.Client, from, to int) {
	r.t.Helper()
	for i := from; i < to; i++ {
		m, err := c.Next(context.WithoutCancel(r.t.Context()))
		if err != nil {
			r.t.Fatal(err)
		}
		if want := fmt.Sprint("stored-", i); m.Mid() != want {
			r.t.Fatalf("%.200s comes where %s is next", m.Raw, want)
		}
	}
}

// errNotYet is what a condition returns that has nothing else to say.
var errNotYet = errors.New("not yet")
