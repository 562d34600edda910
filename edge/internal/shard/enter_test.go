package shard

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
)

// backTo is a client of the second edition that asks for a session with its handshake.
func backTo(old *testClient, acked bool, attempt uint64, seq ...uint64) dialOptions {
	r := &protocol.Resume{ID: string(old.id), Token: old.token, Attempt: attempt}
	if len(seq) > 0 {
		r.Seq, r.HasSeq = seq[0], true
	}
	return dialOptions{Arrival: Arrival{Second: true, Acked: acked, Resume: r}}
}

// resumed expects that the first message says that the client has its session.
func (c *testClient) resumed(old *testClient) {
	c.l.t.Helper()
	m := c.next()
	if m.text("typ") != protocol.TypeConnection || m.text("bdy", "id") != string(old.id) || m.at("bdy", "resumed") != true || m.at("bdy", "token") != nil {
		c.l.t.Fatalf("greeted with %s", m.raw)
	}
	c.id, c.token = old.id, old.token
}

// TestResumeWithTheHandshake: wherever a session is, the first message says that the
// client has it, and no other session is made.
func TestResumeWithTheHandshake(t *testing.T) {
	for how, end := range map[string]func(*testClient){
		"live":    func(*testClient) {},
		"parked":  func(c *testClient) { c.drop(); c.l.parked(c.id) },
		"leaving": func(c *testClient) { c.leave() },
		"killed":  func(c *testClient) { c.s.node.kill() },
	} {
		for _, acked := range []bool{false, true} {
			t.Run(fmt.Sprint(how, "/acked ", acked), func(t *testing.T) {
				l := newLab(t)
				from, to := l.one(), l.one()
				old := from.dialWith(dialOptions{Arrival: Arrival{Second: true, Acked: acked}})
				l.store(old.id, 0, 2)
				old.gets(0, 2)
				l.advance(time.Second)
				end(old)
				l.store(old.id, 2, 4)
				l.run()
				c := to.knock(backTo(old, acked, 2))
				c.say(object{"to": "hydra-router:/", "typ": "ping", "bdy": 1}) // it may well be in a hurry
				c.resumed(old)
				l.store(old.id, 4, 6)
				c.find(func(m message) bool { return m.text("mid") == "stored-5" })
				c.find(func(m message) bool { return m.text("typ") == protocol.TypePong })
				if how == "live" {
					old.closed(protocol.CloseTakenOver)
				}
				l.run()
				if n := len(l.nats.entries); n != 1 {
					t.Errorf("%d sessions are in the directory", n)
				}
				if e := l.entry(old.id); e.Node != to.node.ID || e.State != scheme.StateLive || e.Attempt != 2 {
					t.Errorf("%+v", e)
				}
				if opened, resumed := to.node.metric(`hydrant_session_events_total{what="opened"}`), to.node.metric(`hydrant_session_events_total{what="resumed"}`); opened != 0 || resumed != 1 {
					t.Errorf("%v are opened, %v resumed", opened, resumed)
				}
			})
		}
	}
}

// TestResumeWithTheHandshakeBySequence: nothing comes twice, since the client names the
// last message that it has.
func TestResumeWithTheHandshakeBySequence(t *testing.T) {
	l := newLab(t)
	s := l.one()
	old := s.dialAcked()
	l.store(old.id, 0, 4)
	var last string
	for range 3 {
		last = old.next().text("hdr", "x-seq")
	}
	old.drop()
	l.parked(old.id)
	var seq uint64
	if _, err := fmt.Sscan(last, &seq); err != nil {
		t.Fatal(err)
	}
	c := s.knock(backTo(old, true, 2, seq))
	c.resumed(old)
	c.gets(3, 4)
	c.quiet()
}

