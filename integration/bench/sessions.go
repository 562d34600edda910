package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"hydrant/bus"
	"hydrant/umf"
)

func connect(ctx context.Context, w *world, o options, r *report) error {
	m, err := newMeter(w.a.PID(), w.nats.Servers[0].PID())
	if err != nil {
		return err
	}
	started := time.Now()
	peers, err := dialAll(ctx, w.a.URL("/"), o.sessions)
	defer hangUp(peers)
	if err != nil {
		return err
	}
	elapsed := time.Since(started)
	used, err := m.used()
	if err != nil {
		return err
	}
	r.add("connect: sessions/s", fmt.Sprintf("%.0f", float64(o.sessions)/elapsed.Seconds()), "")
	r.add("connect: edge CPU a session", perMessage(used[0], o.sessions), "≤ 100 µs")
	r.add("connect: NATS CPU a session", perMessage(used[1], o.sessions), "")
	return nil
}

// store opens the mailboxes as a service does.
func (w *world) store(ctx context.Context) (*bus.Store, error) {
	return bus.OpenStore(ctx, w.nc, bus.MailboxConfig{})
}

func push(ctx context.Context, w *world, o options, r *report) error {
	store, err := w.store(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	peers, err := dialAll(ctx, w.a.URL("/"), o.sessions)
	defer hangUp(peers)
	if err != nil {
		return err
	}
	var got atomic.Int64
	for _, p := range peers {
		go func() {
			for p.read(ctx) == nil {
				got.Add(1)
			}
		}()
	}
	for _, perSecond := range []int{2000, 20000} {
		if err := pushAt(ctx, w, store, peers, perSecond, o.duration, &got, r); err != nil {
			return err
		}
	}
	return nil
}

func pushAt(ctx context.Context, w *world, store *bus.Store, peers []*peer, perSecond int, d time.Duration, got *atomic.Int64, r *report) error {
	m, err := newMeter(w.a.PID(), w.nats.Servers[0].PID())
	if err != nil {
		return err
	}
	before := got.Load()
	limit := rate.NewLimiter(rate.Limit(perSecond), perSecond/100)
	var failed atomic.Int64
	accepted := 0
	started := time.Now()
	for n := 0; time.Since(started) < d; n++ {
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		to := peers[n%len(peers)].id
		out := bus.Outgoing{Payload: []byte(message(to+"@client:/", "bench", "", n))}
		err := store.PublishAsync(to, out, func(_ uint64, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
		if err == nil {
			accepted++
		}
	}
	elapsed := time.Since(started)
	deadline := time.Now().Add(20 * time.Second)
	for got.Load()-before < int64(accepted)-failed.Load() && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond) // a measurement, not a test: the count is checked below
	}
	used, err := m.used()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("push at %d/s", perSecond)
	r.add(name+": messages/s", fmt.Sprintf("%.0f", float64(accepted)/elapsed.Seconds()), "")
	r.add(name+": edge CPU a message", perMessage(used[0], accepted), "≤ 18-21 µs at 20,000/s")
	r.add(name+": NATS CPU a message", perMessage(used[1], accepted), "")
	r.add(name+": lost", fmt.Sprint(int64(accepted)-failed.Load()-(got.Load()-before)), "0")
	return nil
}

func resume(ctx context.Context, w *world, o options, r *report) error {
	if err := resumeMany(ctx, w, o.sessions, 100, r); err != nil {
		return err
	}
	return resumeMany(ctx, w, 5*o.sessions, 10, r)
}

// resumeMany moves sessions with queued messages to the other node.
func resumeMany(ctx context.Context, w *world, sessions, queued int, r *report) error {
	store, err := w.store(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	old, err := dialAll(ctx, w.a.URL("/"), sessions)
	hangUp(old)
	if err != nil {
		return err
	}
	if err := fill(store, old, queued); err != nil {
		return err
	}
	fresh, err := dialAll(ctx, w.b.URL("/"), sessions)
	defer hangUp(fresh)
	if err != nil {
		return err
	}
	m, err := newMeter(w.b.PID(), w.nats.Servers[0].PID())
	if err != nil {
		return err
	}
	var lost, disordered, repeated atomic.Int64
	var group sync.WaitGroup
	started := time.Now()
	for i, p := range fresh {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			l, d, rep := p.takeOver(ctx, old[i].id, queued)
			lost.Add(int64(l))
			disordered.Add(int64(d))
			repeated.Add(int64(rep))
		})
	}
	group.Wait()
	elapsed := time.Since(started)
	used, err := m.used()
	if err != nil {
		return err
	}
	name, goal := fmt.Sprintf("resume %d × %d", sessions, queued), ""
	if queued == 100 {
		goal = "≤ 735 ms"
	}
	r.add(name+": total", elapsed.Round(time.Millisecond).String(), goal)
	r.add(name+": edge CPU a session", perMessage(used[0], sessions), "")
	r.add(name+": NATS CPU a session", perMessage(used[1], sessions), "")
	r.add(name+": lost, out of order, repeated", fmt.Sprintf("%d, %d, %d", lost.Load(), disordered.Load(), repeated.Load()), "0, 0, 0")
	return nil
}

