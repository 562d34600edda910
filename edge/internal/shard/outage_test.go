package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// TestAnotherConnection: after a connection that was given up the shard listens again
// for every session, and before the markers that are to be heard; after a reconnect,
// where nats.go does that, it does not.
func TestAnotherConnection(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.store(c.id, 0, 3)
	c.gets(0, 3)
	since := func(epoch uint64) (subscribed, marked int) {
		s.node.epoch = epoch
		from := len(s.out.done)
		s.do(func() { s.Connected(epoch) })
		l.advance(time.Second)
		subscribed, marked = -1, -1
		for i, op := range s.out.done[from:] {
			switch {
			case op.Kind == stats.OpSubscribe && op.Subject == scheme.LiveWildcard(c.id) && op.Channel == s.live:
				subscribed = i
			case op.Kind == stats.OpMark && op.SID == c.id && marked < 0:
				marked = i
			}
		}
		return subscribed, marked
	}
	if subscribed, marked := since(Epoch(1, 1)); subscribed >= 0 || marked < 0 {
		t.Errorf("after a reconnect: subscribed %d, marked %d", subscribed, marked)
	}
	l.nats.listeners = make(map[string][]*testShard) // they are gone with the connection
	clear(l.nats.subscribed)
	if subscribed, marked := since(Epoch(2, 0)); subscribed < 0 || marked < subscribed {
		t.Errorf("after another connection: subscribed %d, marked %d", subscribed, marked)
	}
	l.store(c.id, 3, 6)
	c.gets(3, 6)
	if subscribed, _ := since(Epoch(1, 9)); subscribed >= 0 {
		t.Error("an epoch of the connection before counts")
	}
}

// TestTokenEndsWhileAsleep: while a machine sleeps, timers stand still and the time of
// day goes on. On waking the tokens are looked at, whether or not their clients have a
// session yet.
func TestTokenEndsWhileAsleep(t *testing.T) {
	l := newLab(t)
	s := l.one()
	until := func(d time.Duration) dialOptions {
		return dialOptions{Arrival: Arrival{Identity: access.Identity{Name: "ann", Expires: l.clock().Add(d)}}}
	}
	short, long, endless := s.dialWith(until(time.Hour)), s.dialWith(until(3*time.Hour)), s.dial()
	const night = 2 * time.Hour
	s.doze()
	l.start = l.start.Add(night)
	s.awake(night)
	l.run()
	short.closed(protocol.CloseUnauthentic)
	long.serves()
	l.advance(time.Hour + 2*time.Second)
	long.closed(protocol.CloseUnauthentic)
	endless.serves()
}

// TestUnconfirmed: what may have been stored is told as such, and what was not sent is
// told as that, though it is a look-up that was not confirmed.
func TestUnconfirmed(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, to := s.dial(), s.dial()
	l.nats.faults.store = func(scheme.SID) fault { return fault{err: store.ErrUnconfirmed} }
	c.refused(protocol.CodeTimeout, object{"to": to.address(), "bdy": 1})
	if m := to.next(); m.text("frm") == "" { // it was stored
		t.Errorf("got %s", m.raw)
	}
	l.nats.faults.store = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
	c.refused(protocol.CodeUnavailable, object{"to": to.address(), "bdy": 2})
	l.nats.faults.store = nil
	l.nats.faults.look = func(scheme.SID) fault { return fails(store.ErrUnconfirmed) }
	c.refused(protocol.CodeUnavailable, object{"to": protocol.ClientAddress(string(scheme.NewSID())), "bdy": 3})
}
