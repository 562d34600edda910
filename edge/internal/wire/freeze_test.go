package wire

import (
	"testing"
	"time"
)

// TestFreeze: nothing leaves a frozen connection, and everything once it is thawed.
func TestFreeze(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		_, s, p, c := openedConn(t, o)
		on(t, c, func() {
			c.Freeze()
			c.Send([]byte("frozen"))
		})
		p.send(hello) // its echo is queued behind
		eventually(t, "the echo is queued", func() bool {
			n := 0
			on(t, c, func() { n = c.Buffered() })
			return n == len("frozen")+2+len("Hello")+2
		})
		if n := s.Stats().Writes; n != 1 {
			t.Errorf("%d writes", n)
		}
		on(t, c, func() { c.Thaw() })
		p.want(text, "frozen")
		p.want(text, "Hello")
	})
}

// TestFreezeThenPeerCloses: the queue of a frozen connection never leaves.
func TestFreezeThenPeerCloses(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h, _, p, c := openedConn(t, o)
		on(t, c, func() {
			c.Freeze()
			c.Send([]byte("frozen"))
		})
		p.send(bye)
		h.wantClosed(DropPeer, 1000)
		if b, err := p.r.ReadByte(); err == nil {
			t.Errorf("byte %02x was written", b)
		}
	})
}

// TestFreezeWhileDraining: the process stops just after it has read the peer's close
// frame. The handler has no connection any more that it could thaw.
func TestFreezeWhileDraining(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.CloseTimeout = time.Hour
		h, s, p, c := openedConn(t, o)
		on(t, c, func() {
			c.Send([]byte("perhaps not ours"))
			c.peerClosed(nil)
			c.Freeze()
		})
		h.wantClosed(DropPeer, 1005)
		eventually(t, "the connection has ended", func() bool { return s.Stats().Connections == 0 })
		if b, err := p.r.ReadByte(); err == nil {
			t.Errorf("byte %02x was written", b)
		}
	})
}

func TestDiscard(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h, _, p, c := openedConn(t, o)
		on(t, c, func() {
			c.Freeze()
			c.Send([]byte("not ours"))
			c.Discard(4501, "taken over")
		})
		p.want(0x88, "\x11\x95taken over")
		p.send(clientClose(4501, ""))
		p.wantEnd()
		h.wantClosed(DropLocal, 4501)
	})
}

// TestDiscardClosing: a frozen connection is closed, and then its queue proves to be
// another's to send. The peer is told why it was closed, and nothing else.
func TestDiscardClosing(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h, _, p, c := openedConn(t, o)
		on(t, c, func() {
			c.Freeze()
			c.Send([]byte("not ours"))
			c.Send(make([]byte, 70000))
			c.Close(4503, "kicked")
			c.Discard(4501, "taken over")
		})
		p.want(0x88, "\x11\x97kicked")
		p.send(clientClose(4503, ""))
		p.wantEnd()
		h.wantClosed(DropLocal, 4503)
	})
}

// TestDiscardHalfWritten: a peer would take a close frame in the middle of another
// frame for payload.
func TestDiscardHalfWritten(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.WriteBuffer = 16 << 10
		h := newRecorder(t)
		s := serveNarrow(t, o, h)
		p := dial(t, s)
		c := h.conn()
		setReceiveBuffer(t, p, 48<<10)
		on(t, c, func() { c.Send(make([]byte, 8<<20)) })
		eventually(t, "a part is written", func() bool { return o.TLS != nil || o.Transport == TransportConn || s.Stats().BytesOut > 1000 })
		on(t, c, func() { c.Discard(4501, "taken over") })
		h.wantClosed(DropStuck, 4501)
		p.wantGone()
	})
}
