package shard

import (
	"math/rand/v2"
	"time"
)

// Connections live for hours, so a node that has just joined would stay empty.
// With EDGE_MAX_CONNECTION_AGE each connection ends at an age of its own,
// between ageLeast and ageMost of that, and its client finds the node with the
// most room. A timer for each would cost more than the rest of an idle client:
// a sweep finds those that are due before the next one, and only they get one.
const (
	ageLeast, ageMost = 0.9, 1.1
	ageUnit           = 100 * time.Millisecond // what client.retireAt counts, from the start of the node
	ageSweeps         = 20                     // sweeps in an age, so that a twentieth has a timer at most
)

// retirement is the time at which a connection that comes now is closed; 0:
// never.
func (s *Shard) retirement() uint32 {
	age := s.node.Config.MaxConnectionAge
	if age == 0 {
		return 0
	}
	share := ageLeast + (ageMost-ageLeast)*rand.Float64()
	return max(1, uint32((s.uptime()+time.Duration(share*float64(age)))/ageUnit))
}

// retire starts the timers of the clients whose time comes before the next
// sweep.
func (s *Shard) retire() {
	next := sweepAge(s.node.Config.MaxConnectionAge)
	now := s.uptime()
	for c := range s.loop.Clients() {
		left := time.Duration(c.retireAt)*ageUnit - now
		if c.retireAt == 0 || left > next {
			continue
		}
		c.retireAt = 0
		s.loop.AfterFunc(max(left, 0), func() {
			if !c.closing {
				s.node.Metrics.Retired.Inc()
				c.leave()
			}
		})
	}
}

// sweepAge is the time between two sweeps.
func sweepAge(age time.Duration) time.Duration { return min(age/ageSweeps, time.Minute) }
