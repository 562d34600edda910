package wire

import (
	"net"
	"testing"
)

// TestHangup: the end of the peer's stream is told while the connection is paused,
// once, and what the peer has sent before is read all the same.
func TestHangup(t *testing.T) {
	o := Options{Transport: TransportEpoll}
	told := make(chan *Conn, 2)
	h, _, p, c := openedConn(t, o)
	on(t, c, func() {
		h.hangup = func(c *Conn) { told <- c }
		c.Pause()
	})
	p.send(hello)
	_ = p.Conn.(*net.TCPConn).CloseWrite()
	if got := <-told; got != c {
		t.Error("another connection")
	}
	hungUp := false
	on(t, c, func() {
		hungUp = c.HungUp()
		c.Resume()
	})
	if !hungUp {
		t.Error("not noted")
	}
	p.want(text, "Hello")
	h.wantClosed(DropEOF, CodeAbnormal)
	if len(told) > 0 {
		t.Error("told twice")
	}
}
