package shard

import (
	"time"
)

// drainTick is the time between two steps of a drain.
const drainTick = 50 * time.Millisecond

// Drain closes this loop's clients one after the other, evenly over spread, and
// calls done when every session is parked. No client is added meanwhile.
func (s *Shard) Drain(spread time.Duration, done func()) {
	var list []*Client
	for c := range s.loop.Clients() {
		list = append(list, c)
	}
	total, closed, started := len(list), 0, s.loop.Now()
	var step func()
	step = func() {
		due := total
		if passed := s.loop.Now().Sub(started) + drainTick; passed < spread {
			due = int(int64(total) * int64(passed) / int64(spread))
		}
		for ; closed < due; closed++ {
			list[closed].leave()
			list[closed] = nil
		}
		if closed == total && len(s.held)+len(s.claims) == 0 {
			done()
			return
		}
		s.loop.AfterFunc(drainTick, step)
	}
	step()
}
