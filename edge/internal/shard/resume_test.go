package shard

import (
	"fmt"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
)

// TestResume: from wherever a session is, it comes to the socket that asks, with
// what is in its mailbox, and the socket that had it is closed.
func TestResume(t *testing.T) {
	for name, place := range map[string]func(*lab) (from, to *testShard){
		"same loop":      func(l *lab) (from, to *testShard) { s := l.one(); return s, s },
		"same node":      func(l *lab) (from, to *testShard) { n := l.node(2); return n.shards[0], n.shards[1] },
		"another node":   func(l *lab) (from, to *testShard) { return l.one(), l.one() },
		"a node of more": func(l *lab) (from, to *testShard) { n := l.node(3); return n.shards[2], l.one() },
	} {
		for how, end := range map[string]func(*testClient){
			"live":    func(*testClient) {},
			"parked":  func(c *testClient) { c.drop(); c.l.parked(c.id) },
			"leaving": func(c *testClient) { c.leave() },
			"killed":  func(c *testClient) { c.s.node.kill() },
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				l := newLab(t)
				from, to := place(l)
				if how == "killed" && from.node == to.node {
					return
				}
				old, c := from.dial(), to.dial()
				l.store(old.id, 0, 2)
				old.gets(0, 2)
				l.advance(time.Second)
				end(old)
				l.store(old.id, 2, 4)
				c.resumes(object{"id": string(old.id)})
				l.store(old.id, 4, 6)
				if how == "live" {
					old.gets(2, 4)
					c.gets(4, 6)
				} else {
					c.gets(2, 6)
				}
				if how == "live" {
					old.closed(protocol.CloseTakenOver)
				}
				l.run()
				if e := l.entry(old.id); e.Node != to.node.ID || e.State != scheme.StateLive || e.Doubt {
					t.Errorf("%+v", e)
				}
			})
		}
	}
}

// TestResumeOfTheOwn: who asks for what it has is told that it has it.
func TestResumeOfTheOwn(t *testing.T) {
	c := newLab(t).one().dial()
	rev := c.l.nats.rev
	c.resumes(object{"id": string(c.id)})
	if c.l.nats.rev != rev {
		t.Error("the directory was written")
	}
}

// TestResumeRefused: the client keeps the session that it has, and is told why.
func TestResumeRefused(t *testing.T) {
	token := func(n *Node) { n.Config.Resume = config.ResumeToken }
	for name, c := range map[string]struct {
		change  func(*Node)
		owner   Arrival
		by      Arrival
		token   func(right string) any // nil: it gives none
		want    protocol.Outcome
		unknown bool
	}{
		"no id":              {want: protocol.ResumeExpired, unknown: true},
		"only the id":        {want: protocol.ResumeLive},
		"a wrong token":      {token: func(string) any { return "x" }, want: protocol.ResumeToken},
		"the right token":    {token: func(right string) any { return right }, want: protocol.Resumed},
		"a token is needed":  {change: token, want: protocol.ResumeToken},
		"and given":          {change: token, token: func(right string) any { return right }, want: protocol.Resumed},
		"it confirms":        {owner: Arrival{Acked: true, Second: true}, want: protocol.ResumeToken},
		"it knows umf.v1":    {owner: Arrival{Second: true}, want: protocol.ResumeToken},
		"this one knows it":  {by: Arrival{Second: true}, want: protocol.ResumeToken},
		"this one confirms":  {by: Arrival{Acked: true, Second: true}, want: protocol.ResumeToken},
		"another's identity": {owner: as("ann"), by: as("bob"), token: func(right string) any { return right }, want: protocol.ResumeIdentity},
		"no identity":        {owner: as("ann"), want: protocol.ResumeIdentity},
		"the same identity":  {owner: as("ann"), by: as("ann"), token: func(right string) any { return right }, want: protocol.Resumed},
		"and only the id":    {owner: as("ann"), by: as("ann"), want: protocol.ResumeLive},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			change := c.change
			if change == nil {
				change = func(*Node) {}
			}
			s := l.one(change)
			old, client := s.dialWith(dialOptions{Arrival: c.owner}), s.dialWith(dialOptions{Arrival: c.by})
			had := client.id
			body := object{"id": string(old.id), "token": ""}
			if c.unknown {
				body["id"] = string(scheme.NewSID())
			}
			if c.token != nil {
				body["token"] = c.token(old.token)
			}
			m := client.resume(body)
			if c.want == protocol.Resumed {
				if m.at("bdy", "resumed") != true || client.id != old.id {
					t.Errorf("answered %s", m.raw)
				}
				return
			}
			if m.at("bdy", "resumed") != false || m.text("bdy", "why") != c.want.String() || client.id != had {
				t.Errorf("answered %s", m.raw)
			}
			old.serves()
			client.serves()
			l.store(had, 0, 1)
			client.gets(0, 1)
			l.advance(2 * s.node.Config.HandshakeTimeout)
			client.serves()
		})
	}
}

