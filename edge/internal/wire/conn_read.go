package wire

import (
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// turn is a connection's share of an iteration: it parses the bytes left over,
// then reads once. If there may be more, the connection asks for another turn,
// so that it does not starve the others.
func (l *Loop) turn(c *Conn) {
	if c.has(flagNoRoom) && c.state == stateOpen && c.Buffered() < l.o.WriteBuffer/2 {
		c.clear(flagNoRoom)
		l.touch()
		l.h.Writable(c)
	}
	if c.out != nil && !c.has(flagBlocked) {
		l.soil(c) // it had used up its share of writes
	}
	if c.state == stateClosed || c.has(flagPaused) && c.state <= stateClosing {
		return
	}
	if in := c.in; in != nil && in.unparsed {
		n := copy(l.buf, in.stashed)
		c.unstash(in)
		c.receive(l.buf[:n])
		if in := c.in; c.state == stateClosed || in != nil && in.unparsed {
			return
		}
	}
	if c.nc != nil {
		c.nc.more()
		return
	}
	if c.has(flagReadable) {
		c.read()
	}
}

// read reads a raw descriptor once, up to a full buffer. It puts the stashed bytes
// in front, so that the parser gets contiguous ones.
func (c *Conn) read() {
	l := c.l
	k := 0
	if c.in != nil {
		k = len(c.in.stashed)
	}
	n, err := sysRead(c.fd, l.buf[k:])
	l.count.reads++
	if err != nil {
		c.clear(flagReadable)
		if err != errAgain {
			c.lost(DropReset)
		}
		return
	}
	if n == 0 {
		c.clear(flagReadable)
		c.ended()
		return
	}
	// A short read has emptied the socket, and epoll reports whatever comes
	// later (epoll(7), Q&A 9). But it reports the end of the stream only once,
	// and has done so if flagHangup is set.
	if n == len(l.buf)-k || c.has(flagHangup) {
		l.requeue(c)
	} else {
		c.clear(flagReadable)
	}
	c.took(k, n)
}

// took handles n bytes that were read behind room for the k stashed ones.
func (c *Conn) took(k, n int) {
	l := c.l
	if k > 0 {
		copy(l.buf, c.in.stashed)
		c.unstash(c.in)
	}
	c.arrived(n)
	c.receive(l.buf[:k+n])
	poison(l.buf[:k+n])
}

// drainMost bounds the bytes of a peer that are read and dropped, so that it sees the
// close frame: what may be on its way when that comes.
const drainMost = 4 << 20

// arrived accounts for n bytes from the peer.
func (c *Conn) arrived(n int) {
	l := c.l
	c.heard = uint32(l.ticks())
	c.clear(flagPinged)
	l.count.bytesIn += uint64(n)
	if c.state >= stateClosing && !c.takes() {
		// The close frame was for a peer that stops. This one makes work for nothing.
		if c.over += uint32(n); c.over > drainMost {
			c.lost(DropReset)
			return
		}
	}
	if c.takes() && !c.bytes.take(l.bytes, n, l.mono) {
		c.fail(errByteRate)
	}
}

// ended handles the end of the peer's stream. It may be half closed: what is queued,
// which answers what came before, still leaves.
func (c *Conn) ended() {
	c.set(flagEOF)
	switch c.state {
	case stateProxy, stateHandshake:
		c.drop(DropHandshakeGone)
	case stateOpen:
		c.drain(CloseReason{Code: CodeAbnormal, Cause: DropEOF})
	case stateClosing:
		c.drain(CloseReason{Code: int(c.code), Cause: c.cause})
	case stateDraining:
		c.l.soil(c) // closed once what is queued has left
	}
}

// lost handles a socket that failed.
func (c *Conn) lost(cause Drop) {
	switch c.state {
	case stateProxy, stateHandshake:
		c.drop(DropHandshakeGone)
	case stateOpen:
		c.abort(CloseReason{Code: CodeAbnormal, Cause: cause})
	case stateClosing:
		c.abort(CloseReason{Code: int(c.code), Cause: c.cause})
	case stateDraining:
		c.finish()
	}
}

// receive parses b, which may change the state on the way: frames can follow the
// request head in the same segment.
func (c *Conn) receive(b []byte) {
	for len(b) > 0 {
		switch c.state {
		case stateProxy:
			b = c.readProxy(b)
		case stateHandshake:
			b = c.readHandshake(b)
		case stateOpen, stateClosing:
			c.readFrames(b)
			return
		default:
			return // draining, or handed to net/http
		}
	}
}

// readFrames parses frames until b is used up, or the connection stops reading.
func (c *Conn) readFrames(b []byte) {
	for frames := 0; len(b) > 0; frames++ {
		switch {
		case c.state > stateClosing:
			return
		case c.has(flagPaused):
			c.stash(b, true)
			return
		case frames == frameBudget:
			c.stash(b, true)
			c.l.requeue(c)
			return
		}
		if c.in != nil && c.in.left > 0 {
			b = c.readPayload(b)
			continue
		}
		h, n, v := parseHeader(b, c.has(flagDeflate))
		if v != nil {
			c.fail(v)
			return
		}
		whole := n > 0 && h.length <= int64(len(b)-n)
		switch {
		case n == 0, h.op.IsControl() && !whole:
			c.stash(b, false)
			return
		case h.op.IsControl():
			p := b[n : n+int(h.length)]
			ws.Cipher(p, h.mask, 0)
			c.readControl(h.op, p)
			poison(p)
			b = b[n+int(h.length):]
		case whole && h.fin && h.op != ws.OpContinuation && c.between():
			if h.length > c.l.o.MaxMessage {
				c.fail(errTooBig)
				return
			}
			p := b[n : n+int(h.length)]
			ws.Cipher(p, h.mask, 0)
			c.deliver(h.op, h.rsv1, p, 0)
			poison(p)
			b = b[n+int(h.length):]
		default:
			if v := c.beginFrame(&h); v != nil {
				c.fail(v)
				return
			}
			b = b[n:]
		}
	}
}

// between reports that no message is under way.
func (c *Conn) between() bool { return c.in == nil || c.in.op == ws.OpContinuation }

// beginFrame handles the header of a data frame that is a part of a message, or
// has not arrived completely.
func (c *Conn) beginFrame(h *header) *violation {
	in := c.inbound()
	begun := in.op != ws.OpContinuation
	switch {
	case h.op == ws.OpContinuation && !begun:
		return errContinuation
	case h.op != ws.OpContinuation && begun:
		return errInterleaved
	case h.op == ws.OpContinuation && h.rsv1:
		return errReservedBits // RFC 7692 §6.1: on the first frame only
	case h.length > c.l.o.MaxMessage-int64(len(in.msg)):
		return errTooBig // by its header: nothing has been allocated for it
	}
	if in.fragments++; in.fragments > c.l.o.MaxFragments {
		return errFragments
	}
	if !begun {
		in.op, in.deflated, in.begun = h.op, h.rsv1, uint32(c.l.ticks())
		c.deadline(c.l.late)
	}
	in.fin, in.left, in.mask, in.pos = h.fin, h.length, h.mask, 0
	if in.left == 0 {
		return c.endFrame(in)
	}
	return nil
}

// readPayload takes the payload of the current frame from b and returns the rest.
func (c *Conn) readPayload(b []byte) []byte {
	in := c.in
	n := int(min(int64(len(b)), in.left))
	msg := c.grow(in.msg, n)
	if msg == nil {
		c.fail(errOverload)
		return nil
	}
	start := len(msg)
	in.msg = append(msg, b[:n]...)
	ws.Cipher(in.msg[start:], in.mask, in.pos)
	in.pos = (in.pos + n) & 3
	in.left -= int64(n)
	if in.op == ws.OpText && !in.deflated {
		good, ok := validPrefix(in.msg[in.valid:])
		if !ok {
			c.fail(errUTF8) // at once (RFC 6455 §8.1)
			return nil
		}
		in.valid += good
	}
	if in.left == 0 {
		if v := c.endFrame(in); v != nil {
			c.fail(v)
			return nil
		}
	}
	return b[n:]
}

// endFrame delivers the message if the frame was its last.
func (c *Conn) endFrame(in *inbound) *violation {
	if !in.fin {
		return nil
	}
	if in.op == ws.OpText && !in.deflated && in.valid < len(in.msg) {
		return errUTF8 // ends in the middle of a rune
	}
	op, deflated, msg, valid := in.op, in.deflated, in.msg, in.valid
	// The handler may pause or close, and must find no message under way then.
	in.msg, in.op, in.deflated, in.valid, in.fragments = nil, ws.OpContinuation, false, 0, 0
	c.deliver(op, deflated, msg, valid)
	c.l.buffers.put(msg)
	c.settle()
	return nil
}

// deliver hands a whole message to the handler. Its first valid bytes were
// checked already and are UTF-8.
func (c *Conn) deliver(op ws.OpCode, deflated bool, p []byte, valid int) {
	l := c.l
	if !c.takes() {
		return // after our own close frame: RFC 6455 §1.4 allows to discard it
	}
	if deflated {
		var v *violation
		came := len(p)
		if p, v = l.inflater.inflate(p, l.o.MaxMessage); v != nil {
			c.fail(v)
			return
		}
		// What it has become counts as sent, or a few bytes would buy many.
		if more := len(p) - came; more > 0 && !c.bytes.take(l.bytes, more, l.mono) {
			c.fail(errByteRate)
			return
		}
	}
	if op == ws.OpText && !utf8.Valid(p[valid:]) {
		c.fail(errUTF8)
		return
	}
	if !c.messages.take(l.message, 1, l.mono) {
		c.fail(errMessageRate)
		return
	}
	l.count.messagesIn++
	l.touch()
	l.h.Message(c, op == ws.OpText, p)
	if deflated {
		poison(p)
	}
}

// readControl handles a control frame.
func (c *Conn) readControl(op ws.OpCode, p []byte) {
	l := c.l
	switch {
	case op == ws.OpPong && c.pings > 0:
		c.pings-- // it answers our ping, so it does not count
	case !c.controls.take(l.control, 1, l.mono):
		c.fail(errControlRate)
		return
	}
	switch op {
	case ws.OpPing:
		c.answer(p)
	case ws.OpPong:
		l.touch()
		l.h.Pong(c, p)
	case ws.OpClose:
		c.peerClosed(p)
	}
}
