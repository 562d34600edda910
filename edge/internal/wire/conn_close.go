package wire

// The end of a connection, by RFC 6455 §7:
//
//	Close    → close frame queued → peer's close frame → drain
//	peer's close frame → answered → Closed → drain
//	violation → close frame → Closed → drain
//	the end of the peer's stream → Closed → drain
//	Abort, socket error, time-outs → Closed, socket closed
//
// A connection that drains writes its queue, shuts down its half of the stream,
// and reads and drops everything that the peer still sends, until the peer's end
// or CloseTimeout. Closing a socket with unread bytes would make the kernel send
// RST, and the peer might never see the close frame (RFC 6455 §7.1.1).

// Close starts the close handshake: the queue leaves first, then a close frame.
// The handler gets no Message any more unless it has called TakeRest, but still gets
// Pong; Closed follows when the peer has answered, or after CloseTimeout. reason is
// cut to 123 bytes.
func (c *Conn) Close(code int, reason string) { c.close(uint16(code), reason, DropLocal) }

func (c *Conn) close(code uint16, reason string, cause Drop) {
	if c.state != stateOpen {
		return
	}
	o := c.room(maxControlWire)
	if o == nil {
		c.abort(CloseReason{Code: CodeAbnormal, Cause: DropOverload})
		return
	}
	o.buf = appendClose(o.buf, code, reason)
	c.state, c.code, c.cause, c.over = stateClosing, code, cause, 0
	c.closeTimer()
	if c.has(flagPaused) && !c.takes() { // to read the peer's close frame
		c.Resume()
	}
}

// TakeRest makes Message go on after Close or Discard, until the peer's close frame
// or CloseTimeout: what the peer sent before it knew of the close is no less meant
// than what came before (RFC 6455 §1.4 has its frames valid until its own close
// frame). Pause works meanwhile.
func (c *Conn) TakeRest() { c.set(flagTakes) }

// takes reports whether the handler is to have the peer's messages.
func (c *Conn) takes() bool {
	return c.state == stateOpen || c.state == stateClosing && c.has(flagTakes)
}

// Discard is Close without the queue: nothing more leaves but the close frame. It
// is for a connection whose messages are not ours to send any more. If a frame is
// half written, the peer would take the close frame for its payload, so Discard
// aborts the connection. If a frozen connection is closing already, its own
// close frame leaves.
func (c *Conn) Discard(code int, reason string) {
	if c.state != stateOpen && (c.state != stateClosing || !c.has(flagFrozen)) {
		return
	}
	if c.release(); c.state == stateClosed {
		return
	}
	if c.nc != nil && !c.nc.discard() {
		c.abort(CloseReason{Code: code, Cause: DropStuck})
		return
	}
	if o := c.out; o != nil {
		if o.boundary() != o.off || o.off < o.head {
			c.abort(CloseReason{Code: code, Cause: DropStuck})
			return
		}
		if c.state == stateClosing {
			n := copy(o.buf, o.buf[o.last():])
			o.buf, o.off, o.head = o.buf[:n], 0, 0
			c.Thaw()
			return
		}
		o.buf, o.off, o.head = o.buf[:0], 0, 0
	}
	c.clear(flagFrozen)
	c.Close(code, reason)
}

// Abort drops the connection without a close frame; the peer gets RST.
func (c *Conn) Abort() {
	if c.state == stateOpen || c.state == stateClosing {
		c.abort(CloseReason{Code: CodeAbnormal, Cause: DropAborted})
	}
}

// peerClosed handles the peer's close frame.
func (c *Conn) peerClosed(p []byte) {
	code, text, v := parseClose(p)
	if v != nil {
		c.fail(v)
		return
	}
	if c.state == stateClosing {
		c.drain(CloseReason{Code: int(c.code), Cause: c.cause})
		return
	}
	if o := c.room(maxControlWire); o != nil {
		o.buf = appendClose(o.buf, code, "") // §5.5.1: the code is echoed
	}
	c.drain(CloseReason{Code: int(code), Text: string(text), Cause: DropPeer})
}

