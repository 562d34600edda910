package wire

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/gobwas/ws"
)

// state is the state of a connection. It only ever moves down this list.
type state uint8

const (
	stateProxy     state = iota // waits for a PROXY header
	stateHandshake              // waits for a request head
	stateOpen                   // upgraded
	stateClosing                // our close frame is queued; waits for the peer's (RFC 6455 §7.1.2)
	stateDraining               // parses nothing more: writes, half-closes, reads to the end (RFC 6455 §7.1.1)
	stateClosed                 // the socket is gone
)

// flag is one bit of a connection's condition.
type flag uint32

const (
	flagDirty    flag = 1 << iota // in Loop.dirty
	flagAgain                     // in Loop.again
	flagReadable                  // the kernel, or the reading goroutine, may have more
	flagHangup                    // the peer has ended its stream: read on until the end shows
	flagPaused                    // Pause
	flagFrozen                    // Freeze
	flagNoRoom                    // Send has refused: Writable is due
	flagBlocked                   // the kernel takes no more, since Conn.since
	flagPinged                    // a keepalive Ping is out
	flagOpened                    // Open was called, Closed is due
	flagEOF                       // the peer's end has been read
	flagFinished                  // our end has been sent (shutdown)
	flagWriteArm                  // the descriptor is registered for EPOLLOUT
	flagCounted                   // counted by address
	flagDeflate                   // permessage-deflate was agreed
	flagTrusted                   // the address is a trusted proxy's
	flagProxy                     // the peer is a trusted proxy, whoever it speaks for
	flagTakes                     // TakeRest
	flagHeld                      // Hold: what is queued waits for more
)

// Conn is a connection. It belongs to its loop: all its methods but Loop must be
// called on the loop's goroutine, and do nothing once Closed has been called. It
// keeps no buffer while nothing is under way, so its size is the cost of an idle
// connection. That is why it is flat: a struct for each concern would be padded
// to whole words. Its many methods belong to one life, and lie in one file for
// each part of it: handshake, read, stash, write, close.
type Conn struct {
	timer timer // the earliest deadline; expire finds out which one it is

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
	over     uint32 // bytes of the frame with which the room ran out; once it closes, those that came since
	code     uint16 // our close code, from stateClosing on
	port     uint16
	flags    flag
	state    state
	cause    Drop  // why code was sent
	window   uint8 // server_max_window_bits of RFC 7692, 0: 15
	pings    uint8 // sent by Ping and not answered, so that the pongs are no flood
	addr     [16]byte
}

// inbound is the part of a connection that exists in the middle of a message.
type inbound struct {
	msg       []byte // payload so far, unmasked
	stashed   []byte // received, not parsed yet: half a header or control frame, or the rest after a Pause
	left      int64  // bytes of the current frame's payload still to come
	valid     int    // bytes of msg known to be UTF-8
	pos       int    // place in mask
	fragments int
	begun     uint32 // tick of the message's first byte
	mask      [4]byte
	op        ws.OpCode // of the message; OpContinuation: none has begun
	fin       bool      // the current frame is its last
	deflated  bool
	unparsed  bool // Pause or the frame budget left stashed behind: parse it before reading on
}

// outbound is the output queue of a connection: whole frames, the first of which
// may have left in part.
type outbound struct {
	buf  []byte
	off  int // bytes of buf that have left
	head int // bytes of buf that are an HTTP response, before the first frame
	owed int // at least the bytes of pongs among them; counted anew at the bound, without those that have left
}

func (c *Conn) has(f flag) bool { return c.flags&f != 0 }
func (c *Conn) set(f flag)      { c.flags |= f }
func (c *Conn) clear(f flag)    { c.flags &^= f }

// Loop returns the loop that owns the connection. Any goroutine may call it.
func (c *Conn) Loop() *Loop { return c.l }

// Data returns the value of the last SetData, or else Accept.Data.
func (c *Conn) Data() any { return c.data }

// SetData attaches a value of the caller to the connection.
func (c *Conn) SetData(v any) { c.data = v }

// RemoteAddr returns the client's address: the peer's, or the one that trusted
// proxies report. The port is 0 if a proxy did not report it.
func (c *Conn) RemoteAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(c.addr).Unmap(), c.port)
}

func (c *Conn) setAddr(a netip.AddrPort) { c.addr, c.port = a.Addr().As16(), a.Port() }

// Open reports whether frames can be sent: neither side has closed.
func (c *Conn) Open() bool { return c.state == stateOpen }

// Footprint returns how many bytes the connection's buffers take: queued output,
// and a message under way.
func (c *Conn) Footprint() int {
	n := c.Buffered()
	if c.in != nil {
		n += cap(c.in.msg) + cap(c.in.stashed)
	}
	return n
}

