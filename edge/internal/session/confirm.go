package session

// confirmation is what a client has, and how it says so. Positions are stream
// sequences.
type confirmation struct {
	written uint64 // the last message or gap that was written
	floor   uint64 // the last one that the client has confirmed; ≤ written
	seen    uint64 // newest message without TTL of which all before it is confirmed

	writtenTime int64 // when the store stored the message at written; 0: unknown, or a gap's
	floorTime   int64 // the same of floor
	seenTime    int64 // the same of seen
	barrierTime int64 // the same of what the outstanding ping confirms

	barrier uint64 // plain: token of the outstanding ping; 0: none
	sent    *sent  // acked: unconfirmed messages and gaps; nil: none
	rolled  int32  // acked: entries of sent up to the last rollback's gap, which may still have to be pushed; 0: confirmed

	epoch        uint8 // counts rollbacks, so that the barriers of different logs differ
	loose        bool  // the last thing written cannot serve as an anchor
	barrierLoose bool  // the same of the last thing that the outstanding ping confirms
}

// tokenBits is the part of a barrier's token that is the sequence. The rest
// tells logs apart: a pong that was on its way during a rollback confirms
// nothing of the new log.
const tokenBits = 56

// push counts a sequence as unconfirmed.
func (c *confirmation) push(seq uint64, at int64, loose bool) {
	if c.sent == nil {
		c.sent = sentPool.Get().(*sent)
	}
	c.sent.push(seq, at, loose)
}

// acked returns how many unconfirmed entries seq confirms.
func (c *confirmation) acked(seq uint64) int {
	n := 0
	for i := range c.sent.len() {
		entry, _, _ := c.sent.at(i)
		if c.rolled != 0 {
			if entry == seq {
				return i + 1
			}
			continue
		}
		if entry > seq {
			break
		}
		n = i + 1
	}
	return n
}

// settle sends a barrier if something was written since the last one came back.
func (s *Session) settle(fx Effects) {
	if s.confirm.barrier == 0 && s.active() && s.unconfirmed() {
		s.ping(fx)
	}
}

// unconfirmed reports whether a plain client's next pong can confirm anything.
func (s *Session) unconfirmed() bool {
	return s.class == Plain && s.confirm.written > s.confirm.floor && s.log.origin != otherOrigin
}

// ping sends a barrier for all that was written.
func (s *Session) ping(fx Effects) {
	c := &s.confirm
	c.barrier = c.written&(1<<tokenBits-1) | uint64(c.epoch)<<tokenBits
	c.barrierLoose, c.barrierTime = c.loose, c.writtenTime
	fx.Ping(c.barrier)
}

// Pong takes a pong of the client: the token of the ping that it answers, or 0
// if that ping was not the session's. A client may answer only the last of
// several pings (RFC 6455 §5.5.3), so after the pong of another ping the
// session sends the barrier again.
func (s *Session) Pong(token uint64, fx Effects) {
	if s.confirm.barrier == 0 || !s.active() && s.state != Settling {
		return
	}
	switch token {
	case s.confirm.barrier:
		s.confirm.barrier = 0
		floor := token & (1<<tokenBits - 1)
		at := s.confirm.barrierTime
		if s.confirm.barrierLoose {
			s.confirmed(floor, at, 0, 0, fx)
		} else {
			s.confirmed(floor, at, floor, at, fx)
		}
	case 0:
		s.confirm.barrier = 0
		fx.Count(RepeatedBarrier)
		if s.state == Settling {
			s.ping(fx)
		}
	}
	s.settle(fx)
}

// Settle ends the writing to a plain client, because the socket is being
// closed or the session goes to another owner. It reports whether something is
// still unconfirmed: then a last barrier is on its way, Pong keeps its effect,
// and Released tells when the wait is over. Release changes nothing for an acked
// client, which says itself what it has, nor for one that has confirmed all.
func (s *Session) Settle(fx Effects) (wait bool) {
	if s.state == Settling {
		return s.unconfirmed()
	}
	if !s.active() || !s.unconfirmed() {
		return false
	}
	fx.Timer(0)
	s.setState(Settling, fx)
	if s.confirm.barrier&(1<<tokenBits-1) != s.confirm.written {
		s.ping(fx) // replaces the one on its way: its pong says more
	}
	return true
}

// Settled reports that nothing more will be confirmed after Settle.
func (s *Session) Settled() bool { return s.state == Settling && !s.unconfirmed() }

// Ack confirms everything up to seq; what is confirmed already is ignored.
// After a rollback sequences repeat. Until the client has confirmed something
// of the new log, only exact sequences count, the oldest first, so that a
// confirmation that was on its way is not mistaken for a new one.
func (s *Session) Ack(seq uint64, fx Effects) error {
	c := &s.confirm
	if s.class != Acked || !s.active() {
		return nil
	}
	if c.rolled == 0 && seq > c.written {
		return ErrAckBeyond
	}
	n := c.acked(seq)
	if n == 0 {
		return nil
	}
	var floor, seen uint64
	var at, seenAt int64
	for i := max(0, int(c.rolled)-1); i < n; i++ {
		entry, stored, loose := c.sent.at(i)
		if i == int(c.rolled)-1 {
			stored = 0 // the gap
		}
		floor, at = entry, stored
		if !loose {
			seen, seenAt = entry, stored
		}
	}
	c.rolled = int32(max(0, int(c.rolled)-n))
	c.sent.pop(n)
	if c.sent.len() == 0 {
		c.sent.free()
		c.sent = nil
	}
	s.confirmed(floor, at, seen, seenAt, fx)
	s.advance(fx)
	return nil
}

// confirmed moves the floor, to what was stored at the given time. seen is the
// newest confirmed message that can serve as an anchor, 0 if there is none.
func (s *Session) confirmed(floor uint64, at int64, seen uint64, seenAt int64, fx Effects) {
	c := &s.confirm
	if floor <= c.floor {
		return
	}
	c.floor, c.floorTime = floor, at
	switch {
	case floor == c.written && !s.log.weak:
		c.seen, c.seenTime = s.log.anchor, s.log.anchorTime // all is confirmed, and so are the markers behind it
	case seen != 0:
		c.seen, c.seenTime = seen, seenAt
	}
	fx.Dirty()
}
