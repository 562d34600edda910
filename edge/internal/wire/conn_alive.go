package wire

import (
	"bytes"

	"github.com/gobwas/ws"
)

// Mark is a moment on a connection, for [Conn.HeardSince].
type Mark uint32

// Mark returns the moment before now. What comes from now on has come since.
func (c *Conn) Mark() Mark {
	now := uint32(c.l.ticks())
	c.heard = now - 1 // or a byte in this tick would look like one of before
	return Mark(now - 1)
}

// HeardSince reports whether the peer has sent any byte since a mark. While the
// connection is paused none is read; that this ends counts as one.
func (c *Conn) HeardSince(m Mark) bool { return int32(c.heard-uint32(m)) > 0 }

// PingWaits reports whether a Ping with this payload has not left completely, so that
// its peer cannot have had it, nor what is before it.
func (c *Conn) PingWaits(p []byte) bool {
	if o := c.out; o != nil && o.pings(o.off, p) {
		return true
	}
	n := c.nc
	return n != nil && n.writing != nil && n.writing.pings(int(n.written.Load()), p)
}

// pings reports whether the queue, of which off bytes have left, has such a ping.
func (o *outbound) pings(off int, p []byte) bool {
	for at := o.head; at < len(o.buf); {
		size := frameLen(o.buf[at:])
		if at+size > off && o.buf[at] == 0x80|byte(ws.OpPing) && bytes.Equal(o.buf[at+2:at+size], p) {
			return true
		}
		at += size
	}
	return false
}

// Unsent reports whether output waits for the peer: here, or in the kernel that has
// not sent it. A peer on a slow line comes to a Ping only behind it.
func (c *Conn) Unsent() bool { return c.Buffered() > 0 || c.notSent() }
