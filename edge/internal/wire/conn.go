package wire

import (
	"net/netip"

	"github.com/gobwas/ws"
)

// state is where a connection stands. It only ever moves down this list.
type state uint8

const (
	stateProxy     state = iota // waits for a PROXY header
	stateHandshake              // waits for a request head
	stateOpen                   // upgraded
	stateClosing                // our close frame is queued; the peer's is awaited (RFC 6455 §7.1.2)
	stateDraining               // nothing is parsed any more: write, half-close, read to the end (§7.1.1)
	stateClosed                 // the socket is gone
)

// flag is one bit of a connection's condition.
type flag uint16

const (
	flagDirty    flag = 1 << iota // in Loop.dirty
	flagAgain                     // in Loop.again
	flagReadable                  // the kernel, or the reading goroutine, may have more
	flagHangup                    // the peer has ended its stream: read on until that shows
	flagPaused                    // Pause
	flagHeld                      // Hold
	flagNoRoom                    // Send has refused: Writable is due
	flagBlocked                   // the kernel takes no more; since is Conn.since
	flagPinged                    // a keepalive Ping is out
	flagOpened                    // Open was called, Closed is due
	flagEOF                       // the peer's end has been read
	flagFinished                  // our end has been sent (shutdown)
	flagWriteArm                  // the descriptor is registered for EPOLLOUT
	flagCounted                   // counted by address
	flagDeflate                   // permessage-deflate was agreed
	flagTrusted                   // the peer is a trusted proxy
)

// Conn is a connection. It belongs to its loop: all methods but Loop are to be
// called there, and do nothing once Closed has been called. It keeps no buffer
// while nothing is under way, so its size is what an idle connection costs.
type Conn struct {
	timer timer // the earliest deadline; which one, expire works out

	// Immutable after the accept.
	l  *Loop
	nc *netConn // nil: a raw descriptor

	// Owned by the loop.
	in       *inbound  // nil: between messages
	out      *outbound // nil: nothing queued
	data     any
	messages bucket
	bytes    bucket
	controls bucket
	slot     uint32
	gen      uint32
	fd       int32  // -1: none
	heard    uint32 // tick of the last sign of life
	since    uint32 // tick since which the peer has taken nothing
	over     uint32 // bytes of the frame with which the room ran out
	code     uint16 // our close code, from stateClosing on
	port     uint16
	flags    flag
	state    state
	cause    Drop  // why code was sent
	window   uint8 // server_max_window_bits of RFC 7692, 0: 15
	pings    uint8 // sent by Ping and not answered, so that the pongs are no flood
	addr     [16]byte
}

// inbound is what a connection holds in the middle of a message.
type inbound struct {
	msg       []byte // payload so far, unmasked
	held      []byte // received, not parsed yet: half a header or control frame, or what Pause left
	left      int64  // bytes of the current frame's payload still to come
	valid     int    // bytes of msg known to be UTF-8
	pos       int    // place in mask
	fragments int
	mask      [4]byte
	op        ws.OpCode // of the message; OpContinuation: none has begun
	fin       bool      // the current frame is its last
	deflated  bool
	unparsed  bool // held was left by Pause or the frame budget: parse before reading on
}

// outbound is what waits to be written: whole frames, the first of which may
// have left in part.
type outbound struct {
	buf  []byte
	off  int // bytes of buf that have left
	head int // bytes of buf that are an HTTP response, before the first frame
	owed int // bytes of pongs among them, or more: who have left are found out at the bound
}

func (c *Conn) has(f flag) bool { return c.flags&f != 0 }
func (c *Conn) set(f flag)      { c.flags |= f }
func (c *Conn) clear(f flag)    { c.flags &^= f }

// Loop is the loop that owns the connection. It may be called anywhere.
func (c *Conn) Loop() *Loop { return c.l }

// Data is what SetData or Accept.Data left.
func (c *Conn) Data() any { return c.data }

// SetData attaches the caller's state to the connection.
func (c *Conn) SetData(v any) { c.data = v }

// RemoteAddr is the client's address: the peer's, or what trusted proxies say
// it is. The port is 0 where a proxy did not tell.
func (c *Conn) RemoteAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(c.addr).Unmap(), c.port)
}

func (c *Conn) setAddr(a netip.AddrPort) { c.addr, c.port = a.Addr().As16(), a.Port() }

