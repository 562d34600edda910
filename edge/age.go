package edge

import (
	"math/rand/v2"
	"time"

	"hydrant/edge/internal/protocol"
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
func (n *Node) retirement(now time.Time) uint32 {
	age := n.cfg.MaxConnectionAge
	if age == 0 {
		return 0
	}
	share := ageLeast + (ageMost-ageLeast)*rand.Float64()
	return max(1, uint32((now.Sub(n.started)+time.Duration(share*float64(age)))/ageUnit))
}

// retire starts the timers of the clients whose time comes before the next
// sweep.
func (w *worker) retire() {
	next := w.node.sweepAge()
	now := w.age()
	for conn := range w.loop.Open() {
		c := conn.Data().(*client)
		left := time.Duration(c.retireAt)*ageUnit - now
		if c.retireAt == 0 || left > next {
			continue
		}
		c.retireAt = 0
		w.loop.AfterFunc(max(left, 0), func() {
			if !c.closing {
				w.node.m.Retired.Inc()
				c.close(protocol.CloseRestart, retryHint())
			}
		})
	}
}

// sweepAge is the time between two sweeps.
func (n *Node) sweepAge() time.Duration { return min(n.cfg.MaxConnectionAge/ageSweeps, time.Minute) }
