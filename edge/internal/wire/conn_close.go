package wire

// The end of a connection, by RFC 6455 §7:
//
//	Close    → close frame queued → peer's close frame → drain
//	peer's close frame → answered → Closed → drain
//	violation → close frame → Closed → drain
//	Abort, EOF, socket error, time-outs → Closed, socket closed
//
// drain: what is queued is written, our end of the stream is shut down, and
// what the peer still sends is read and dropped until its end comes, or
// CloseTimeout. Closing a socket with unread bytes would make the kernel
// answer with RST, and the peer might never see the close frame (§7.1.1).

// Close starts the close handshake: what is queued leaves first, then a close
// frame. Message is not called any more; Pong still is; Closed follows when
// the peer has answered, or after CloseTimeout. reason is cut to 123 bytes.
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
	c.state, c.code, c.cause = stateClosing, code, cause
	c.closeTimer()
	if c.has(flagPaused) { // the peer's close frame must be seen
		c.Resume()
	}
}

// Discard is Close for a connection whose session is held elsewhere: of what
// is queued nothing more leaves, only the close frame. If a frame is half
// written, the close frame could not be told from its payload, and the
// connection is aborted. Of one that is closing already, while it is held, the
// close frame that it was closed with leaves.
func (c *Conn) Discard(code int, reason string) {
	if c.state != stateOpen && (c.state != stateClosing || !c.has(flagHeld)) {
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
			c.Release()
			return
		}
		o.buf, o.off, o.head = o.buf[:0], 0, 0
	}
	c.clear(flagHeld)
	c.Close(code, reason)
}

// Abort drops the connection without a close frame; the peer sees RST.
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

// drain stops parsing and lets the socket end in an orderly way.
func (c *Conn) drain(r CloseReason) {
	if c.has(flagHeld) {
		c.abort(r) // nothing may be written, so there is no close frame either
		return
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

// drained is called when what was queued has left a draining connection.
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

// closeTimer bounds the closing; it is started once.
func (c *Conn) closeTimer() {
	if c.code != 0 && c.state == stateDraining {
		return // runs since our Close
	}
	c.l.wheel.start(&c.timer, c.l.ticks()+ticksAfter(c.l.o.CloseTimeout))
}

// abort ends the connection at once. The reset that a pending byte or the
// linger option causes tells the peer that nothing more comes.
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
	if r.Cause != DropEOF {
		c.linger()
	}
	c.finish()
}

// drop ends a connection that was not upgraded, without an answer.
func (c *Conn) drop(cause Drop) {
	c.l.count.drops[cause]++
	c.finish()
}

// report has Closed called, once.
func (c *Conn) report(r CloseReason) {
	l := c.l
	l.count.drops[r.Cause]++
	if c.has(flagOpened) {
		c.clear(flagOpened)
		l.count.upgraded--
		l.ended = append(l.ended, ending{c, r})
	}
}

// finish closes the socket and gives everything back.
func (c *Conn) finish() {
	if c.state == stateClosed {
		return
	}
	c.state = stateClosed
	c.shut()
	c.leave()
	c.l.srv.release(c.ticket())
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
		l.pool.putOut(c.out)
		c.out = nil
	}
}

// forget drops a message under way.
func (c *Conn) forget() {
	if c.in != nil {
		c.l.pool.putIn(c.in)
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
