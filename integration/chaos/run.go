package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus"
	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// run is one run. Each thing that it starts, or writes down, has a method.
type run struct {
	// Immutable after start.
	cfg     Config
	h       *history.Writer
	servers *harness.NATS
	nodes   []*node
	clients []*client
	nc      *nats.Conn
	js      jetstream.JetStream
	service *bus.Service // answers, and pushes

	network *harness.Network // nil: all on loopback
	admins  []*nats.Conn     // one to each server, and to that alone
	secret  secret
	dir     string // for the password, for copies of stores, for the clocks
	binary  string // of the nodes; "": the one of the harness

	batches sync.WaitGroup // messages that were sent without waiting
	waiting sync.WaitGroup // late requests
	calls   calls          // of managed clients

	asked   atomic.Int64 // for sessions
	askedAt atomic.Int64 // when one was last, Unix ns
	lost    atomic.Int64 // sockets that ended
	spares  atomic.Int64 // sockets that were opened to ask later
	conns   atomic.Int64 // numbers of sockets
	mids    atomic.Int64
	seen    seen
}

// seen is what has been delivered to anybody, for the wait at the end.
type seen struct {
	mu      sync.Mutex
	mids    map[string]time.Time // when it came first
	answers map[string]string    // to the question, which has its outcome if it is among mids
}

func (s *seen) add(mid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.mids[mid]; !again {
		s.mids[mid] = time.Now()
	}
}

// answer notes that a message answers another one. Where that was asked twice, nobody sees
// the second answer.
func (s *seen) answer(mid, question string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[mid] = question
}

func (s *seen) has(mid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, came := s.mids[mid]
	_, settled := s.mids[s.answers[mid]]
	return came || settled
}

// at is when it came; false: it has not.
func (s *seen) at(mid string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.mids[mid]
	return at, ok
}

// Run performs a run and writes its history. The error says that the run could
// not be made, never what came of it.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.direct(); err != nil {
		return err
	}
	cfg.defaults()
	r := &run{cfg: cfg, h: history.NewWriter(cfg.History), seen: seen{mids: make(map[string]time.Time), answers: make(map[string]string)}}
	err := r.start(ctx)
	if err == nil {
		err = r.play(ctx)
	}
	return errors.Join(err, r.stop(), r.h.Flush())
}

// frontOf is the node that clients reach at an address.
func (r *run) frontOf(address string) *node {
	for _, n := range r.nodes {
		if address == n.front.Addr() || address == n.process.Addr {
			return n
		}
	}
	return nil
}

// random is a source of its own for each actor, so that one actor's choices
// do not depend on how the others are scheduled.
func (r *run) random(actor string) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, c := range []byte(actor) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(r.cfg.Seed, h))
}

// start brings everything up.
func (r *run) start(ctx context.Context) error {
	if err := r.startServers(ctx); err != nil {
		return err
	}
	for i := range r.cfg.Nodes {
		n, err := r.startNode(ctx, i)
		if err != nil {
			return err
		}
		r.nodes = append(r.nodes, n)
	}
	var err error
	if r.nc, err = bus.Connect(bus.Config{URL: r.servers.URL()}, "chaos", r.login()...); err != nil {
		return err
	}
	if r.js, err = jetstream.New(r.nc); err != nil {
		return err
	}
	if err := r.startService(); err != nil {
		return err
	}
	start := history.Event{Kind: history.Start, Seed: r.cfg.Seed, Bounds: bounds(r.cfg.Clients + lateComers)}
	if r.cfg.Queue < roomyQueue {
		start.Limit = r.cfg.Queue
	}
	r.h.Add(start)
	late := 0
	if r.network != nil {
		late = lateComers
	}
	for i := range calmClients + r.cfg.Clients + late {
		c := newClient(r, i)
		if i < calmClients+r.cfg.Clients {
			c.begin()
		}
		r.clients = append(r.clients, c)
	}
	return nil
}

// play lets the clients, the publishers and the faults loose, and ends when
// everything has drained, or does not.
func (r *run) play(ctx context.Context) error {
	var clients, publishers sync.WaitGroup
	living, stopClients := context.WithCancel(ctx)
	defer func() {
		stopClients()
		clients.Wait()
	}()
	for _, c := range r.clients {
		clients.Go(func() { c.live(living) })
	}
	clients.Go(func() { r.sample(living) })
	if err := r.waitForSessions(ctx); err != nil {
		return err
	}

	publishing, stopPublishers := context.WithCancel(ctx)
	defer stopPublishers()
	for i := range publisherCount {
		publishers.Go(func() { r.publish(publishing, i) })
	}
	if err := r.harm(ctx); err != nil {
		return err
	}
	if err := r.heal(ctx); err != nil {
		if !errors.Is(err, errNotReady) {
			return err
		}
		// It is judged: the faults are over, and the node is not back.
		why, _, _ := strings.Cut(err.Error(), "\n") // the node's log follows
		r.cfg.Log("%v", err)
		r.h.Add(history.Event{Kind: history.Broken, Node: "a node", Why: why})
		r.h.Add(history.Event{Kind: history.End})
		return nil
	}
	for _, c := range r.clients {
		c.begin()
	}
	if err := r.waitForSessions(ctx); err != nil {
		return err
	}
	stopPublishers()
	publishers.Wait()
	r.batches.Wait()
	r.quieten()
	// An answer that has to be sent again may be stored seconds from now.
	if err := r.stopService(); err != nil {
		return err
	}
	r.h.Add(history.Event{Kind: history.Heal})
	r.drain(ctx)
	held, err := r.dump(ctx)
	if err != nil {
		return err
	}
	r.settle(ctx, held)
	r.h.Add(history.Event{Kind: history.End})
	return nil
}

// quieten has clients send nothing more, and returns when each call has its outcome.
func (r *run) quieten() {
	for _, c := range r.clients {
		c.quiet.Store(true)
	}
	r.calls.wait()
}

// waitForSessions returns when every client that has begun has one.
func (r *run) waitForSessions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	return harness.Until(ctx, func() error {
		for _, c := range r.clients {
			if c.session() == "" && c.hasBegun() {
				return fmt.Errorf("chaos: client %s has no session", c.name)
			}
		}
		return nil
	})
}

// stop ends everything that start and play have left.
func (r *run) stop() error {
	var errs []error
	if r.service != nil {
		errs = append(errs, r.stopService())
	}
	if r.nc != nil {
		r.nc.Close()
	}
	for _, n := range r.nodes {
		n.stop()
	}
	r.waiting.Wait()
	return errors.Join(append(errs, r.stopServers())...)
}

// stopService returns when the store has taken all that the service answers.
func (r *run) stopService() error {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	return r.service.Stop(ctx)
}

// newMid makes a message id; the prefix says who sent it.
func (r *run) newMid(source string) string {
	return fmt.Sprintf("%s-%d", source, r.mids.Add(1))
}

// nap waits for d or until ctx ends; it paces, and proves nothing.
func nap(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
