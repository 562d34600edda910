package wire

import (
	"log/slog"
	"testing"
	"time"
)

// noPoller is the poller of a loop that a test drives itself.
type noPoller struct{}

func (noPoller) arm(time.Time, time.Time) {}
func (noPoller) wait(bool) error          { return nil }
func (noPoller) dispatch(*Loop)           {}
func (noPoller) wake()                    {}
func (noPoller) close() error             { return nil }

// bare is a connection without a socket, on a loop without a goroutine. The test
// feeds bytes to its parser, and reads its queue. Since it has no descriptor, the
// test must not flush it.
type bare struct {
	l *Loop
	c *Conn
}

func newBare(t testing.TB, o Options, h Handler) *bare {
	t.Helper()
	o.Transport, o.Loops, o.Logger = TransportConn, 1, slog.New(slog.DiscardHandler)
	if err := o.setDefaults(); err != nil {
		t.Fatal(err)
	}
	s := &Server{o: o, h: h, log: o.Logger}
	s.memory.limit = o.BufferMemory
	s.plain = newPlainServer(s, nil)
	l := newLoop(s, 0, noPoller{})
	c := &Conn{l: l, fd: -1, state: stateHandshake}
	l.adopt(c)
	c.set(flagBlocked) // there is no socket to write to
	return &bare{l, c}
}

// opened is newBare after the handshake.
func opened(t testing.TB, o Options, h Handler) *bare {
	t.Helper()
	b := newBare(t, o, h)
	b.c.state = stateOpen
	b.c.set(flagOpened)
	return b
}

// feed has the connection read p.
func (b *bare) feed(p []byte) {
	for len(p) > 0 && b.c.state <= stateClosing {
		k := 0
		if b.c.in != nil {
			k = len(b.c.in.stashed)
		}
		n := copy(b.l.buf[k:], p)
		b.c.took(k, n)
		p = p[n:]
		for len(b.l.again) > 0 && b.c.state <= stateClosing { // the rest after the frame budget
			b.l.runAgain()
		}
	}
}

// output returns the queue.
func (b *bare) output() []byte {
	if b.c.out == nil {
		return nil
	}
	return b.c.out.buf[b.c.out.off:]
}

// reset drops the queue, as if it had left.
func (b *bare) reset() {
	if o := b.c.out; o != nil {
		b.c.out = nil
		b.l.buffers.putOut(o)
	}
	b.l.dirty = b.l.dirty[:0]
	b.c.clear(flagDirty)
}

// echoHandler is the plainest handler.
type echoHandler struct{}

func (echoHandler) Upgrade(*Request) (Accept, error)     { return Accept{}, nil }
func (echoHandler) Open(*Conn)                           {}
func (echoHandler) Message(c *Conn, text bool, p []byte) { echoTo(c, text, p) }
func (echoHandler) Pong(*Conn, []byte)                   {}
func (echoHandler) Writable(c *Conn)                     { c.Resume() }
func (echoHandler) Hangup(*Conn)                         {}
func (echoHandler) Closed(*Conn, CloseReason)            {}
func (echoHandler) Flush(*Loop)                          {}
func (echoHandler) Stalled(*Loop, time.Duration)         {}
