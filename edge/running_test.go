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

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/shard"
	"hydrant/integration/harness"
)

// running is a node with NATS in the test's own process, so that the test can
// hold up parts of it. What needs no node is tested in the packages below.
type running struct {
	*Node
	t       *testing.T
	url     string
	network *harness.Proxy // between the node and NATS
}

// startNATS starts a NATS server of the test's own.
func startNATS(t *testing.T) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Open: true, DataDir: t.TempDir()})
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

// connected connects to a NATS server of the test's own.
func connected(t *testing.T) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(bus.Config{URL: startNATS(t).URL()}, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// begin starts a node with settings of the test's own.
func begin(t *testing.T, natsURL string, change func(*Config)) (n *Node, url string) {
	t.Helper()
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen, cfg.AdminListen, cfg.MailboxStreams, cfg.DrainTimeout = "127.0.0.1:0", "", 1, 0
	cfg.RateMessages, cfg.RateBytes = 0, 0 // tests ask again as fast as they are answered
	change(&cfg)
	n, err = New(cfg, bus.Config{URL: natsURL}, Options{Logger: slog.New(slog.DiscardHandler)})
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
	return n, "ws://" + addr + "/"
}

// run starts a node with two loops at least: one to be held up, and one to be left
// alone.
func run(t *testing.T) *running {
	t.Helper()
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(2, before))
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	network, err := harness.NewProxy(strings.TrimPrefix(startNATS(t).URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	n, url := begin(t, network.Addr(), func(cfg *Config) {
		cfg.RequestTimeout, cfg.HandshakeTimeout = harness.Patience, harness.Patience
		cfg.PingInterval, cfg.WriteTimeout = time.Hour, time.Hour // clients that do not read are not to be closed for it
	})
	r := &running{Node: n, t: t, url: url, network: network}
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

// errNotYet is what a condition returns that has nothing else to say.
var errNotYet = errors.New("not yet")

// series are all counters and gauges by name and label, name{label="value"}.
func (r *running) series() map[string]float64 {
	r.t.Helper()
	families, err := r.metrics.Registry.Gather()
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

// metric is one of series.
func (r *running) metric(name string) float64 {
	r.t.Helper()
	value, ok := r.series()[name]
	if !ok {
		r.t.Fatalf("no metric %s", name)
	}
	return value
}

// moves runs f and waits until the metric has grown.
func (r *running) moves(name string, f func()) {
	r.t.Helper()
	before := r.metric(name)
	f()
	r.until(func() error {
		if now := r.metric(name); now <= before {
			return fmt.Errorf("%s stays at %v", name, now)
		}
		return nil
	})
}

// tell says what a node has counted, where its test has failed.
func (r *running) tell() {
	if !r.t.Failed() {
		return
	}
	all := r.series()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if value := all[name]; value != 0 && strings.HasPrefix(name, "hydrant_") {
			r.t.Log(name, value)
		}
	}
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
	m, err := c.Call(context.WithoutCancel(r.t.Context()), harness.Object{"to": "hydra-router:/", "typ": "ping", "bdy": 1})
	if err != nil || m.Type() != "pong" {
		r.t.Fatalf("a ping is answered with %s, %v", m.Raw, err)
	}
}

// store puts messages number from to below to into a client's mailbox.
func (r *running) store(c *harness.Client, from, to int) {
	r.t.Helper()
	for i := from; i < to; i++ {
		text, err := harness.Encode(harness.Object{"to": c.Address(), "frm": "test:/", "mid": fmt.Sprint("stored-", i), "ts": "2026-01-12T20:16:29.157Z",
			"ver": "UMF/1.4.6", "bdy": i})
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.nats.link.Load().store.Publish(r.t.Context(), scheme.SID(c.ID), store.Outgoing{Payload: text}); err != nil {
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

// goOn: no loop waits for anything.
func (r *running) goOn(after string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), harness.Patience)
	defer cancel()
	for i, door := range r.doors {
		ran := make(chan struct{})
		go door.Do(func(*shard.Shard) { close(ran) })
		select {
		case <-ran:
		case <-ctx.Done():
			r.t.Fatalf("loop %d stands still after %s", i, after)
		}
	}
}
