package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hydrant/integration/harness"
)

// flow is one sender and one receiver with a bounded number of messages
// between them.
type flow struct {
	from, to *peer
	address  string // of the message
	extra    string // further fields of it
}

// outcome is what flows achieved together.
type outcome struct {
	count   int
	elapsed time.Duration
	delays  []time.Duration
}

// pump runs flows for a while: each message that arrives makes room for the
// next. limit, if not nil, bounds the rate of all of them together.
func pump(ctx context.Context, flows []flow, inFlight int, d time.Duration, limit *rate.Limiter) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	defer cancel()
	var mu sync.Mutex
	var total outcome
	var failure error
	var group sync.WaitGroup
	started := time.Now()
	for _, f := range flows {
		group.Go(func() {
			delays, err := f.run(ctx, inFlight, started.Add(d), limit)
			mu.Lock()
			defer mu.Unlock()
			total.count += len(delays)
			total.delays = append(total.delays, delays...)
			if err != nil {
				failure = err
			}
		})
	}
	group.Wait()
	total.elapsed = time.Since(started)
	slices.Sort(total.delays)
	return total, failure
}

func (f flow) run(ctx context.Context, inFlight int, until time.Time, limit *rate.Limiter) ([]time.Duration, error) {
	sent := make(chan time.Time, inFlight)
	room := make(chan struct{}, inFlight)
	failed := make(chan error, 1)
	go func() {
		defer close(sent)
		for n := 0; time.Now().Before(until); n++ {
			if limit != nil && limit.Wait(ctx) != nil {
				return
			}
			room <- struct{}{}
			sent <- time.Now()
			if err := f.from.send(ctx, message(f.address, f.from.id, f.extra, n)); err != nil {
				failed <- err
				return
			}
		}
	}()
	var delays []time.Duration
	for at := range sent {
		if err := f.to.read(ctx); err != nil {
			return delays, fmt.Errorf("after %d messages: %w", len(delays), err)
		}
		delays = append(delays, time.Since(at))
		<-room
	}
	select {
	case err := <-failed:
		return delays, err
	default:
		return delays, nil
	}
}

func (o outcome) percentile(p int) time.Duration {
	if len(o.delays) == 0 {
		return 0
	}
	return o.delays[min(len(o.delays)-1, len(o.delays)*p/100)]
}

// measure runs flows and reports rate, delays and CPU for each message.
func measure(ctx context.Context, w *world, r *report, name, goal string, flows []flow, o options, inFlight int, limit *rate.Limiter) error {
	m, err := newMeter(w.a.PID(), w.b.PID(), w.nats.Servers[0].PID())
	if err != nil {
		return err
	}
	got, err := pump(ctx, flows, inFlight, o.duration, limit)
	if err != nil {
		return err
	}
	used, err := m.used()
	if err != nil {
		return err
	}
	r.add(name+": messages/s", fmt.Sprintf("%.0f", float64(got.count)/got.elapsed.Seconds()), "")
	r.add(name+": delay p50, p99", fmt.Sprintf("%v, %v", got.percentile(50).Round(time.Microsecond), got.percentile(99).Round(time.Microsecond)), "")
	r.add(name+": edge CPU a message", perMessage(used[0]+used[1], got.count), goal)
	r.add(name+": NATS CPU a message", perMessage(used[2], got.count), "")
	return nil
}

// loopback is n clients on a node that each talk to an address.
func loopback(ctx context.Context, node *harness.Node, n int, address string, extra string) ([]*peer, []flow, error) {
	peers, err := dialAll(ctx, node.URL("/"), n)
	if err != nil {
		return peers, nil, err
	}
	var flows []flow
	for _, p := range peers {
		flows = append(flows, flow{p, p, address, extra})
	}
	return peers, flows, nil
}

func ping(ctx context.Context, w *world, o options, r *report) error {
	peers, err := dialAll(ctx, w.a.URL("/"), o.clients)
	defer hangUp(peers)
	if err != nil {
		return err
	}
	var flows []flow
	for _, p := range peers {
		flows = append(flows, flow{p, p, "hydra-router:/", `,"type":"ping"`})
	}
	return measure(ctx, w, r, "ping to pong", "Hydra 40-47 µs", flows, o, o.inFlight, nil)
}

func service(ctx context.Context, w *world, o options, r *report) error {
	peers, flows, err := loopback(ctx, w.a, o.clients, "echo:/", "")
	defer hangUp(peers)
	if err != nil {
		return err
	}
	return measure(ctx, w, r, "client to service to client", "Hydra 58-86 µs", flows, o, o.inFlight, nil)
}

func serviceAtRate(ctx context.Context, w *world, o options, r *report) error {
	peers, flows, err := loopback(ctx, w.a, o.clients, "echo:/", "")
	defer hangUp(peers)
	if err != nil {
		return err
	}
	return measure(ctx, w, r, "the same at 2,000/s", "≤ 97 µs", flows, o, o.inFlight, rate.NewLimiter(2000, 20))
}

func clientToClient(ctx context.Context, w *world, o options, r *report) error {
	for _, two := range []bool{false, true} {
		name, other := "client to client, one node", w.a
		if two {
			name, other = "client to client, two nodes", w.b
		}
		from, err := dialAll(ctx, w.a.URL("/"), o.clients/2)
		defer hangUp(from)
		if err != nil {
			return err
		}
		to, err := dialAll(ctx, other.URL("/"), o.clients/2)
		defer hangUp(to)
		if err != nil {
			return err
		}
		var flows []flow
		for i := range from {
			flows = append(flows, flow{from[i], to[i], to[i].id + "@client:/", ""})
		}
		if err := measure(ctx, w, r, name, "Hydra 40-103 µs", flows, o, o.inFlight, nil); err != nil {
			return err
		}
	}
	return nil
}