// HungUp reports that the peer has ended its stream: see [Handler.Hangup].
func (c *Conn) HungUp() bool { return c.has(flagHangup) }

// Pause stops the reading after the current message, so that the peer's TCP window
// fills. A connection that is closing reads on, for the peer's close frame, unless
// its messages are taken.
func (c *Conn) Pause() {
	if c.takes() {
		c.set(flagPaused)
	}
}

// Resume ends a Pause.
func (c *Conn) Resume() {
	if !c.has(flagPaused) || c.state == stateClosed {
		return
	}
	c.clear(flagPaused)
	c.set(flagReadable)
	c.heard = uint32(c.l.ticks()) // the silence was ours
	c.l.requeue(c)
}

// run adopts the connection. The accepting goroutine posts it as a task.
func (c *Conn) run() {
	l := c.l
	l.adopt(c)
	if c.nc != nil {
		c.nc.start()
		return
	}
	c.watch()
}

// watch has the loop read a raw descriptor.
func (c *Conn) watch() {
	l := c.l
	if err := l.register(c); err != nil {
		l.o.Logger.Error("wire: cannot watch a socket", "err", err)
		c.drop(DropReset)
		return
	}
	// In most cases the request is there already.
	c.set(flagReadable)
	l.turn(c)
}

// expire handles the connection's timer: each state has its own deadline.
func (c *Conn) expire() {
	l := c.l
	l.ran = true
	l.touch()
	switch c.state {
	case stateProxy, stateHandshake:
		if n := c.nc; n != nil && n.conf != nil && !n.begun {
			if n.isLate {
				c.drop(DropHandshakeTimeout)
			} else {
				n.late()
			}
			return
		}
		if c.state == stateProxy {
			c.drop(DropHandshakeTimeout) // whoever has to begin with that header expects no HTTP
			return
		}
		c.refuse(nil, http.StatusRequestTimeout, "no complete request in time", nil, DropHandshakeTimeout)
	case stateOpen:
		if c.has(flagHeld) {
			c.clear(flagHeld)
			l.soil(c)
		}
		c.expireOpen()
	case stateClosing:
		// RFC 6455 §7.1.1 does not say how long to wait for the peer.
		c.abort(CloseReason{Code: int(c.code), Cause: c.cause})
	case stateDraining:
		c.finish()
	}
}

// progresses reports whether the peer has received any bytes since the last call. A
// client on a slow line may need minutes to reach a Ping that lies behind
// megabytes in the kernel's buffers, and no write of ours shows that it is
// making progress. If nothing is on its way, the peer's kernel has everything,
// and the client itself does not answer.
func (c *Conn) progresses() bool {
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

// progressed notes that the peer takes bytes now.
func (c *Conn) progressed() {
	now := uint32(c.l.ticks())
	c.since = now
	if c.has(flagPinged) {
		c.heard = now - uint32(c.l.pings) // it has not come to our Ping yet
	}
}

// lateBytes of a message give it a second more to arrive: who sends slower than that
// holds memory for longer than the message is worth.
const lateBytes = 8 << 10

// expireOpen checks the deadlines of an open connection and starts the timer for
// the next one. Reads and writes do not move the timer: they only note the time,
// and expireOpen works with that.
func (c *Conn) expireOpen() {
	l := c.l
	now := uint32(l.ticks())
	next := int64(1 << 30)
	if c.has(flagBlocked|flagPinged) && c.progresses() {
		c.progressed()
	}
	if c.has(flagBlocked) {
		quiet := int64(int32(now - c.since))
		if quiet >= l.stuck {
			c.abort(CloseReason{Code: CodeAbnormal, Cause: DropWriteTimeout})
			return
		}
		next = l.stuck - quiet
	}
	if in := c.in; in != nil && in.op != ws.OpContinuation {
		if c.has(flagPaused) {
			in.begun = now // it is not read
		}
		left := l.late + ticksAfter(time.Duration(len(in.msg)/lateBytes)*time.Second) - int64(int32(now-in.begun))
		if left <= 0 {
			c.fail(errLateMessage)
			return
		}
		next = min(next, left)
	}
	if l.pings > 0 {
		if c.has(flagPaused) {
			c.heard = now // the silence is ours
		}
		silent := int64(int32(now - c.heard))
		switch {
		case silent >= 2*l.pings && c.has(flagPinged):
			c.abort(CloseReason{Code: CodeAbnormal, Cause: DropPingTimeout})
			return
		case silent >= l.pings && !c.has(flagPinged):
			c.set(flagPinged)
			c.Ping(nil)
			c.progresses() // from here on
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
