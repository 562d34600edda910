package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// floor: what NATS itself takes for a request and its answer, without any
// node between.
func floor(ctx context.Context, b *bench) error {
	asker, err := b.connect("bench-asker")
	if err != nil {
		return err
	}
	answerer, err := b.connect("bench-answerer")
	if err != nil {
		return err
	}
	if _, err := answerer.Subscribe("bench.floor", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		return err
	}
	if err := answerer.Flush(); err != nil {
		return err
	}
	m, err := b.meter()
	if err != nil {
		return err
	}
	r := &row{name: "floor: NATS request"}
	var mu sync.Mutex
	until := time.Now().Add(b.duration / 2)
	err = inParallel(b.clients, b.clients, func(int) error {
		var delays []time.Duration
		for begun := time.Now(); begun.Before(until); begun = time.Now() {
			if _, err := asker.RequestWithContext(ctx, "bench.floor", []byte(pad)); err != nil {
				return err
			}
			delays = append(delays, time.Since(begun))
		}
		mu.Lock()
		defer mu.Unlock()
		r.delays = append(r.delays, delays...)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(r.delays)
	r.count = len(r.delays)
	r.usage, err = m.stop(0)
	return b.note(r, err)
}

// connect: upgrade, session, welcome.
func connect(ctx context.Context, b *bench) error {
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	return b.dials("connect", node, dial)
}

// dials measures what a new client costs the node.
func (b *bench) dials(name string, node *harness.Node, dial dialer) error {
	warm, err := b.fleet(node.Addr, b.connects/10, dial)
	resetAll(warm)
	if err != nil {
		return err
	}
	sockets := make([]*socket, b.connects)
	defer resetAll(sockets)
	r := &row{name: name, count: b.connects, delays: make([]time.Duration, b.connects)}
	err = b.profiled(node, r.name, 1, func() error {
		m, err := b.meter(node)
		if err != nil {
			return err
		}
		err = inParallel(b.connects, b.parallel, func(i int) (err error) {
			begun := time.Now()
			sockets[i], err = dial(node.Addr)
			r.delays[i] = time.Since(begun)
			return err
		})
		if err != nil {
			return err
		}
		r.usage, err = m.stop(1)
		return err
	})
	slices.Sort(r.delays)
	return b.note(r, err)
}

// publisher is a service that pushes to sessions.
type publisher struct {
	service *bus.Service
	sent    atomic.Int64
	failed  atomic.Int64
	lastErr atomic.Pointer[error]
	waiting sync.WaitGroup
}

func (b *bench) publisher() (*publisher, error) {
	nc, err := b.connect("bench-publisher")
	if err != nil {
		return nil, err
	}
	service, err := bus.NewService(nc, bus.ServiceConfig{Name: "bench"})
	if err != nil {
		return nil, err
	}
	b.ends = append(b.ends, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		return service.Stop(ctx)
	})
	return &publisher{service: service}, nil
}

// push stores a message for a session. It waits for room in the window.
func (p *publisher) push(ctx context.Context, sid, mid string) error {
	m, err := p.service.NewMessage(sid+"@client:/", map[string]string{"text": pad})
	if err != nil {
		return err
	}
	m.Mid = mid
	p.waiting.Add(1)
	p.sent.Add(1)
	err = p.service.PushAsync(ctx, sid, m, func(err error) {
		if err != nil {
			p.failed.Add(1)
			p.lastErr.Store(&err)
		}
		p.waiting.Done()
	})
	if err != nil {
		p.waiting.Done()
	}
	return err
}

// wait returns when the store has answered for every push.
func (p *publisher) wait() error {
	p.waiting.Wait()
	if n := p.failed.Load(); n > 0 {
		return fmt.Errorf("%d pushes were not stored: %w", n, *p.lastErr.Load())
	}
	return nil
}

// push: a service pushes to one of many sessions, at random.
func push(ctx context.Context, b *bench) error {
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	p, err := b.publisher()
	if err != nil {
		return err
	}
	return b.pushes(ctx, "push", node, dial, p.push, p.wait)
}

// pushes measures messages to one of many clients. send sends one, done returns
// when all of them were taken.
func (b *bench) pushes(ctx context.Context, name string, node *harness.Node, dial dialer,
	send func(ctx context.Context, id, mid string) error, done func() error) error {
	sockets, err := b.fleet(node.Addr, b.sessions, dial)
	defer resetAll(sockets)
	if err != nil {
		return err
	}
	for _, rate := range b.rates {
		if err := b.note(b.pushed(ctx, name+", "+thousands(rate)+"/s", node, sockets, rate, send, done)); err != nil {
			return err
		}
	}
	return nil
}

// pushed measures messages at a rate to these clients.
func (b *bench) pushed(ctx context.Context, name string, node *harness.Node, sockets []*socket, rate int,
	send func(ctx context.Context, id, mid string) error, done func() error) (*row, error) {
	t := &traffic{}
	tag := b.tag()
	for _, s := range sockets {
		t.streams = append(t.streams, &stream{to: s, mark: inMid(tag)})
	}
	feed := func(stop <-chan struct{}) error {
		err := t.feed(rate, stop, func(s *stream) error {
			return send(ctx, s.to.id, tag+strconv.FormatUint(s.number(), 10))
		})
		return errors.Join(err, done())
	}
	return b.observe(ctx, name, t, feed, node)
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// feed keeps to the rate: each time it wakes it sends what is due, to streams
// at random.
func (t *traffic) feed(rate int, stop <-chan struct{}, send func(s *stream) error) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	begun, done := time.Now(), 0
	for {
		select {
		case <-tick.C:
		case <-stop:
			return nil
		}
		for due := int(time.Since(begun).Seconds() * float64(rate)); done < due && !t.stopped.Load(); done++ {
			if err := send(t.streams[rand.IntN(len(t.streams))]); err != nil {
				return err
			}
		}
	}
}

// metric reads one value from a node's metrics.
func metric(node *harness.Node, name string) (float64, error) {
	body, err := harness.Get(node.AdminHTTP("/metrics"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(body) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			return strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

var errParked = errors.New("not all sessions are parked")

// parked waits until a node has parked so many sessions since it started.
func parked(ctx context.Context, node *harness.Node, n int) error {
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	return harness.Until(ctx, func() error {
		have, err := metric(node, `hydrant_session_events_total{what="parked"}`)
		if err == nil && int(have) < n {
			err = fmt.Errorf("%w: %.0f of %d", errParked, have, n)
		}
		return err
	})
}