// TestResumeWithTheHandshakeRefused: a fresh session stands in the first message, with
// its own secret, and why it is not the one that was asked for.
func TestResumeWithTheHandshakeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		owner, by access.Identity
		change    func(*protocol.Resume)
		want      protocol.Outcome
	}{
		"no such session":    {change: func(r *protocol.Resume) { r.ID = string(scheme.NewSID()) }, want: protocol.ResumeExpired},
		"no id":              {change: func(r *protocol.Resume) { r.ID = "x" }, want: protocol.ResumeExpired},
		"a wrong token":      {change: func(r *protocol.Resume) { r.Token = "x" }, want: protocol.ResumeToken},
		"another's identity": {owner: access.Identity{Name: "ann"}, by: access.Identity{Name: "bob"}, want: protocol.ResumeIdentity},
	} {
		for _, live := range []bool{true, false} {
			t.Run(fmt.Sprint(name, "/live ", live), func(t *testing.T) {
				l := newLab(t)
				s := l.one()
				old := s.dialWith(dialOptions{Arrival: Arrival{Identity: c.owner}}) // also of the first edition: the secret is asked for
				if !live {
					l.store(old.id, 0, 1)
					old.gets(0, 1)
					old.drop()
					l.parked(old.id)
				}
				o := backTo(old, false, 2)
				o.Identity = c.by
				if c.change != nil {
					c.change(o.Resume)
				}
				client := s.knock(o)
				m := client.next()
				if m.text("typ") != protocol.TypeConnection || m.at("bdy", "resumed") != false || m.text("bdy", "why") != c.want.String() ||
					m.text("bdy", "token") == "" || m.text("bdy", "id") == string(old.id) {
					t.Fatalf("greeted with %s", m.raw)
				}
				client.id = scheme.SID(m.text("bdy", "id"))
				client.serves()
				l.store(client.id, 1, 2)
				client.gets(1, 2)
				l.advance(2 * s.node.Config.HandshakeTimeout)
				client.serves()
				if live {
					old.serves()
				}
				if n := s.node.metric(fmt.Sprintf("hydrant_resumes_total{result=%q}", c.want)); n != 1 {
					t.Errorf("%v are counted", n)
				}
			})
		}
	}
}

// TestResumeWithTheHandshakeOvertaken: a newer connection of the client has the session.
func TestResumeWithTheHandshakeOvertaken(t *testing.T) {
	l := newLab(t)
	s, other := l.one(), l.one()
	old := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	newer := s.knock(backTo(old, false, 3))
	newer.resumed(old)
	older := other.knock(backTo(old, false, 2))
	older.closed(protocol.CloseTakenOver)
	newer.serves()
	if len(l.nats.entries) != 1 {
		t.Error("a session was made")
	}
}

// TestGuessesWithTheHandshake: unknown ids are counted by address, whichever way they
// are asked for, and no session is given for one that is too many.
func TestGuessesWithTheHandshake(t *testing.T) {
	l := newLab(t)
	s := l.one()
	old := s.dial()
	o := backTo(old, false, 1)
	o.addr = "192.0.2.9"
	guess := func() *testClient {
		o.Resume = &protocol.Resume{ID: string(scheme.NewSID()), Token: "x", Attempt: 1}
		return s.knock(o)
	}
	addr := netip.MustParseAddr(o.addr)
	guess().welcomed()
	left := 0
	for ; s.node.Guesses.Left(addr, l.clock()); left++ {
		s.node.Guesses.Allow(addr, l.clock())
	}
	if left > 999 {
		t.Errorf("%d guesses are left after one", left)
	}
	c := guess()
	c.closed(protocol.CloseOverload) // it is not even looked whether there is such a session
	if len(c.got) > 0 {
		t.Errorf("got %s", c.got[0].raw)
	}
	o.addr, o.Resume = "192.0.2.10", backTo(old, false, 1).Resume
	s.knock(o).resumed(old)
}

// TestHandshakeResumeWithoutRoom: where there are no fresh sessions, those that there
// are go on, and who asks for another one is asked to come back.
func TestHandshakeResumeWithoutRoom(t *testing.T) {
	for _, signed := range []bool{false, true} {
		l := newLab(t)
		s := l.one(func(n *Node) {
			if signed {
				n.Signatures = access.NewSignatures([]string{"0123456789abcdef"}, time.Minute, func() {})
			}
		})
		old := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
		s.node.Full.Store(true)
		s.knock(backTo(old, false, 2)).resumed(old)
		o := backTo(old, false, 3)
		o.Resume.ID = string(scheme.NewSID())
		c := s.knock(o)
		c.closed(protocol.CloseOverload)
		if len(c.got) > 0 {
			t.Errorf("got %s", c.got[0].raw)
		}
	}
}

