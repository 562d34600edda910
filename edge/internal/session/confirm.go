package session

// tokenBits is the part of a barrier's token that is the sequence; the rest
// tells logs apart, so that a pong that was on its way during a rollback
// confirms nothing of the new log.
const tokenBits = 56

// settle sends a barrier if something was written since the last one came back.
func (s *Session) settle(fx Effects) {
	if s.barrier == 0 && s.active() && s.unconfirmed() {
		s.ping(fx)
	}
}

// unconfirmed reports whether a plain client's next pong can confirm anything.
func (s *Session) unconfirmed() bool {
	return s.class == Plain && s.written > s.floor && s.origin != otherOrigin
}

// ping sends a barrier for all that was written.
func (s *Session) ping(fx Effects) {
	s.barrier = s.written&(1<<tokenBits-1) | uint64(s.epoch)<<tokenBits
	s.barrierLo = s.loose
	fx.Ping(s.barrier)
}

// Pong reports a pong of the client: the token of its ping, or 0 for a ping
// that was not the session's. A client may answer only the last of several
// pings (RFC 6455 §5.5.3), so after another's pong the barrier is sent again.
func (s *Session) Pong(token uint64, fx Effects) {
	if s.barrier == 0 || !s.active() && s.state != Releasing {
		return
	}
	switch token {
	case s.barrier:
		s.barrier = 0
		seq := token & (1<<tokenBits - 1)
		safe := seq
		if s.barrierLo {
			safe = 0
		}
		s.confirm(seq, safe, fx)
	case 0:
		s.barrier = 0
		fx.Count(RepeatedBarrier)
		if s.state == Releasing {
			s.ping(fx)
		}
	}
	s.settle(fx)
}

// Release ends the writing to a plain client, since the socket is being closed
// or the session goes to another owner. It reports whether something is not
// confirmed yet: then a last barrier is on its way, Pong goes on having an
// effect, and Released tells when the wait is over. An acked client says itself
// what it has, and for one that has confirmed all there is nothing to wait for:
// then nothing changes.
func (s *Session) Release(fx Effects) (wait bool) {
	if s.state == Releasing {
		return s.unconfirmed()
	}
	if !s.active() || !s.unconfirmed() {
		return false
	}
	fx.Timer(0)
	s.setState(Releasing, fx)
	if s.barrier&(1<<tokenBits-1) != s.written {
		s.ping(fx) // in place of the one that is on its way: its pong says more
	}
	return true
}

// Released reports that nothing more will be confirmed after Release.
func (s *Session) Released() bool { return s.state == Releasing && !s.unconfirmed() }

// Ack confirms everything up to seq. Confirmations of what is confirmed already
// are ignored. After a rollback sequences repeat: until the client has
// confirmed something of the new log only exact ones count, the oldest first,
// so that confirmations on their way are not mistaken for new ones.
func (s *Session) Ack(seq uint64, fx Effects) error {
	if s.class != Acked || !s.active() {
		return nil
	}
	if s.rolled == 0 && seq > s.written {
		return ErrAckBeyond
	}
	n := s.acked(seq)
	if n == 0 {
		return nil
	}
	var floor, safe uint64
	for i := max(0, int(s.rolled)-1); i < n; i++ {
		e, loose := s.sent.at(i)
		floor = e
		if !loose {
			safe = e
		}
	}
	s.rolled = int32(max(0, int(s.rolled)-n))
	s.sent.pop(n)
	if s.sent.len() == 0 {
		s.sent.free()
		s.sent = nil
	}
	s.confirm(floor, safe, fx)
	s.advance(fx)
	return nil
}

// acked returns how many unconfirmed entries seq confirms.
func (s *Session) acked(seq uint64) int {
	n := 0
	for i := range s.sent.len() {
		e, _ := s.sent.at(i)
		if s.rolled != 0 {
			if e == seq {
				return i + 1
			}
			continue
		}
		if e > seq {
			break
		}
		n = i + 1
	}
	return n
}

// confirm moves the floor. safe is the newest confirmed message that can serve
// as an anchor, 0 if there is none.
func (s *Session) confirm(floor, safe uint64, fx Effects) {
	if floor <= s.floor {
		return
	}
	s.floor = floor
	switch {
	case floor == s.written && !s.weak:
		s.safe = s.anchor // all is confirmed, so are markers behind it
	case safe != 0:
		s.safe = safe
	}
	fx.Dirty()
}
