package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
)

// TestRequestOfAClientThatHasGone: a request for a session arrives late, with the
// end of its connection behind it. It claims nothing, whenever that end is noticed,
// and the connection that has the session by then keeps it. Old clients give no
// number that would tell.
func TestRequestOfAClientThatHasGone(t *testing.T) {
	for name, end := range map[string]func(l *lab, c *testClient, sid scheme.SID){
		"with the request": func(l *lab, c *testClient, sid scheme.SID) {
			c.sock.hungUp = true
			c.asks(object{"id": string(sid)})
			c.s.do(c.sock.hangUp)
		},
		"while the entry is read": func(l *lab, c *testClient, sid scheme.SID) {
			c.s.node.pool.hold()
			c.asks(object{"id": string(sid)})
			l.run()
			c.s.do(c.sock.hangUp)
			c.s.node.pool.let()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			has, late := l.one(), l.one()
			kept := has.dial()
			gone := late.dial()
			end(l, gone, kept.id)
			l.advance(10 * time.Second)
			if e := l.entry(kept.id); e.Node != has.node.ID || e.State != scheme.StateLive {
				t.Errorf("%+v", e)
			}
			l.store(kept.id, 0, 2)
			kept.gets(0, 2)
			if len(late.claims) != 0 {
				t.Error("the claim is left")
			}
			l.parked(gone.id)
		})
	}
}