// Open reports whether frames can be sent: neither side has closed.
func (c *Conn) Open() bool { return c.state == stateOpen }

// Holds is how many bytes the connection's buffers take: queued output, and a
// message under way.
func (c *Conn) Holds() int {
	n := c.Buffered()
	if c.in != nil {
		n += cap(c.in.msg) + cap(c.in.held)
	}
	return n
}

// Pause stops reading after the current message: the peer's TCP window fills.
// A connection that is closing is read on, for the peer's close frame.
func (c *Conn) Pause() {
	if c.state == stateOpen {
		c.set(flagPaused)
	}
}

// Resume goes on reading.
func (c *Conn) Resume() {
	if !c.has(flagPaused) || c.state == stateClosed {
		return
	}
	c.clear(flagPaused)
	c.set(flagReadable)
	c.heard = uint32(c.l.ticks()) // its silence was ours
	c.l.requeue(c)
}

// run adopts the connection: it is the task that the accepting goroutine
// posts.
func (c *Conn) run() {
	l := c.l
	l.adopt(c)
	if c.nc != nil {
		c.nc.start()
		return
	}
	if err := l.register(c); err != nil {
		l.o.Logger.Error("wire: cannot watch a socket", "err", err)
		c.drop(DropReset)
		return
	}
	// The request is there already, mostly.
	c.set(flagReadable)
	l.turn(c)
}

// expire is the connection's timer: its deadlines by state.
func (c *Conn) expire() {
	l := c.l
	l.ran = true
	l.touch()
	switch c.state {
	case stateProxy, stateHandshake:
		c.drop(DropHandshakeTimeout)
	case stateOpen:
		c.expireOpen()
	case stateClosing:
		// RFC 6455 §7.1.1 leaves it to us how long to wait for the peer.
		c.abort(CloseReason{Code: int(c.code), Cause: c.cause})
	case stateDraining:
		c.finish()
	}
}

// takes reports whether the peer has received some of what is on its way since
// this was asked last. A client on a slow line takes minutes to come to a Ping
// that lies behind megabytes in the kernel's buffers, where no write of ours
// shows that it goes on. If nothing is on its way, its kernel has everything,
// and it is the client that does not answer.
func (c *Conn) takes() bool {
	l := c.l
	acked, waiting, ok := c.acked()
	if !ok {
		return c.nc != nil && c.nc.progressed()
	}
	before, known := l.acked[c.slot]
	if l.acked == nil {
		l.acked = make(map[uint32]uint32)
	}
	l.acked[c.slot] = acked
	return known && acked != before && (waiting || c.Buffered() > 0)
}

// expireOpen checks the deadlines of an open connection and starts the timer
// for the next one. Neither reads nor writes move the timer: they note the
// time, and it is found here.
func (c *Conn) expireOpen() {
	l := c.l
	now := uint32(l.ticks())
	next := int64(1 << 30)
	if c.has(flagBlocked|flagPinged) && c.takes() {
		c.since = now
		if c.has(flagPinged) {
			c.heard = now - uint32(l.pings) // it has not come to our Ping yet
		}
	}
	if c.has(flagBlocked) {
		quiet := int64(int32(now - c.since))
		if quiet >= l.stuck {
			c.abort(CloseReason{Code: CodeAbnormal, Cause: DropWriteTimeout})
			return
		}
		next = l.stuck - quiet
	}
	if l.pings > 0 {
		if c.has(flagPaused) {
			c.heard = now // we do not listen
		}
		silent := int64(int32(now - c.heard))
		switch {
		case silent >= 2*l.pings && c.has(flagPinged):
			c.abort(CloseReason{Code: CodeAbnormal, Cause: DropPingTimeout})
			return
		case silent >= l.pings && !c.has(flagPinged):
			c.set(flagPinged)
			c.Ping(nil)
			c.takes() // from here on
			next = min(next, l.pings)
		case c.has(flagPinged):
			next = min(next, 2*l.pings-silent)
		default:
			next = min(next, l.pings-silent)
		}
	}
	if next < 1<<30 {
		l.wheel.start(&c.timer, l.ticks()+max(next, 1))
	}
}

// deadline makes the timer fire in d ticks at the latest.
func (c *Conn) deadline(d int64) {
	l := c.l
	if due := l.ticks() + d; !c.timer.running() || c.timer.due > due {
		l.wheel.start(&c.timer, due)
	}
}
