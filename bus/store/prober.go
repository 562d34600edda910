package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

const (
	// probeEvery is the least time between two probes of a node, so there are five
	// a second at the most, however many ask.
	probeEvery = 200 * time.Millisecond
	// probeSoon is the same where somebody asks for a session that is there: ids that
	// are made up must not make it wait.
	probeSoon = 10 * time.Millisecond
	// probeTTL is how long a probe stays in the bucket: longer than it is used.
	probeTTL = time.Minute
)

// prober writes this node's probes into the directory: messages whose
// acknowledgement says that most of its servers have them, and whose sequence in
// another answer says that the server that answers has all that was acknowledged
// before.
type prober struct {
	// Immutable.
	nc    *nats.Conn
	key   string // a key of its own
	ctx   context.Context
	every time.Duration // probeEvery

	hurry   chan struct{} // next is wanted soon; takes one
	written atomic.Uint64

	// Guarded by mu.
	mu     sync.Mutex
	next   *probeRound // it has not been sent: who asks now may share it; nil: there is none
	busy   bool        // run is on its way
	closed bool
	runs   sync.WaitGroup // added to under mu while not closed

	// Owned by run.
	sent time.Time // when the last one was sent
}

// probeRound is one probe for all who ask at a time. The others are written before
// done is closed.
type probeRound struct {
	done chan struct{}
	sent time.Time
	seq  uint64
	err  error
}

func newProber(ctx context.Context, nc *nats.Conn) *prober {
	return &prober{nc: nc, ctx: ctx, key: scheme.ProbeKey(scheme.NewNodeID()), every: probeEvery, hurry: make(chan struct{}, 1)}
}

// probe is one that was sent after the call, and acknowledged.
func (p *prober) probe(ctx context.Context, soon bool) (*probeRound, error) {
	r, err := p.join(soon)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return r, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no probe was acknowledged: %w", jet.RequestError(ctx.Err()))
	}
}

// join returns the round that is yet to be sent.
func (p *prober) join(soon bool) (*probeRound, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if p.next == nil {
		p.next = &probeRound{done: make(chan struct{})}
	}
	if !p.busy {
		p.busy = true
		p.runs.Go(p.run)
	}
	if soon {
		select {
		case p.hurry <- struct{}{}:
		default:
		}
	}
	return p.next, nil
}

// run sends probes as long as one is waited for.
func (p *prober) run() {
	for {
		t := time.NewTimer(time.Until(p.sent.Add(p.every)))
		select {
		case <-t.C:
		case <-p.hurry:
			t.Reset(time.Until(p.sent.Add(probeSoon)))
			select {
			case <-t.C:
			case <-p.ctx.Done():
			}
		case <-p.ctx.Done():
		}
		t.Stop()
		p.mu.Lock()
		r := p.next
		p.next = nil
		select {
		case <-p.hurry: // whoever was in a hurry has it
		default:
		}
		p.busy = r != nil
		p.mu.Unlock()
		if r == nil {
			return
		}
		p.sent = time.Now()
		r.sent = p.sent
		r.seq, r.err = p.send()
		close(r.done)
	}
}

// send writes one probe, and tries once: who still wants to know asks again.
func (p *prober) send() (uint64, error) {
	if p.ctx.Err() != nil {
		return 0, ErrClosed
	}
	ctx, cancel := context.WithTimeout(p.ctx, jet.AttemptTimeout)
	defer cancel()
	p.written.Add(1)
	return jet.PublishAcked(ctx, p.nc, &nats.Msg{Subject: p.key, Header: nats.Header{
		jet.HeaderTTL: []string{jet.TTLSeconds(probeTTL)},
	}})
}

// close refuses new questions, and waits for run. The context has ended.
func (p *prober) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.runs.Wait()
}