func as(identity string) Arrival { return Arrival{Identity: access.Identity{Name: identity}} }

// TestResumeIsMalformed: nothing changes, or the connection ends.
func TestResumeIsMalformed(t *testing.T) {
	s := newLab(t).one()
	c := s.dial()
	for _, wrong := range []object{{"id": "x", "seq": "y"}, {"id": "x", "seq": -1}, {"id": "x", "attempt": "y"}} {
		c.refused(protocol.CodeResume, object{"to": "hydra-router:/", "typ": "reconnect", "bdy": wrong})
	}
	if m := c.resume(object{"id": "../../etc"}); m.text("bdy", "why") != protocol.ResumeExpired.String() {
		t.Errorf("answered %s", m.raw)
	}
	c.refused(protocol.CodeResume, object{"to": "hydra-router:/", "typ": "reconnect", "bdy": object{"x": 1}})
	c.closed(protocol.ClosePolicy)
}

// TestGuesses: a connection has a few guesses.
func TestGuesses(t *testing.T) {
	s := newLab(t).one()
	c := s.dial()
	for range maxResumes + 1 {
		if c.code != 0 {
			t.Fatal("closed too early")
		}
		c.resume(object{"id": string(scheme.NewSID())})
	}
	c.closed(protocol.ClosePolicy)
	if n := s.node.metric(`hydrant_dropped_total{reason="guesses"}`); n != 1 {
		t.Errorf("%v are counted", n)
	}
}

// TestAckedResume: a client that confirms says itself where to go on, behind or
// before what the directory knows, or leaves that to the directory.
func TestAckedResume(t *testing.T) {
	for name, c := range map[string]struct {
		from int // message after the one that it names; -1: it names none; -2: 0
		next int // the first that it gets
	}{
		"the directory's": {-1, 2},
		"the last":        {4, 4},
		"one before":      {3, 3},
		"the first":       {1, 1}, // which is confirmed, and asked for again
		"nothing":         {-2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one()
			old := s.dialAcked()
			l.store(old.id, 0, 4)
			var seqs []string
			for range 4 {
				seqs = append(seqs, old.next().text("hdr", "x-seq"))
			}
			old.ack(seqs[1])
			old.drop()
			l.parked(old.id)
			body := object{"id": string(old.id), "token": old.token}
			switch {
			case c.from == -2:
				body["seq"] = 0
			case c.from > 0:
				body["seq"] = seqs[c.from-1]
			}
			again := s.dialAcked()
			again.resumes(body)
			l.store(old.id, 4, 5)
			again.gets(c.next, 5)
		})
	}
}

