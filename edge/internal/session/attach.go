package session

// Attach begins to read the mailbox. The owner has subscribed to its live
// subject before. A session attaches once in its life.
//
// fresh: the session is new and its mailbox empty; p is ignored. Otherwise p is the
// directory's. An acked client that names the sequence which it handled last gives
// p.Floor, and the directory's FloorTime only if it is the same. Then p.Seen is the
// directory's unless that sequence lies below the directory's floor; for such a
// replay it is the session's first marker, or 0 if that is unknown.
//
// lasting: the marker has no time to live, for a session whose former owner may
// still write.
func (s *Session) Attach(p Position, fresh, lasting bool, fx Effects) {
	if s.state != Idle {
		return
	}
	if fresh {
		p = Position{}
	}
	s.confirm.floor, s.confirm.written, s.confirm.seen = p.Floor, p.Floor, p.Seen
	s.confirm.floorTime, s.confirm.writtenTime, s.confirm.seenTime = p.FloorTime, p.FloorTime, p.SeenTime
	cursor := max(p.Floor, p.Seen)
	s.log = knownLog{cursor: cursor, anchor: cursor, youngest: p.FloorTime, weak: true, claimed: cursor > 0}
	if p.Old {
		s.log.age = oldPositions
	}
	if cursor == 0 {
		s.log.origin = unknownOrigin
	}
	if p.Back {
		s.rollback(fx)
	}
	s.fresh, s.lasting = fresh, lasting
	s.seek(fx)
	s.reader.tail = p.Tail && !p.Back && !fresh
}

// Disconnected reports that the connection to NATS is lost, as soon as that is
// known: the store may go back before there is another one. Until Reattach, which
// follows, nothing that comes counts, from whichever connection: copies, a marker,
// the answer to a read. Copies of the old connection may come until the marker of
// the new one does, and count as little. The owner calls Disconnected before it passes
// on anything that came over the next connection.
func (s *Session) Disconnected(fx Effects) {
	if !s.active() {
		return
	}
	s.offline, s.reader.tail = true, false
	s.log.age = oldLog
	s.log.dropHeld()
	s.reader.abandon()
	fx.Timer(0)
	s.setState(Attaching, fx)
}

// Reattach makes sure of the subscription and of the log again: after a
// reconnect to NATS, a change of the stream's leader, or a freeze of the
// process. lasting as in Attach.
func (s *Session) Reattach(lasting bool, fx Effects) {
	if s.active() {
		s.lasting = s.lasting || lasting
		s.log.age = oldLog
		s.seek(fx)
	}
}

// Refresh stores a marker without TTL in the mailbox. When it has come back and
// all before it is delivered, it becomes the anchor. The owner calls Refresh
// each quarter of the session's TTL: then a message that a resume can rely on
// outlives the directory entry, whatever was delivered meanwhile.
func (s *Session) Refresh(fx Effects) {
	if s.state == Live || s.state == Behind && !s.fresh {
		fx.Mark(fx.NextMark(), true)
	}
}

// Swept takes the mailbox's last sequence as any replica of the store has it; 0:
// the mailbox is empty. Only this finds a copy that was never published, since
// its leader died, or a mailbox that has lost everything. An answer that is
// older than the anchor costs a marker and nothing else.
func (s *Session) Swept(last uint64, fx Effects) {
	if s.state == Live && (last > s.log.cursor || last < s.log.anchor) {
		s.seek(fx)
	}
}

// Timeout reports that the timer has fired.
func (s *Session) Timeout(fx Effects) {
	switch {
	case s.offline:
	case s.state == Attaching:
		fx.Count(RepeatedMarker)
		s.markTries = min(s.markTries+1, 63)
		fx.Mark(s.mark, s.fresh || s.lasting)
		fx.Timer(s.opts.markerDelay(s.markTries))
	case s.state == Behind && s.reader.state == pausing:
		s.reader.become(notReading)
		s.advance(fx)
	case s.state == Behind && s.reader.state == pausingToAttach:
		s.seek(fx)
	}
}

// seek sends a marker and waits for it. Until it is back the cursor stands
// still: copies are held, and the answer to an outstanding read is ignored. So
// a marker that comes back at or below since proves that the log went backwards.
func (s *Session) seek(fx Effects) {
	l := &s.log
	s.since = max(s.since, l.last())
	s.reader.tail = false // copies of another holder may be of a log that was
	l.dropHeld()
	s.renewed, s.offline = s.renewed || s.offline, false
	s.reader.abandon()
	s.markTries = 0
	if l.claimed {
		l.doubt = l.doubt || l.aged()
	} else {
		l.doubt = l.doubt || l.youngest != 0
	}
	l.recheck, l.lost = 0, false
	if l.missing == gone {
		l.missing = notMissing
	}
	s.mark = fx.NextMark()
	s.setState(Attaching, fx)
	fx.Mark(s.mark, s.fresh || s.lasting)
	fx.Timer(s.opts.markerDelay(0))
}

// established handles the return of the awaited marker.
func (s *Session) established(c Copy, fx Effects) {
	if c.Seq <= s.since {
		s.rollback(fx)
	} else if !s.fresh && max(s.log.missed, s.log.held.last()) > c.Seq {
		// A copy overtook a marker that was stored before it, or the copy is
		// a relic of a log that no longer exists. Another marker will tell.
		fx.Count(RestartedAttach)
		s.seek(fx)
		return
	}
	if s.fresh && s.renewed {
		s.log.missed = 0 // copies of another log
	}
	s.mark, s.since, s.markTries, s.renewed = 0, 0, 0, false
	fx.Timer(0)
	s.lasting = false
	if !fx.Attached() {
		s.full = true
	}
	s.setState(Behind, fx)
	if !s.hold(c, fx) {
		s.log.miss(&c)
	}
	s.advance(fx)
}

// rollback begins again at the start of a log that is not the one that the
// session has read so far. Nothing of the old one counts any more: positions,
// copies, confirmations on their way. begin tells the gap when the first message
// of the new log, at least a marker, gives it a place; until then written is
// its x-prev.
func (s *Session) rollback(fx Effects) {
	s.log.held.free()
	s.log = knownLog{weak: true, origin: otherOrigin}
	s.reader.second = false
	s.fresh = false
	c := &s.confirm
	c.floor, c.floorTime, c.seen, c.seenTime, c.barrier = 0, 0, 0, 0, 0
	c.epoch++
	c.rolled = int32(c.sent.len()) + 1
	fx.Dirty()
}
