package crowd

import (
	"context"
	"sync"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

const (
	// Bytes is what all passes of a node keep at the most.
	Bytes = 64 << 20
	// pieceLimit and pieceBytes bound one piece: a server stores nothing in the stream
	// while it gives one.
	pieceLimit = 8192
	pieceBytes = 8 << 20
	// patience bounds the wait for one piece.
	patience = 2 * time.Second
	// unused is for how long a pass is kept that nobody asks.
	unused = 5 * time.Second
	// pause is how long no pass is begun after one that has failed, and fullPause after
	// one that had no room.
	pause     = 5 * time.Second
	fullPause = time.Minute
)

// Source is where passes come from.
type Source struct {
	// Read reads a piece; see [store.Store.ReadPiece].
	Read func(ctx context.Context, partition int, from uint64, limit, maxBytes int) (store.Piece, error)
	// Stopped ends when the node has stopped.
	Stopped context.Context
	// Run runs a job that waits, on another goroutine. False: there are too many.
	Run func(job func()) bool
	// Epoch is that of the connection to NATS.
	Epoch func() uint64
	// Ended is told of each reading.
	Ended func(stats.PassEnd)
	// Short reports whether the node is short of memory.
	Short func() bool
}

// Question asks for what follows in a mailbox.
type Question struct {
	SID       scheme.SID
	Partition int
	Epoch     uint64 // of the connection, as who asks has noticed it
	After, To uint64 // the position, and the message to reach
	Now       time.Duration
	Orphan    bool // the node that had the session has died
	// Answer is called once, on any goroutine, if the reply is Later. Without it who
	// asks reads by itself, and is counted.
	Answer func(Found)
}

// Found is what a pass has for a session.
type Found struct {
	// Msgs are those of its mailbox, in order, and so that each follows the one before
	// it. The first one is at the position or, where that is no message, before it.
	// Empty: not all is there that was asked for.
	Msgs []store.Stored
	// Witness is a message that has to be in the mailbox still, as it was, or some
	// may have been dropped that are between the others; 0: none has to.
	Witness     uint64
	WitnessTime int64 // when it was stored, Unix ns
}

// Reply is what becomes of a question.
type Reply uint8

const (
	Alone Reply = iota // the session reads by itself
	Here               // what it asks for is returned
	Later              // they come when the pass has got there
)

// Crowd is the passes of a node. Safe for concurrent use.
type Crowd struct {
	source Source // immutable
	limit  int    // bytes; immutable

	// Guarded by mu.
	mu         sync.Mutex
	partitions map[int]*partition
	rush       rush
	bytes      int   // of all passes
	queue      []int // partitions that are to be read
	running    bool  // the queue is being worked off
}

// partition is what there is of one.
type partition struct {
	readings
	pass    *pass         // nil: none
	waiting []Question    // not empty only if it is to be read, or is being read
	due     bool          // it is to be read, or is being read
	begin   uint64        // the lowest position that the pass serves
	goal    uint64        // how far it is to be read at least
	rest    time.Duration // when a pass may be begun again
}

// New returns one that keeps at most so many bytes.
func New(limit int, source Source) *Crowd {
	return &Crowd{source: source, limit: limit, partitions: make(map[int]*partition)}
}

// Ask asks for what follows in a mailbox.
func (c *Crowd) Ask(q Question) (Reply, Found) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.of(q.Partition)
	if q.Answer != nil {
		if found := c.deal(p, &q); len(found.Msgs) > 0 {
			return Here, found
		}
	}
	if !p.due {
		p.add(q.After, q.To, c.rush.messages, q.Now)
		c.consider(p, &q, c.rush.add(q.Orphan, q.Now))
	}
	if p.due && q.After >= p.begin && q.Answer != nil {
		p.waiting = append(p.waiting, q)
		return Later, Found{}
	}
	return Alone, Found{}
}

// Has reports whether there is a pass of a partition, or will be.
func (c *Crowd) Has(partition int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.of(partition)
	return p.pass != nil || p.due
}

// Took tells how many messages a session has read by itself.
func (c *Crowd) Took(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rush.took(n)
}

// of returns a partition. Caller holds mu, as in all that follows.
func (c *Crowd) of(i int) *partition {
	p := c.partitions[i]
	if p == nil {
		p = new(partition)
		c.partitions[i] = p
	}
	return p
}

// deal takes what a question asks for out of the pass.
func (c *Crowd) deal(p *partition, q *Question) (found Found) {
	if p.pass == nil || p.pass.epoch != q.Epoch {
		return Found{}
	}
	if found = p.pass.deal(q.SID, q.After, q.To); len(found.Msgs) > 0 {
		p.pass.used = max(p.pass.used, q.Now)
		before := p.pass.bytes
		p.pass.drop(q.SID)
		c.bytes += p.pass.bytes - before
	}
	return found
}

// consider has a pass read if that is worth it, as each session counts for so many.
func (c *Crowd) consider(p *partition, q *Question, times time.Duration) {
	if c.source.Short() || q.Epoch != c.source.Epoch() {
		return
	}
	from, ok := p.worth(p.pass, times)
	goesOn := p.pass != nil && p.pass.epoch == q.Epoch && p.pass.goesOn(from)
	switch {
	case !ok, q.Now < p.rest && !goesOn, c.bytes > c.limit/4*3:
		return
	case !c.running && !c.source.Run(c.work):
		return
	case !goesOn:
		c.forget(p)
		p.pass = &pass{epoch: q.Epoch, from: from, boxes: make(map[scheme.SID]box)}
	}
	c.running = true
	p.list = nil
	p.due, p.begin, p.goal = true, p.pass.from, p.last
	p.pass.used = q.Now
	c.queue = append(c.queue, q.Partition)
}

// forget drops the pass of a partition.
func (c *Crowd) forget(p *partition) {
	if p.pass != nil {
		c.bytes -= p.pass.bytes
		p.pass = nil
	}
}

// Void forgets all passes: the connection to NATS is lost.
func (c *Crowd) Void() { c.void(func(int) bool { return true }) }

// VoidPartition forgets the pass of one partition: its stream has a new leader.
func (c *Crowd) VoidPartition(i int) { c.void(func(j int) bool { return i == j }) }

// Drop forgets all passes, for lack of memory, and returns what they took.
func (c *Crowd) Drop() int {
	bytes, _ := c.Held()
	c.Void()
	return bytes
}

func (c *Crowd) void(of func(int) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.partitions {
		if of(i) {
			p.list, p.last = nil, 0
			c.forget(p)
		}
	}
}

// Tidy forgets passes that nobody has asked for a while.
func (c *Crowd) Tidy(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.partitions {
		if p.pass != nil && !p.due && now-p.pass.used > unused {
			c.forget(p)
		}
	}
}

// Held is what all passes take, and how many sessions wait for one.
func (c *Crowd) Held() (bytes, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.partitions {
		waiting += len(p.waiting)
	}
	return c.bytes, waiting
}