// fail fails the connection (RFC 6455 §7.1.7).
func (c *Conn) fail(v *violation) {
	switch c.state {
	case stateOpen:
		if o := c.room(maxControlWire); o != nil {
			o.buf = appendClose(o.buf, v.code, v.text)
		}
		c.drain(CloseReason{Code: int(v.code), Text: v.text, Cause: v.drop})
	case stateClosing: // our close frame is on its way already
		c.drain(CloseReason{Code: int(c.code), Cause: c.cause})
	case stateProxy, stateHandshake:
		c.drop(v.drop)
	}
}

// drain stops the parsing and lets the socket end in an orderly way.
func (c *Conn) drain(r CloseReason) {
	if c.release(); c.state == stateClosed {
		return
	}
	if c.has(flagFrozen) || c.has(flagEOF) && c.Buffered() == 0 {
		c.abort(r) // nothing may be written, not even a close frame, or nothing is
		return
	}
	if c.state == stateOpen {
		c.over = 0
	}
	c.state = stateDraining
	c.report(r)
	c.forget()
	c.closeTimer()
	c.clear(flagPaused)
	c.l.soil(c)
	c.set(flagReadable)
	c.l.requeue(c)
}

// drained ends our half of the stream, once the queue of a draining connection
// has left.
func (c *Conn) drained() {
	if c.has(flagEOF) {
		c.finish()
		return
	}
	if !c.has(flagFinished) {
		c.set(flagFinished)
		if c.nc != nil {
			c.nc.closeWrite()
		} else {
			sysShutdown(c.fd)
		}
	}
}

// closeTimer starts the timer that bounds the closing, once.
func (c *Conn) closeTimer() {
	if c.code != 0 && c.state == stateDraining {
		return // runs since our Close
	}
	c.l.wheel.start(&c.timer, c.l.ticks()+ticksAfter(c.l.o.CloseTimeout))
}

// abort ends the connection at once. A pending byte or the linger option makes
// the kernel send RST, which tells the peer that nothing more comes.
func (c *Conn) abort(r CloseReason) {
	if c.state == stateClosed {
		return
	}
	if c.state < stateOpen {
		c.drop(r.Cause)
		return
	}
	if c.state < stateDraining {
		c.report(r)
	}
	if !c.has(flagEOF) { // or what it may still read would be lost
		c.linger()
	}
	c.finish()
}

// drop ends a connection before its upgrade, without an answer.
func (c *Conn) drop(cause Drop) {
	c.l.count.drops[cause]++
	c.finish()
}

// report schedules the one call of Closed.
func (c *Conn) report(r CloseReason) {
	l := c.l
	l.count.drops[r.Cause]++
	if c.has(flagOpened) {
		c.clear(flagOpened)
		l.count.upgraded--
		l.ended = append(l.ended, ending{c, r})
	}
}

// finish closes the socket and returns all buffers.
func (c *Conn) finish() {
	if c.state == stateClosed {
		return
	}
	c.state = stateClosed
	c.shut()
	c.leave()
	c.l.srv.countOut(c.ticket())
}

// leave removes the connection from its loop.
func (c *Conn) leave() {
	l := c.l
	c.state = stateClosed
	l.wheel.stop(&c.timer)
	l.conns[c.slot] = nil
	delete(l.acked, c.slot)
	l.free = append(l.free, c.slot)
	l.live--
	c.forget()
	if c.out != nil {
		l.buffers.putOut(c.out)
		c.out = nil
	}
}

// forget drops the message under way.
func (c *Conn) forget() {
	if c.in != nil {
		c.l.buffers.putIn(c.in)
		c.in = nil
	}
}

// shut closes the socket.
func (c *Conn) shut() {
	if c.nc != nil {
		c.nc.close()
		return
	}
	if c.fd >= 0 {
		sysClose(c.fd)
		c.fd = -1
	}
}

// linger makes closing send RST.
func (c *Conn) linger() {
	if c.nc != nil {
		c.nc.linger()
		return
	}
	sysLinger(c.fd)
}
