package wire

import (
	"net/http"
	"time"
)

// Handler is what a server's connections are handed to. Every call for a
// connection is made by the goroutine of its loop: there is nothing to lock,
// and nothing may block.
type Handler interface {
	// Upgrade decides on a valid WebSocket request; r is valid during the
	// call. A *Rejection refuses with its status, any other error with 500.
	Upgrade(r *Request) (Accept, error)
	// Open is called once the connection is upgraded. What it sends leaves
	// together with the response.
	Open(c *Conn)
	// Message is a whole text (UTF-8) or binary message. p is borrowed: valid
	// and writable until Message returns.
	Message(c *Conn, text bool, p []byte)
	// Pong is any pong, asked for or not; p is borrowed. It is still called
	// after Close, until the peer's close frame.
	Pong(c *Conn, p []byte)
	// Writable is called once after Send has reported that there is no room,
	// as soon as less than half of Options.WriteBuffer is queued.
	Writable(c *Conn)
	// Closed is called exactly once per Open, as the last call for c, and never
	// from inside another call.
	Closed(c *Conn, r CloseReason)
	// Flush ends an iteration of the loop in which anything ran: after it,
	// pending frames are written.
	Flush(l *Loop)
	// Stalled reports that the loop, most likely the whole process, did not
	// run for gap, which is longer than Options.StallLimit. It comes before
	// any further call and before any write, so that connections whose session
	// may have moved meanwhile can be held (Conn.Hold) or dropped.
	Stalled(l *Loop, gap time.Duration)
}

// Accept is a handler's consent to an upgrade.
type Accept struct {
	Protocol string // subprotocol, one of those offered, or none
	Data     any    // Conn.Data at Open
}

// Rejection refuses an upgrade: an HTTP answer instead of a connection.
type Rejection struct {
	Status int    // 4xx or 5xx
	Reason string // one sentence for the peer: the body
	Header http.Header
}

func (r *Rejection) Error() string { return r.Reason }