// fill stores messages for sessions that are away.
func fill(store *bus.Store, peers []*peer, queued int) error {
	var group sync.WaitGroup
	var failed atomic.Int64
	slots := make(chan struct{}, 2048)
	for n := range queued {
		for _, p := range peers {
			slots <- struct{}{}
			group.Add(1)
			out := bus.Outgoing{Payload: []byte(message(p.id+"@client:/", "bench", "", n))}
			if err := store.PublishAsync(p.id, out, func(_ uint64, err error) {
				if err != nil {
					failed.Add(1)
				}
				<-slots
				group.Done()
			}); err != nil {
				return err
			}
		}
	}
	group.Wait()
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%d messages were not stored", n)
	}
	return nil
}

// takeOver resumes a session and reads its queue.
func (p *peer) takeOver(ctx context.Context, id string, queued int) (lost, disordered, repeated int) {
	request := fmt.Sprintf(`{"to":"hydra-router:/","frm":"%s@client:/","typ":"reconnect","bdy":{"id":"%s"}}`, p.id, id)
	if p.send(ctx, request) != nil {
		return queued, 0, 0
	}
	if got, err := p.welcome(ctx); err != nil || got != id {
		return queued, 0, 0
	}
	seen := make([]bool, queued)
	next := 0
	for count := 0; count < queued; {
		if p.read(ctx) != nil {
			break
		}
		text, _ := p.env.Text(umf.Mid, nil)
		n, err := strconv.Atoi(strings.TrimPrefix(string(text), "m"))
		switch {
		case err != nil || n < 0 || n >= queued:
			continue
		case seen[n]:
			repeated++
			continue
		case n != next:
			disordered++
		}
		seen[n] = true
		next = n + 1
		count++
	}
	for _, s := range seen {
		if !s {
			lost++
		}
	}
	return lost, disordered, repeated
}

func idle(ctx context.Context, w *world, o options, r *report) error {
	before, err := private(w.a.PID())
	if err != nil {
		return err
	}
	peers, err := dialAll(ctx, w.a.URL("/"), o.idle)
	defer hangUp(peers)
	if err != nil {
		return err
	}
	after, err := private(w.a.PID())
	if err != nil {
		return err
	}
	r.add(fmt.Sprintf("idle: memory a session (%d, right after connecting)", o.idle), fmt.Sprintf("%.1f KiB", float64(after-before)/float64(o.idle)/1024), "≤ 2 KB")
	return nil
}

// private is the anonymous resident memory of a process (RssAnon), in bytes.
func private(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), "RssAnon:")
	if !found {
		return 0, fmt.Errorf("/proc/%d/status has no RssAnon", pid)
	}
	var kb int64
	_, err = fmt.Sscan(rest, &kb)
	return kb << 10, err
}
