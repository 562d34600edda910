package egress

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrUnproved: NATS may have a message, or not.
var ErrUnproved = errors.New("egress: not known whether NATS has the message")

// proofTime is how long NATS may take to say that it has a message.
const proofTime = 5 * time.Second

// proofs finds out of messages whether NATS has them. It does so with one PING for all
// that were published meanwhile: a PONG comes behind what the server says of each, which
// is that nobody listens, or nothing.
type proofs struct {
	// Immutable.
	refused Refused         // nil: none
	keep    func(bytes int) // counts a message that waits
	drop    func(bytes int)
	ctx     context.Context
	cancel  context.CancelFunc
	ended   sync.WaitGroup

	// Owned by run.
	dropped int // of what was refused, when that was last looked at

	// Guarded by mu.
	mu      sync.Mutex
	waiting []unproved
	running bool
}

// unproved is a message that was published.
type unproved struct {
	on   Conn
	done func(uint64, error)
}

func newProofs(refused Refused, keep, drop func(int)) *proofs {
	p := &proofs{refused: refused, keep: keep, drop: drop}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// add waits for the proof of a message. What follows in the same batch has the same one.
func (p *proofs) add(on Conn, done func(uint64, error)) {
	p.keep(0)
	p.mu.Lock()
	p.waiting = append(p.waiting, unproved{on, done})
	p.mu.Unlock()
}

// begin asks NATS, unless it is being asked: then what was added is for the next time.
func (p *proofs) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 || p.running {
		return
	}
	p.running = true
	p.ended.Go(p.run)
}

// end lets go of what waits: there are no clients any more who could be told.
func (p *proofs) end() {
	p.cancel()
	p.ended.Wait()
}

// run asks until nothing waits.
func (p *proofs) run() {
	for {
		p.mu.Lock()
		list := p.waiting
		p.waiting = nil
		p.running = len(list) > 0
		p.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for len(list) > 0 { // each connection has what was published on it
			n := 1
			for n < len(list) && list[n].on == list[0].on {
				n++
			}
			p.ask(list[:n:n])
			list = list[n:]
		}
	}
}

// ask asks about messages of one connection.
func (p *proofs) ask(list []unproved) {
	ctx, cancel := context.WithTimeout(p.ctx, proofTime)
	err := list[0].on.FlushWithContext(ctx)
	cancel()
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnproved, err)
	} else if p.missed() {
		err = ErrUnproved
	}
	tell := func() {
		for _, m := range list {
			p.drop(0)
			m.done(0, err)
		}
	}
	if p.refused == nil || err != nil {
		tell()
		return
	}
	p.refused.Behind(tell)
}

// missed reports whether something was dropped that NATS has refused.
func (p *proofs) missed() bool {
	if p.refused == nil {
		return false
	}
	was := p.dropped
	p.dropped = p.refused.Dropped()
	return p.dropped != was
}
