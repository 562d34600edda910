package wire

import "sync/atomic"

// Stats are the counters of a server since its start, and its gauges.
type Stats struct {
	Connections int64 // sockets now, whatever their state
	Upgraded    int64 // of these, WebSocket connections after Handler.Open
	Plain       int64 // of these, plain HTTP
	Waiting     int64 // tasks in the loops' inboxes
	Buffered    int64 // bytes of partial messages and queued output, buffers from 4 KiB

	Accepted    uint64 // sockets
	Upgrades    uint64
	MessagesIn  uint64
	MessagesOut uint64 // frames queued by Send
	BytesIn     uint64
	BytesOut    uint64
	Reads       uint64 // system calls, or their counterpart
	Writes      uint64
	Stalls      uint64
	InboxFull   uint64           // tasks that found an inbox at its bound
	Drops       [NumDrops]uint64 // by Drop
}

// counters are a loop's own, and published once an iteration: an atomic add for
// each event would cost more than the event.
type counters struct {
	accepted, upgrades, messagesIn, messagesOut uint64
	bytesIn, bytesOut, reads, writes, stalls    uint64
	upgraded                                    int64
	drops                                       [numDrops]uint64
}

// loopStats are the published counters of a loop. Any goroutine may read them.
type loopStats struct {
	accepted, upgrades, messagesIn, messagesOut atomic.Uint64
	bytesIn, bytesOut, reads, writes, stalls    atomic.Uint64
	upgraded                                    atomic.Int64
	drops                                       [numDrops]atomic.Uint64
}

func (s *loopStats) publish(l *Loop) {
	c := &l.count
	set := func(a *atomic.Uint64, v uint64) {
		if a.Load() != v { // a store costs a fence, a load does not
			a.Store(v)
		}
	}
	set(&s.accepted, c.accepted)
	set(&s.upgrades, c.upgrades)
	set(&s.messagesIn, c.messagesIn)
	set(&s.messagesOut, c.messagesOut)
	set(&s.bytesIn, c.bytesIn)
	set(&s.bytesOut, c.bytesOut)
	set(&s.reads, c.reads)
	set(&s.writes, c.writes)
	set(&s.stalls, c.stalls)
	if s.upgraded.Load() != c.upgraded {
		s.upgraded.Store(c.upgraded)
	}
	for i := range c.drops {
		set(&s.drops[i], c.drops[i])
	}
}

// Stats returns counters and gauges, at most one iteration old.
func (s *Server) Stats() Stats {
	t := Stats{
		Connections: s.sockets.Load(),
		Plain:       s.plain.open(),
		Buffered:    s.memory.used.Load(),
	}
	for i := range s.drops {
		t.Drops[i] = s.drops[i].Load()
	}
	for _, l := range s.loops {
		p := &l.stats
		t.Upgraded += p.upgraded.Load()
		t.Accepted += p.accepted.Load()
		t.Upgrades += p.upgrades.Load()
		t.MessagesIn += p.messagesIn.Load()
		t.MessagesOut += p.messagesOut.Load()
		t.BytesIn += p.bytesIn.Load()
		t.BytesOut += p.bytesOut.Load()
		t.Reads += p.reads.Load()
		t.Writes += p.writes.Load()
		t.Stalls += p.stalls.Load()
		t.Waiting += l.inbox.size.Load()
		t.InboxFull += l.inbox.refused.Load()
		for i := range p.drops {
			t.Drops[i] += p.drops[i].Load()
		}
	}
	return t
}
