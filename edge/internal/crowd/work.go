package crowd

import (
	"context"

	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

// work reads what is to be read, one partition after the other.
func (c *Crowd) work() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.running = false
			c.mu.Unlock()
			return
		}
		i := c.queue[0]
		c.queue = c.queue[1:]
		p := c.of(i)
		c.mu.Unlock()
		end := c.readOn(i, p)
		c.source.Ended(end)
		c.finish(p, end)
	}
}

// readOn reads pieces until nobody who waits needs more. Until it is over there is no
// other pass of the partition.
func (c *Crowd) readOn(i int, p *partition) stats.PassEnd {
	for {
		from, ok := c.next(p)
		if !ok {
			return stats.PassVoid
		}
		ctx, cancel := context.WithTimeout(c.source.Stopped, patience)
		piece, err := c.source.Read(ctx, i, from, pieceLimit, pieceBytes)
		cancel()
		if err != nil {
			return stats.PassFailed
		}
		for i := range piece.Msgs { // before the lock is taken: they came with their headers
			piece.Msgs[i].Payload = append([]byte(nil), piece.Msgs[i].Payload...)
		}
		if end, done := c.take(p, &piece); done {
			return end
		}
	}
}

// next is where the next piece begins; false: the pass is void.
func (c *Crowd) next(p *partition) (from uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.pass == nil || p.pass.epoch != c.source.Epoch() {
		return 0, false
	}
	return p.pass.next(), true
}

// take takes a piece, and reports whether the pass is over.
func (c *Crowd) take(p *partition, piece *store.Piece) (end stats.PassEnd, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.pass == nil || p.pass.epoch != c.source.Epoch() {
		return stats.PassVoid, true
	}
	before := p.pass.last
	size := 0
	for i := range piece.Msgs {
		size += sizeOf(&piece.Msgs[i].Stored)
	}
	if c.bytes+size > c.limit || c.source.Short() {
		return stats.PassFull, true
	}
	c.bytes += p.pass.add(piece)
	if !piece.More || p.pass.last == before {
		return stats.PassRead, true
	}
	goal := p.goal
	for _, q := range p.waiting {
		goal = max(goal, q.To)
	}
	return stats.PassRead, p.pass.last >= goal
}

// finish answers all who have waited.
func (c *Crowd) finish(p *partition, end stats.PassEnd) {
	c.mu.Lock()
	waiting := p.waiting
	p.waiting, p.due = nil, false
	answers := make([]Found, len(waiting))
	for i := range waiting {
		q := &waiting[i]
		answers[i] = c.deal(p, q)
		switch end {
		case stats.PassFailed:
			p.rest = max(p.rest, q.Now+pause)
		case stats.PassFull:
			p.rest = max(p.rest, q.Now+fullPause)
		}
	}
	if end == stats.PassFailed || end == stats.PassVoid {
		c.forget(p)
	}
	c.mu.Unlock()
	for i, q := range waiting {
		q.Answer(answers[i])
	}
}
