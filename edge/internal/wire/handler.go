package wire

import (
	"net/http"
	"time"
)

// Handler handles a server's connections. The goroutine of a connection's loop
// makes all calls for it: so a handler needs no locks for its connections, and
// must not block.
type Handler interface {
	// Upgrade decides on a valid WebSocket request; r is valid during the
	// call. A *Rejection refuses with its status, any other error with 500.
	Upgrade(r *Request) (Accept, error)
	// Open is called once the connection is upgraded. Frames that it sends leave
	// together with the response.
	Open(c *Conn)
	// Message is called for each whole message, text (which is UTF-8) or
	// binary. p is borrowed: valid and writable until Message returns.
	Message(c *Conn, text bool, p []byte)
	// Pong is called for each pong, solicited or not; p is borrowed. The calls go
	// on after Close, until the peer's close frame.
	Pong(c *Conn, p []byte)
	// Writable is called once after Send has reported that there is no room,
	// as soon as less than half of Options.WriteBuffer is queued.
	Writable(c *Conn)
	// Hangup reports that the peer has ended its stream (half-closed it, or more)
	// while the connection is paused, so that nothing more comes than what it has
	// sent already. The goroutine transport does not notice before it reads.
	Hangup(c *Conn)
	// Closed is called exactly once for each Open, as the last call for c, and
	// never from inside another call.
	Closed(c *Conn, r CloseReason)
	// Flush is called at the end of each iteration in which anything ran. Then
	// the loop writes the pending frames.
	Flush(l *Loop)
	// Stalled reports that the loop, most likely the whole process, did not run
	// for gap, which is longer than Options.StallLimit. It comes before any
	// further call and before any write, so that the handler can freeze
	// (Conn.Freeze) or drop connections on whose behalf another process may have
	// begun to act meanwhile.
	Stalled(l *Loop, gap time.Duration)
}

// Accept says how a handler agrees to an upgrade.
type Accept struct {
	Protocol string // one of the subprotocols offered, or none
	Data     any    // Conn.Data at Open
}

// Rejection refuses an upgrade: an HTTP answer instead of a connection.
type Rejection struct {
	Status int    // 4xx or 5xx
	Reason string // one sentence for the peer: the body
	Header http.Header
}

func (r *Rejection) Error() string { return r.Reason }