// TestAcks: what is no confirmation is told.
func TestAcks(t *testing.T) {
	l := newLab(t)
	s := l.one()
	plain, acked := s.dial(), s.dialAcked()
	ack := func(seq any) object {
		return object{"to": "hydra-router:/", "typ": protocol.TypeAck, "bdy": object{"seq": seq}}
	}
	plain.refused(protocol.CodeAck, ack(1))
	acked.refused(protocol.CodeAck, ack("x"))
	acked.refused(protocol.CodeAck, ack("99999"))
	acked.serves()
}

// TestSocketGoesDuringAResume: at whichever step. The session is neither lost nor
// kept by a socket that is gone, and what is in its mailbox is there for the next.
func TestSocketGoesDuringAResume(t *testing.T) {
	for name, live := range map[string]bool{"parked": false, "live": true} {
		for _, early := range []bool{true, false} {
			t.Run(fmt.Sprint(name, "/before the write ", early), func(t *testing.T) {
				for steps := range 25 {
					goesDuringAResume(t, live, early, steps)
				}
			})
		}
	}
}

func goesDuringAResume(t *testing.T, live, refused bool, steps int) {
	l := newLab(t)
	here, there := l.one(), l.one()
	old, c := there.dial(), here.dial()
	if !live {
		old.drop()
		l.parked(old.id)
	}
	l.store(old.id, 0, 2)
	if refused { // the first write of the claim meets one of the holder
		first := true
		l.nats.faults.save = func(op *egress.Op) fault {
			if op.SID == old.id && op.Entry.Node == here.node.ID && first {
				first = false
				return fault{lost: true, err: store.ErrFenced, after: 10 * time.Millisecond}
			}
			return fault{after: 10 * time.Millisecond}
		}
	}
	c.asks(object{"id": string(old.id)})
	for range steps {
		l.step(l.now + 50*time.Millisecond)
	}
	c.drop()
	l.advance(5 * time.Second)
	if n := len(here.held) + len(here.claims); n != 0 {
		t.Errorf("after %d steps: %d sessions are held", steps, n)
	}
	again := here.dial()
	again.resumes(object{"id": string(old.id)})
	l.store(old.id, 2, 3)
	again.find(func(m message) bool { return m.text("mid") == "stored-2" })
	if came := cameTo(old, c, again); !came["stored-0"] || !came["stored-1"] {
		t.Errorf("after %d steps: %v came", steps, came)
	}
}

// cameTo names what any of some clients has got.
func cameTo(clients ...*testClient) map[string]bool {
	came := make(map[string]bool)
	for _, c := range clients {
		for _, m := range c.got {
			came[m.text("mid")] = true
		}
	}
	return came
}

// TestResumeOfADeadNode: NATS says that the node does not listen. The session is
// taken at once.
func TestResumeOfADeadNode(t *testing.T) {
	l := newLab(t)
	here, there := l.one(), l.one()
	old, c := there.dial(), here.dial()
	there.node.kill()
	began := l.now
	c.resumes(object{"id": string(old.id)})
	if took := l.now - began; took > 0 {
		t.Errorf("it took %v", took)
	}
}

// TestResumeOfASilentNode: it may still write, so that the welcome waits.
func TestResumeOfASilentNode(t *testing.T) {
	l := newLab(t)
	here, there := l.one(), l.one()
	old, c := there.dial(), here.dial()
	l.run()
	there.doze()
	l.store(old.id, 0, 2)
	began := l.now
	c.asks(object{"id": string(old.id)})
	l.until("a claim", func() bool { return l.entry(old.id).Node == here.node.ID })
	if !l.entry(old.id).Doubt || l.now-began != ownership.Patience {
		t.Errorf("%+v after %v", l.entry(old.id), l.now-began)
	}
	c.find(func(m message) bool { return m.text("bdy", "id") == string(old.id) })
	if took := l.now - began; took < ownership.Patience+200*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	c.gets(0, 2)
	l.run()
	if l.entry(old.id).Doubt {
		t.Error("the doubt stays")
	}
	there.awake(time.Minute)
	old.closed(protocol.CloseTakenOver)
	old.quiet()
}
