package wire

import (
	"testing"
	"time"
)

// heldConn is a connection whose answer to the handshake has not left.
func heldConn(t *testing.T, o Options, long time.Duration) (*recorder, *testServer, *peer, *Conn) {
	t.Helper()
	h := newRecorder(t)
	h.open = func(c *Conn) { c.Hold(long) }
	s := serve(t, o, h, nil)
	p := dialRaw(t, s)
	p.send([]byte(upgradeRequest()))
	c := h.conn()
	on(t, c, func() {}) // the iteration in which it was opened is over
	if n := s.Stats().Writes; n != 0 && c.nc == nil && long == time.Hour {
		t.Errorf("%d writes", n)
	}
	return h, s, p, c
}

// TestHold: the answer to the handshake leaves with the first message.
func TestHold(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		_, s, p, c := heldConn(t, o, time.Hour)
		on(t, c, func() { c.Send([]byte("welcome")) })
		p.wantUpgraded()
		p.want(text, "welcome")
		on(t, c, func() {})
		if n := s.Stats().Writes; n != 1 && c.nc == nil {
			t.Errorf("%d writes", n)
		}
		on(t, c, func() { c.Hold(time.Hour) }) // there is nothing to hold any more
		p.send(hello)
		p.want(text, "Hello")
		on(t, c, func() {
			c.Send([]byte("next"))
			c.Hold(time.Hour) // what is queued is no answer to a handshake
		})
		p.want(text, "next")
	})
}

// TestHoldEnds: the answer leaves after a while, though nothing follows.
func TestHoldEnds(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.PingInterval = time.Hour
		_, _, p, c := heldConn(t, o, time.Millisecond)
		p.wantUpgraded()
		p.send(hello)
		p.want(text, "Hello")
		on(t, c, func() {
			if c.has(flagHeld) || !c.timer.running() {
				t.Error("it is held, or will never be pinged")
			}
		})
	})
}

// TestHeldConnectionEnds: whatever ends a connection, its peer gets the answer to the
// handshake, and what follows is as if it had not been held.
func TestHeldConnectionEnds(t *testing.T) {
	closed := func(p *peer) {
		p.want(0x88, "\x11\x95taken over")
		p.send(clientClose(4501, ""))
		p.wantEnd()
	}
	for name, k := range map[string]struct {
		does func(c *Conn)
		then func(p *peer)
	}{
		"closed":             {func(c *Conn) { c.Close(4501, "taken over") }, closed},
		"discarded":          {func(c *Conn) { c.Discard(4501, "taken over") }, closed},
		"frozen, discarded":  {func(c *Conn) { c.Freeze(); c.Send([]byte("not ours")); c.Discard(4501, "taken over") }, closed},
		"frozen":             {func(c *Conn) { c.Freeze() }, func(*peer) {}},
		"frozen, and thawed": {func(c *Conn) { c.Freeze(); c.Send([]byte("ours")); c.Thaw() }, func(p *peer) { p.want(text, "ours") }},
		"failed":             {func(c *Conn) { c.fail(errOverload) }, func(p *peer) { p.wantClose(CodeOverload) }},
		"the peer goes":      {func(c *Conn) { c.drain(CloseReason{Code: CodeAbnormal, Cause: DropPeer}) }, (*peer).wantEnd},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !haveEpoll {
				return // nothing is held
			}
			_, _, p, c := heldConn(t, Options{Transport: TransportEpoll}, time.Hour)
			on(t, c, func() { k.does(c) })
			p.wantUpgraded()
			k.then(p)
		})
	}
}
