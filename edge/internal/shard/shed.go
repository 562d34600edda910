package shard

import (
	"math/bits"

	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// shedPart of a loop's clients are closed at a time, then memory is looked at again.
const shedPart = 1.0 / 50

// Shed closes a few clients for lack of memory, those first whose buffers are large: by
// powers of two, so that who holds nothing goes after all that hold something, however
// little that is by each. Their sessions are parked and go on elsewhere.
func (s *Shard) Shed() {
	most := 1 + int(float64(len(s.held))*shedPart)
	var sizes [bits.UintSize + 1]int // how many hold that much
	for c := range s.loop.Clients() {
		if !c.closing {
			sizes[c.size()]++
		}
	}
	least, found := len(sizes), 0
	for least > 0 && found < most {
		least--
		found += sizes[least]
	}
	left := max(0, found-most) // of those that hold least
	for c := range s.loop.Clients() {
		if c.closing || c.size() < least {
			continue
		}
		if c.size() == least && left > 0 {
			left--
			continue
		}
		s.node.Metrics.Shed.Inc(stats.ShedClosed)
		c.rest()
		c.discard(protocol.CloseOverload, comeBack) // its queue would stay until the peer has read it
	}
}

// size is the power of two that is more than the client's buffers take.
func (c *Client) size() int { return bits.Len(uint(c.conn.Footprint())) }
