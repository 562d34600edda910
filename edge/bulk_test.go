package edge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// TestBulkCutOff: large bodies have a connection of their own, from the second one on. One
// that is stuck there holds up no WebSocket; where that connection is cut off alone, the
// body on it is refused, others go over the uplink, and no session notices. They go over
// it again once it is there again, which needs no doing.
func TestBulkCutOff(t *testing.T) {
	r := run(t)
	network, err := harness.NewProxy(strings.TrimPrefix(r.nats.link.Load().conn.ConnectedUrl(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	r.nats.bulk.dial = func(options ...nats.Option) (*nats.Conn, error) {
		return bus.Connect(bus.Config{URL: network.Addr(), InboxPrefix: scheme.NodeInbox}, t.Name(), options...)
	}
	r.echoes()
	c := r.dial(harness.DialOptions{})
	epoch, up := r.epoch(), func() error {
		if r.nats.bulk.now.Load() == nil {
			return errNotYet
		}
		return nil
	}
	r.nats.bulk.want() // here, since it was changed here
	r.until(up)
	passes := func(over *nats.Conn) {
		t.Helper()
		before := over.Stats().OutBytes
		if status := <-r.put(); status != http.StatusOK {
			t.Fatalf("a body: %d", status)
		}
		if n := over.Stats().OutBytes - before; n < largeMessage {
			t.Fatalf("%d bytes went over the connection to %s", n, over.ConnectedUrl())
		}
	}
	small := func() {
		t.Helper()
		m, err := c.Call(t.Context(), harness.Object{"to": "echo:[get]/small", "bdy": harness.Object{}})
		if err != nil || m.Body() != `"small"` {
			t.Fatalf("a WebSocket is answered with %s, %v", m.Raw, err)
		}
	}
	l := r.nats.bulk.now.Load()
	passes(l.conn)
	small()

	network.Set(harness.Weather{Blackhole: true})
	sent := l.conn.Stats().OutMsgs
	stuck := r.put()
	r.until(func() error {
		if l.conn.Stats().OutMsgs == sent {
			return errNotYet
		}
		return nil
	})
	small()
	network.Cut()
	if status := <-stuck; status != http.StatusServiceUnavailable {
		t.Errorf("a body that was on its way: %d", status)
	}
	r.until(func() error {
		if up() == nil || r.metric("hydrant_nats_bulk_connected") != 0 {
			return errNotYet
		}
		return nil
	})
	passes(r.nats.link.Load().conn)
	small()
	if ready, why := r.ready.reasons(true); !ready {
		t.Errorf("not ready: %q", why)
	}

	network.Set(harness.Weather{})
	r.until(up)
	passes(l.conn)
	small()
	if n := r.metric("hydrant_nats_bulk_connected"); n != 1 {
		t.Errorf("connected: %v", n)
	}
	l.conn.Close() // as nats.go does where a server ends it with an error
	r.until(func() error {
		if now := r.nats.bulk.now.Load(); now == nil || now == l {
			return errNotYet
		}
		return nil
	})
	passes(r.nats.bulk.now.Load().conn)
	if r.epoch() != epoch || r.metric(`hydrant_nats_events_total{event="disconnected"}`) != 0 {
		t.Error("sessions have noticed")
	}
}

// echoes runs a service that sends bodies back, and waits until the node knows it.
func (r *running) echoes() {
	r.t.Helper()
	nc, err := bus.Connect(bus.Config{URL: r.nats.link.Load().conn.ConnectedUrl()}, r.t.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	s, err := bus.NewService(nc, bus.ServiceConfig{Name: "echo", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	err = errors.Join(
		s.HandleMethod("PUT", "/back", func(ctx context.Context, q *bus.Request) error {
			kind, body, err := q.Content()
			if err != nil {
				return err
			}
			return q.Respond(ctx, bus.Response{ContentType: kind, Body: body})
		}),
		s.HandleMethod("GET", "/small", func(ctx context.Context, q *bus.Request) error { return q.Reply(ctx, "small") }),
		s.Start())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Stop(context.Background()) })
	r.until(func() error {
		response, err := http.Get("http" + strings.TrimPrefix(r.url, "ws") + "small")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errNotYet
		}
		return nil
	})
}

// put sends a large body, and returns the status of the answer when that has come whole;
// 0: it has not.
func (r *running) put() <-chan int {
	status, body := make(chan int, 1), bytes.Repeat([]byte("x"), 4*largeMessage)
	go func() {
		request, err := http.NewRequestWithContext(r.t.Context(), "PUT", "http"+strings.TrimPrefix(r.url, "ws")+"back", bytes.NewReader(body))
		if err != nil {
			status <- 0
			return
		}
		response, raw, err := harness.Do(request)
		if err != nil || response.StatusCode == http.StatusOK && !bytes.Equal(raw, body) {
			status <- 0
			return
		}
		status <- response.StatusCode
	}()
	return status
}

// bulkDelivery is a delivery over one server, with a connection for what is large to another
// one, or to the same.
func bulkDelivery(t *testing.T, url string, dial func(...nats.Option) (*nats.Conn, error)) delivery {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	q := newQuestions(scheme.NewNodeID())
	if _, err := nc.Subscribe(scheme.RequestWildcard(q.node), func(m *nats.Msg) {
		if _, id, ok := scheme.ParseRequestSubject(m.Subject); ok {
			q.answer(id, m)
		}
	}); err != nil {
		t.Fatal(err)
	}
	d := delivery{nc, q, newBulk(dial, func(*nats.Conn, *nats.Subscription, error) {}, slog.New(slog.DiscardHandler), prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.bulk.keep(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return d
}

// answersWith has a service answer with so many bytes.
func answersWith(t *testing.T, url string, n int) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	_, err = nc.Subscribe("asked", func(m *nats.Msg) { _ = m.Respond(make([]byte, n)) })
	if err := errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
}

// TestBulkWhenLarge: there is no second connection before something large has come, which
// may be an answer.
func TestBulkWhenLarge(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ question, answer int }{{largeMessage, 1}, {1, largeMessage}} {
		ns := natsOn(t, server.Options{})
		answersWith(t, ns.ClientURL(), size.answer)
		d := bulkDelivery(t, ns.ClientURL(), func(options ...nats.Option) (*nats.Conn, error) { return nats.Connect(ns.ClientURL(), options...) })
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		if _, err := d.RequestMsgWithContext(ctx, &nats.Msg{Subject: "nobody", Data: make([]byte, largeMessage-1)}); !errors.Is(err, nats.ErrNoResponders) {
			t.Error(err)
		}
		select {
		case <-d.bulk.asked:
			t.Error("wanted for a small one")
		default:
		}
		for _, dedicated := range []bool{false, true} {
			if m, err := d.RequestMsgWithContext(ctx, &nats.Msg{Subject: "asked", Data: make([]byte, size.question)}); err != nil || len(m.Data) != size.answer {
				t.Errorf("%v, %v", m, err)
			}
			<-d.bulk.asked
			if err := harness.Until(ctx, func() error {
				if d.bulk.now.Load() == nil {
					return errNotYet
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if in := d.bulk.now.Load().conn.Stats().InMsgs; dedicated != (in == 1) {
				t.Errorf("%d answers have come over the second connection", in)
			}
		}
	}
}

// TestBulkElsewhere: where the server of the second connection knows nobody who listens, as
// one that is cut off from its peers, or does not let it listen itself, all goes over the
// first.
func TestBulkElsewhere(t *testing.T) {
	t.Parallel()
	ns := natsOn(t, server.Options{})
	answersWith(t, ns.ClientURL(), 1)
	deaf := natsOn(t, server.Options{Users: []*server.User{{Username: "deaf", Password: "x",
		Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{scheme.PrefixRequest + ">"}}}}}})
	alone := natsOn(t, server.Options{})
	for name, url := range map[string]string{"alone": alone.ClientURL(), "deaf": strings.Replace(deaf.ClientURL(), "//", "//deaf:x@", 1)} {
		var dialled atomic.Int32
		d := bulkDelivery(t, ns.ClientURL(), func(options ...nats.Option) (*nats.Conn, error) {
			dialled.Add(1)
			return nats.Connect(url, options...)
		})
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		d.bulk.want()
		if err := harness.Until(ctx, func() error {
			if d.bulk.now.Load() == nil && dialled.Load() < 2 {
				return errNotYet
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if up := d.bulk.now.Load() != nil; up != (name == "alone") {
			t.Errorf("%s: is it used: %v", name, up)
		}
		for _, size := range []int{1, largeMessage} {
			if _, err := d.RequestMsgWithContext(ctx, &nats.Msg{Subject: "asked", Data: make([]byte, size)}); err != nil {
				t.Errorf("%s: %d bytes: %v", name, size, err)
			}
			if err := d.Deliver(ctx, &nats.Msg{Subject: "asked", Data: make([]byte, size)}); err != nil {
				t.Errorf("%s: %d bytes are delivered: %v", name, size, err)
			}
		}
		if err := d.Deliver(ctx, &nats.Msg{Subject: "nobody", Data: make([]byte, largeMessage)}); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: to nobody: %v", name, err)
		}
	}
}

// TestBulkBetween: a message for a connection that was lost a moment ago, of which nobody
// has been told yet, goes over the first.
func TestBulkBetween(t *testing.T) {
	t.Parallel()
	ns := natsOn(t, server.Options{})
	answersWith(t, ns.ClientURL(), 1)
	network, err := harness.NewProxy(strings.TrimPrefix(ns.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	d := bulkDelivery(t, ns.ClientURL(), func(options ...nats.Option) (*nats.Conn, error) {
		return nats.Connect("nats://"+network.Addr(), append([]nats.Option{nats.MaxReconnects(-1)}, options...)...)
	})
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	d.bulk.want()
	until := func(condition func() bool) {
		t.Helper()
		if err := harness.Until(ctx, func() error {
			if !condition() {
				return errNotYet
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	until(func() bool { return d.bulk.now.Load() != nil })
	l := d.bulk.now.Load()
	network.Set(harness.Weather{Blackhole: true})
	network.Cut()
	until(func() bool { return d.bulk.now.Load() == nil })
	d.bulk.now.Store(l)
	if _, err := d.RequestMsgWithContext(ctx, &nats.Msg{Subject: "asked", Data: make([]byte, largeMessage)}); err != nil {
		t.Error(err)
	}
	if err := d.Deliver(ctx, &nats.Msg{Subject: "asked", Data: make([]byte, largeMessage)}); err != nil {
		t.Error(err)
	}
}