// TestHandshakeResumeInTime: a directory that does not answer ends the connection.
func TestHandshakeResumeInTime(t *testing.T) {
	l := newLab(t)
	s := l.one()
	old := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	s.node.pool.hold()
	c := s.knock(backTo(old, false, 2))
	l.advance(2 * s.node.Config.HandshakeTimeout)
	c.closed(protocol.CloseOverload)
	s.node.pool.let()
	old.serves()
	if len(s.claims) != 0 {
		t.Error("the claim stays")
	}
	s.node.pool.slow = s.node.Config.HandshakeTimeout / 2
	l.nats.faults.save = func(*egress.Op) fault { return fault{after: time.Hour} }
	o := backTo(old, false, 3)
	o.Resume.Token = "x"
	const late = `hydrant_dropped_total{reason="open_timeout"}`
	began, before := l.now, s.node.metric(late)
	c = s.knock(o) // it is given a fresh one, and time for that
	c.closed(protocol.CloseOverload)
	if took := l.now - began; s.node.metric(late) != before+1 || took < s.node.Config.HandshakeTimeout+s.node.pool.slow {
		t.Errorf("%v after %v", s.node.metric(late)-before, took)
	}
}

// TestSocketGoesDuringAHandshakeResume: at whichever step, and whether it ends at once
// or says goodbye. The session is neither lost nor kept by a socket that is gone.
func TestSocketGoesDuringAHandshakeResume(t *testing.T) {
	for _, live := range []bool{false, true} {
		for name, end := range map[string]func(*testClient){"drop": (*testClient).drop, "hang up": func(c *testClient) { c.say(object{"to": "svc:/", "bdy": 1}); c.leave() }} {
			t.Run(fmt.Sprint(name, "/live ", live), func(t *testing.T) {
				for steps := range 25 {
					l := newLab(t)
					here, there := l.one(), l.one()
					old := there.dialWith(dialOptions{Arrival: Arrival{Second: true}})
					if !live {
						l.store(old.id, 9, 10)
						old.gets(9, 10)
						old.drop()
						l.parked(old.id)
					}
					l.store(old.id, 0, 2)
					l.nats.faults.save = func(*egress.Op) fault { return fault{after: 10 * time.Millisecond} }
					c := here.knock(backTo(old, false, 2))
					for range steps {
						l.step(l.now + 50*time.Millisecond)
					}
					end(c)
					l.advance(5 * time.Second)
					if n := len(here.held) + len(here.claims); n != 0 {
						t.Fatalf("after %d steps: %d sessions are held", steps, n)
					}
					again := here.knock(backTo(old, false, 3))
					again.resumed(old)
					l.store(old.id, 2, 3)
					again.find(func(m message) bool { return m.text("mid") == "stored-2" })
					if came := cameTo(old, c, again); !came["stored-0"] || !came["stored-1"] {
						t.Fatalf("after %d steps: %v came", steps, came)
					}
				}
			})
		}
	}
}

// TestHandshakeResumeAfterAuthentication: who it is is known first.
func TestHandshakeResumeAfterAuthentication(t *testing.T) {
	l := newLab(t)
	s := authenticated(l, func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: []byte(`{"result":{"identity":"ann"}}`)} })
	old := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	c := s.knock(backTo(old, false, 2))
	m := c.next()
	if m.at("bdy", "resumed") != true || m.at("bdy", "authResponse") == nil {
		t.Errorf("greeted with %s", m.raw)
	}
}

// TestGoneBeforeTheHandshakeResume: a client that has hung up by the time that it is
// known who it is takes nothing from the connection that it has gone to.
func TestGoneBeforeTheHandshakeResume(t *testing.T) {
	l := newLab(t)
	var gone *testClient
	s := authenticated(l, func(*nats.Msg) *nats.Msg {
		if gone != nil {
			gone.s.do(gone.sock.hangUp)
		}
		return &nats.Msg{Data: []byte(`{"result":{"identity":"ann"}}`)}
	})
	old := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	rev := l.nats.rev
	gone = s.knock(backTo(old, false, 2))
	l.run()
	if l.nats.rev != rev || gone.sock.state != socketClosed {
		t.Errorf("it has written the directory: %+v; its connection is %v", l.entry(old.id), gone.sock.state)
	}
	old.serves()
}
