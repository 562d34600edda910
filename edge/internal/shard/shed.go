package shard

import (
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

const (
	// shedPart of a loop's clients are closed at a time, then memory is looked at
	// again.
	shedPart = 1.0 / 50
	// shedBuffer is a large buffer.
	shedBuffer = 16 << 10
)

// Shed closes a few clients for lack of memory, those first whose buffers are
// large. Their sessions are parked and go on elsewhere.
func (s *Shard) Shed() {
	most := 1 + int(float64(len(s.held))*shedPart)
	closed := 0
	for _, least := range []int{shedBuffer, 0} {
		for c := range s.loop.Clients() {
			if closed == most {
				return
			}
			if !c.closing && c.conn.Footprint() >= least {
				closed++
				s.node.Metrics.Shed.Inc(stats.ShedClosed)
				c.rest()
				c.discard(protocol.CloseOverload, comeBack) // its queue would stay until the peer has read it
			}
		}
	}
}
