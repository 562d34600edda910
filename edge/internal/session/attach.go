package session

// Attach begins reading the mailbox. The owner has subscribed to its live
// subject already. A session attaches once in its life.
//
// fresh: the session is new, and its mailbox empty; floor and seen are ignored.
// Otherwise they are what Floor and Seen returned, or the directory has. An
// acked client that says which sequence it handled last gives floor; seen then
// is the directory's if that sequence is not below the directory's floor, else,
// to replay, the session's first marker, or 0 if that is unknown.
func (s *Session) Attach(floor, seen uint64, fresh bool, fx Effects) {
	if s.state != Idle {
		return
	}
	if fresh {
		floor, seen = 0, 0
	}
	s.floor, s.written, s.safe = floor, floor, seen
	s.cursor = max(floor, seen)
	s.anchor = s.cursor
	s.weak = true
	s.unsure = s.cursor > 0
	s.fresh = fresh
	if s.cursor == 0 {
		s.origin = unknownOrigin
	}
	s.seek(fx)
}

// Reattach makes sure of the interest again, and of the log: after a reconnect
// to NATS, a change of the stream's leader, or a freeze of the process.
func (s *Session) Reattach(fx Effects) {
	if s.active() {
		s.seek(fx)
	}
}

// Refresh stores a marker without TTL in the mailbox, which becomes the anchor
// when it has come back and all before it is delivered. Called each quarter of
// a TTL, so that something that a resume can rely on outlives the directory
// entry, whatever has been delivered meanwhile.
func (s *Session) Refresh(fx Effects) {
	if s.state == Live || s.state == Behind && !s.fresh {
		fx.Mark(fx.NextMark(), true)
	}
}

// Swept reports the mailbox's last sequence according to the store, of any
// replica; 0: it is empty. A copy that was never published (its leader died) is
// found by that only, and so is a mailbox that lost all it had. An answer that
// is older than the anchor costs a marker.
func (s *Session) Swept(last uint64, fx Effects) {
	if s.state == Live && (last > s.cursor || last < s.anchor) {
		s.seek(fx)
	}
}

// Timeout reports that the timer has fired.
func (s *Session) Timeout(fx Effects) {
	switch {
	case s.state == Attaching:
		fx.Count(RepeatedMarker)
		s.tries = min(s.tries+1, 63)
		fx.Mark(s.mark, s.fresh)
		fx.Timer(s.opts.markerDelay(s.tries))
	case s.state == Behind && s.waiting:
		s.waiting = false
		if s.remark {
			s.seek(fx)
			return
		}
		s.advance(fx)
	}
}

// seek sends a marker and waits for it. The cursor stands still until then:
// copies are held, and the answer of an outstanding read is ignored, so that a
// marker at or below since proves that the log went backwards.
func (s *Session) seek(fx Effects) {
	s.since = max(s.cursor, s.missed, s.held.last())
	s.dropHeld()
	s.void = s.reading
	s.waiting, s.remark = false, false
	s.tries = 0
	s.verify, s.redo = s.verify || s.when != 0, 0
	s.mark = fx.NextMark()
	s.setState(Attaching, fx)
	fx.Mark(s.mark, s.fresh)
	fx.Timer(s.opts.markerDelay(0))
}

// established handles the return of the awaited marker.
func (s *Session) established(c Copy, fx Effects) {
	if c.Seq <= s.since {
		s.rollback(fx)
	} else if !s.fresh && max(s.missed, s.held.last()) > c.Seq {
		// A copy overtook a marker that was stored before it, or it is a
		// relic of a log that no longer exists. Another marker tells.
		fx.Count(RestartedAttach)
		s.seek(fx)
		return
	}
	s.mark, s.since, s.tries = 0, 0, 0
	fx.Timer(0)
	fx.Attached()
	s.setState(Behind, fx)
	if !s.hold(c, fx) {
		s.miss(&c)
	}
	s.advance(fx)
}

// rollback begins again at the start of a log that is not the one that the
// session has read so far. Nothing of the old one is valid any more: positions,
// copies, confirmations on their way. The gap is told when the first message
// of the new log, at least a marker, gives it a place; written is its x-prev
// until then.
func (s *Session) rollback(fx Effects) {
	s.dropHeld()
	s.cursor, s.floor, s.safe, s.anchor, s.stamp, s.when = 0, 0, 0, 0, 0, 0
	s.missed, s.unkept = 0, 0
	s.weak, s.unsure, s.second, s.foreign, s.verify, s.fresh = true, false, false, false, false, false
	s.barrier = 0
	s.epoch++
	s.rolled = int32(s.sent.len()) + 1
	s.origin = otherOrigin
	fx.Dirty()
}
