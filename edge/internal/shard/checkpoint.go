package shard

import (
	"time"

	"hydrant/edge/internal/ownership"
)

// Checkpoints of moved floors, so that another node knows about where delivery
// got, though this one should die.
const (
	checkpointEvery = 100 * time.Millisecond
	checkpointAge   = 500 * time.Millisecond // a floor moves this long before it is written
	checkpointRate  = 2000                   // writes a second of a node
)

// checkpoint writes the dirty floors that are due, oldest first.
func (s *Shard) checkpoint() {
	s.tick()
	budget := max(1, checkpointRate/s.node.Shards/int(time.Second/checkpointEvery))
	now := uint32(s.uptime().Milliseconds())
	done := 0
	for _, h := range s.dirty {
		age := time.Duration(now-h.dirtySince) * time.Millisecond
		if budget == 0 || age < checkpointAge {
			break
		}
		done++
		h.dirtySince = 0
		if h.owner.Phase() == ownership.Served && h.moved() {
			s.node.Metrics.FloorAge.Observe(age.Seconds())
			h.owner.Changed(s.uptime(), h.ownership())
			budget--
		}
	}
	clear(s.dirty[:done])
	s.dirty = s.dirty[done:]
	if len(s.dirty) == 0 && cap(s.dirty) > 1024 {
		s.dirty = nil
	}
	oldest := int64(0)
	if len(s.dirty) > 0 {
		age := time.Duration(now-s.dirty[0].dirtySince) * time.Millisecond
		oldest = s.loop.Now().Add(-age).UnixNano()
	}
	s.tally.DirtyFrom.Store(oldest)
}

// moved reports whether the directory has, or is about to have, other positions than
// delivery has got to. After a resume that brought nothing it has the same.
func (h *held) moved() bool {
	return (*ownershipEffects)(h).Position() != h.owner.Entry().Position
}

// tick measures how late the checkpoint's timer is.
func (s *Shard) tick() {
	now := time.Now()
	if !s.ticked.IsZero() {
		s.tally.Lag.Observe(now.Sub(s.ticked) - checkpointEvery)
	}
	s.ticked = now
}
