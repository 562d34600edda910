package wire

import (
	"math"

	"github.com/gobwas/ws"
)

const (
	// pongBound bounds the bytes of queued pongs: more are those of a peer that does
	// not read, and gets the latest.
	pongBound = 4 << 10
	// writeSize bounds the bytes of one system call, so that a big message does
	// not keep the loop in the kernel for long.
	writeSize = 256 << 10
	// writesPerTurn bounds the system calls of a connection before the others have
	// their turn.
	writesPerTurn = 4
)

// Send queues a copy of the concatenated parts as one text frame; they must be
// UTF-8.
//
// room is false if WriteBuffer bytes or more are queued: the caller should stop
// until Writable is called. queued is false, and the frame is not sent, if the
// connection is not open, or if twice WriteBuffer were queued already. The frame
// with which the room ran out does not count in that, however large it was, so a
// caller can always finish what it has in hand.
func (c *Conn) Send(parts ...[]byte) (queued, room bool) {
	return c.send(ws.OpText, parts)
}

// SendBinary is Send for a binary frame.
func (c *Conn) SendBinary(parts ...[]byte) (queued, room bool) {
	return c.send(ws.OpBinary, parts)
}

func (c *Conn) send(op ws.OpCode, parts [][]byte) (queued, room bool) {
	if c.state != stateOpen {
		return false, false
	}
	l := c.l
	before := c.Buffered()
	if before >= 2*l.o.WriteBuffer+int(c.over) {
		c.set(flagNoRoom)
		return false, false
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	first := byte(op)
	if c.has(flagDeflate) && n >= deflateMin {
		var ok bool
		if parts, ok = l.inflater.deflate(parts, c.window); ok {
			n, first = len(parts[0]), first|rsv1
		}
	}
	o := c.room(maxHeader + n)
	if o == nil {
		c.fail(errOverload)
		return false, false
	}
	o.buf = appendHeader(o.buf, first, n)
	for _, p := range parts {
		o.buf = append(o.buf, p...)
	}
	l.count.messagesOut++
	if before+n >= l.o.WriteBuffer {
		if before < l.o.WriteBuffer {
			c.over = uint32(min(n, math.MaxUint32))
		}
		c.set(flagNoRoom)
		return true, false
	}
	return true, true
}

// Full reports that Send has found no room, and Writable will follow.
func (c *Conn) Full() bool { return c.has(flagNoRoom) }

// room returns the queue with room for n bytes, to be written in this iteration.
// It returns nil if there is no memory.
func (c *Conn) room(n int) *outbound {
	l := c.l
	o := c.out
	if o == nil {
		o = l.buffers.getOut()
	}
	if cap(o.buf)-len(o.buf) < n && o.off > 0 {
		o.compact()
	}
	buf := c.grow(o.buf, n)
	if buf == nil {
		if c.out == nil {
			l.buffers.putOut(o)
		}
		return nil
	}
	o.buf = buf
	c.out = o
	c.clear(flagHeld)
	l.soil(c)
	return o
}

// compact drops the frames that have left completely. The rest still begins at a
// frame, which Discard relies on.
func (o *outbound) compact() {
	at := o.boundary()
	n := copy(o.buf, o.buf[at:])
	o.buf, o.off, o.head = o.buf[:n], o.off-at, max(o.head-at, 0)
}

// boundary returns the start of the frame that has left in part, or off if there
// is none.
func (o *outbound) boundary() int {
	if o.off < o.head {
		return 0
	}
	at := o.head
	for at < o.off {
		n := frameLen(o.buf[at:])
		if at+n > o.off {
			break
		}
		at += n
	}
	return at
}

// last returns the start of the last frame. No frame may have left in part.
func (o *outbound) last() int {
	at := o.off
	for {
		n := frameLen(o.buf[at:])
		if at+n == len(o.buf) {
			return at
		}
		at += n
	}
}

// pongs counts the bytes of pongs that have not left completely.
func (o *outbound) pongs() (n int) {
	for at := max(o.boundary(), o.head); at < len(o.buf); {
		size := frameLen(o.buf[at:])
		if o.buf[at] == 0x80|byte(ws.OpPong) {
			n += size
		}
		at += size
	}
	return n
}

// forgetPongs drops the pongs of which nothing has left.
func (o *outbound) forgetPongs() {
	at := max(o.boundary(), o.head)
	if at < o.off {
		at += frameLen(o.buf[at:])
	}
	end := at
	for at < len(o.buf) {
		size := frameLen(o.buf[at:])
		if o.buf[at] != 0x80|byte(ws.OpPong) {
			end += copy(o.buf[end:], o.buf[at:at+size])
		}
		at += size
	}
	o.buf, o.owed = o.buf[:end], 0
}

// Buffered returns the number of bytes queued for the socket.
func (c *Conn) Buffered() int {
	n := 0
	if c.out != nil {
		n = len(c.out.buf) - c.out.off
	}
	if c.nc != nil {
		n += c.nc.queued()
	}
	return n
}

// Ping sends a ping with p, cut to 125 bytes (RFC 6455 §5.5).
func (c *Conn) Ping(p []byte) {
	if c.state == stateOpen {
		if c.pings < math.MaxUint8 {
			c.pings++
		}
		c.sendControl(ws.OpPing, p[:min(len(p), maxControl)])
	}
}

// answer sends a pong. The pongs that wait are bounded: beyond that they are written
// first, which a peer that reads takes, and then only the most recent ping is answered
// (RFC 6455 §5.5.3). The bound does not depend on the rest of the queue: a client that
// waits for a big message may well ask whether we are alive.
func (c *Conn) answer(p []byte) {
	if c.state != stateOpen {
		return
	}
	if o := c.out; o != nil && o.owed > pongBound {
		if o.owed = o.pongs(); o.owed > pongBound {
			c.hurry()
			if c.state != stateOpen {
				return
			}
		}
	}
	c.sendControl(ws.OpPong, p)
	if c.out != nil {
		c.out.owed += 2 + len(p)
	}
}

// hurry makes room for a pong.
func (c *Conn) hurry() {
	if c.nc != nil || !c.has(flagBlocked) {
		c.flush()
	}
	if o := c.out; o != nil {
		if o.owed = o.pongs(); o.owed > pongBound {
			o.forgetPongs()
		}
	}
}

func (c *Conn) sendControl(op ws.OpCode, p []byte) {
	o := c.room(2 + len(p))
	if o == nil {
		c.fail(errOverload)
		return
	}
	o.buf = append(appendHeader(o.buf, byte(op), len(p)), p...)
}

// Freeze stops the writing: nothing that is queued, or is sent from now on, leaves
// before Thaw. Reading goes on. It is for Handler.Stalled: nothing may leave
// until the handler knows whether it still may send. A connection that is
// draining has no caller left to thaw it, so Freeze ends it.
func (c *Conn) Freeze() {
	if c.state == stateDraining {
		c.abort(CloseReason{Cause: DropAborted})
		return
	}
	c.release()
	c.set(flagFrozen)
}

// Thaw ends a Freeze.
func (c *Conn) Thaw() {
	if c.has(flagFrozen) {
		c.clear(flagFrozen)
		if c.state != stateClosed {
			c.l.soil(c)
		}
	}
}

// flush writes the queue as far as the socket takes it, and goes on with the
// closing when the queue is empty.
func (c *Conn) flush() {
	if c.state == stateClosed || c.has(flagFrozen|flagHeld) {
		return
	}
	if c.out != nil {
		c.l.touch()
		if c.has(flagFrozen) || c.state == stateClosed { // by Stalled
			return
		}
	}
	var done bool
	if c.nc != nil {
		done = c.nc.flush()
	} else {
		done = c.write()
	}
	if c.state == stateClosed {
		return
	}
	if c.has(flagNoRoom) && c.state == stateOpen && c.Buffered() < c.l.o.WriteBuffer/2 {
		c.l.requeue(c)
	}
	if done && c.state == stateDraining {
		c.drained()
	}
}

// write writes to a raw descriptor, and reports whether the queue is empty.
func (c *Conn) write() bool {
	l := c.l
	o := c.out
	if o == nil {
		return true
	}
	for i := 0; o.off < len(o.buf); i++ {
		if i == writesPerTurn {
			l.requeue(c)
			return false
		}
		n, err := sysWrite(c.fd, o.buf[o.off:min(len(o.buf), o.off+writeSize)])
		l.count.writes++
		if err == errAgain {
			c.blocked()
			return false
		}
		if err != nil {
			c.lost(DropReset)
			return false
		}
		o.off += n
		l.count.bytesOut += uint64(n)
		c.clear(flagBlocked)
	}
	c.clear(flagBlocked)
	c.out = nil
	l.buffers.putOut(o)
	return true
}

// blocked waits for the kernel to have room again. From the first time on the
// descriptor stays registered for that, which costs nothing, being
// edge-triggered, until it happens again.
func (c *Conn) blocked() {
	l := c.l
	if !c.has(flagBlocked) {
		c.set(flagBlocked)
		c.since = uint32(l.ticks())
		// progresses counts anew from here on. Bytes that it has not reported yet are
		// progress, too: expireOpen would never learn of them.
		if c.progresses() {
			c.progressed()
		}
	}
	if c.state == stateOpen {
		c.deadline(l.stuck)
	}
	if c.nc == nil && !c.has(flagWriteArm) {
		c.set(flagWriteArm)
		if err := l.watchWrites(c); err != nil {
			c.lost(DropReset)
		}
	}
}
