package shard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
)

// limited has a node allow so much of one connection, and what comes of that.
func limited(messages, bytes float64) func(*Node) {
	return func(n *Node) {
		limits := quota.Limits{Messages: quota.NewRate(messages, time.Second, 1), Bytes: quota.NewRate(bytes, time.Second, 1)}
		n.Accounts = quota.NewTable(limits, func() {})
	}
}

// floods sends pings until the connection is closed, and says how many were answered.
func (c *testClient) floods(most int, body string) (n int) {
	c.l.t.Helper()
	c.l.run()
	c.got = nil
	for i := 0; i < most && c.code == 0; i++ {
		c.raw(fmt.Sprintf(`{"to":"hydra-router:/","frm":"client:/","mid":"p","typ":"ping","bdy":%q}`, body))
		c.l.run()
	}
	for _, m := range c.got {
		if m.text("typ") == protocol.TypePong {
			n++
		}
	}
	c.got = nil
	return n
}

// TestRateOfASender: who connects again, or more than once, pays with what is left of
// its identity's or its address' allowance.
func TestRateOfASender(t *testing.T) {
	const each = 4
	ann := Arrival{Identity: access.Identity{Name: "ann"}}
	for name, c := range map[string]struct {
		how   func(i int) dialOptions
		most  int
		bytes bool
	}{
		"identity": {func(i int) dialOptions { return dialOptions{Arrival: ann, addr: fmt.Sprint("192.0.2.", i+1)} }, 10 * each, false},
		"address":  {func(int) dialOptions { return dialOptions{addr: "192.0.2.9"} }, 50 * each, false},
		"a /64":    {func(i int) dialOptions { return dialOptions{addr: fmt.Sprintf("2001:db8::%x", i+1)} }, 50 * each, false},
		"bytes":    {func(int) dialOptions { return dialOptions{addr: "192.0.2.9"} }, 50 * each, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one(limited(each, 0))
			body := "x"
			if c.bytes {
				s = l.one(limited(0, each*1000))
				body = strings.Repeat("x", 1000-len(`{"to":"hydra-router:/","frm":"client:/","mid":"p","typ":"ping","bdy":""}`))
			}
			total := 0
			for i := range 5 {
				sender := s.dialWith(c.how(i))
				total += sender.floods(c.most/4, body)
				if i == 4 {
					sender.closed(protocol.CloseRate)
				}
				sender.drop()
			}
			if total != c.most {
				t.Errorf("%d messages were taken, of %d", total, c.most)
			}
			s.dialWith(dialOptions{addr: "198.51.100.1"}).serves()
			if n := s.node.metric(`hydrant_dropped_total{reason="rate"}`); n == 0 {
				t.Error("it is not counted")
			}
			l.advance(time.Second)
			s.dialWith(c.how(0)).serves()
		})
	}
	t.Run("a proxy that names nobody", func(t *testing.T) {
		c := newLab(t).one(limited(each, 0)).dialWith(dialOptions{Arrival: Arrival{Shared: true}})
		if n := c.floods(100*each, "x"); n != 100*each {
			t.Errorf("%d messages were taken", n)
		}
	})
}

// mailTo is a message for a session, in one of the spellings of its address.
func mailTo(way int, sid scheme.SID, body string) object {
	switch way % 3 {
	case 0:
		return object{"to": fmt.Sprintf("%s@client:/", sid), "bdy": body}
	case 1:
		return object{"to": "hydra-router:/", "fwd": fmt.Sprintf("%s@client:/", sid), "bdy": body}
	}
	return object{"to": "hydra-router:/queue", "fwd": fmt.Sprintf("%s@client:/", sid), "bdy": body}
}

// TestShareOfAMailbox: a stranger fills a tenth of a mailbox and no more, over however
// many connections and by whatever address, in messages and in bytes. What is refused is
// told before it is taken, and friends are not in its place.
func TestShareOfAMailbox(t *testing.T) {
	for name, c := range map[string]struct{ size, most int }{
		"messages": {1, 100},
		"bytes":    {400 << 10, 4}, // with what is beside the body
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one()
			bob := s.dial()
			bob.drop()
			l.parked(bob.id)
			stored := func() (n int) {
				for _, m := range l.nats.log {
					if m.sid == bob.id && m.mark == 0 {
						n++
					}
				}
				return n
			}
			refused := 0
			for i := range 3 {
				stranger := s.dial()
				for range c.most/2 + 3 {
					stranger.say(mailTo(i, bob.id, strings.Repeat("x", c.size)))
				}
				l.run()
				for _, m := range stranger.got {
					if m.text("bdy", "code") == protocol.CodeOverload.String() {
						refused++
					}
				}
				stranger.got = nil
			}
			if got := stored(); got != c.most || refused != 3*(c.most/2+3)-got {
				t.Errorf("%d are stored, %d refused", got, refused)
			}
			if n := s.node.metric(`hydrant_dropped_total{reason="mail_share"}`); int(n) != refused {
				t.Errorf("%v are counted", n)
			}
			friend := s.dialAs("friend")
			friend.say(mailTo(0, bob.id, "hello"))
			friend.quiet()
			if got := stored(); got != c.most+1 {
				t.Errorf("%d are stored with the friend's", got)
			}
		})
	}
}

// TestMailOfOneWhoReads: whoever takes what comes is sent as much as anybody likes.
func TestMailOfOneWhoReads(t *testing.T) {
	l := newLab(t)
	s := l.one()
	bob, ann := s.dial(), s.dial()
	for i := range 10 {
		for range 200 {
			ann.say(mailTo(i, bob.id, "x"))
		}
		l.advance(2 * time.Second)
		if len(bob.got) != 200 {
			t.Fatalf("round %d: %d of 200 have come", i, len(bob.got))
		}
		bob.got = nil
	}
	ann.quiet()
}

// TestStuckReceiver: one who takes nothing for five seconds counts as gone.
func TestStuckReceiver(t *testing.T) {
	l := newLab(t)
	s := l.one()
	bob, ann := s.dialAcked(), s.dial()
	for i := range 10 {
		for range 30 {
			ann.say(mailTo(0, bob.id, "x"))
		}
		l.advance(time.Second)
		if i < 3 && len(ann.got) > 0 {
			t.Fatalf("refused after %d s", i)
		}
	}
	if len(ann.got) == 0 {
		t.Error("300 messages wait for one who confirms none")
	}
}

// TestUnusedSessions: of sessions that come to nothing an address may leave a thousand.
// Then it is given none, but for those that it had.
func TestUnusedSessions(t *testing.T) {
	l := newLab(t)
	s := l.one()
	mine := s.dial()
	s.l.store(mine.id, 0, 1)
	mine.gets(0, 1)
	mine.drop()
	l.parked(mine.id)
	if keep := l.nats.kept[mine.id]; keep != 0 {
		t.Errorf("a session that was used is kept for %v", keep)
	}
	for i := range 1000 {
		c := s.dial()
		c.drop()
		l.parked(c.id)
		if keep := l.nats.kept[c.id]; keep != unusedTTL {
			t.Fatalf("session %d, which came to nothing, is kept for %v", i, keep)
		}
	}
	entries := len(l.nats.entries)
	for _, said := range []object{
		{"to": "echo:/", "bdy": 1}, {"to": "hydra-router:/", "typ": "ping", "bdy": 1},
		{"to": "hydra-router:/", "typ": "ack", "bdy": object{"seq": "1"}}, {"to": "[get]hydra-router:/v1/router/version", "bdy": 1},
		mailTo(0, mine.id, "x"), {"bdy": 1},
	} {
		c := s.dial() // it is greeted, as by an old client's leave
		c.say(said)
		c.closed(protocol.CloseOverload)
	}
	if n := len(l.nats.entries); n != entries {
		t.Errorf("%d sessions were opened", n-entries)
	}
	if n := s.node.metric(`hydrant_dropped_total{reason="unused"}`); n != 6 {
		t.Errorf("%v are counted", n)
	}
	lost := s.dial()
	lost.asks(object{"id": string(scheme.NewSID())})
	lost.closed(protocol.CloseOverload)
	silent := s.dial()
	l.advance(s.node.Config.HandshakeTimeout + time.Second)
	silent.closed(protocol.CloseOverload)
	// That took a while, in which there was room for a few.
	for range 30 {
		s.dial().drop()
		l.run()
	}
	again := s.dial()
	again.resumes(object{"id": string(mine.id)})
	again.serves()
	s.dialWith(dialOptions{addr: "198.51.100.1"}).serves()
	s.dialAs("ann").serves()
}

// TestNoRoomForSessions: where the directory is nearly full those that there are go on,
// and come back; there are no fresh ones.
func TestNoRoomForSessions(t *testing.T) {
	l := newLab(t)
	s := l.one()
	stays, mine := s.dial(), s.dial()
	l.store(mine.id, 0, 1)
	mine.gets(0, 1)
	s.node.Full.Store(true)
	entries := len(l.nats.entries)
	fresh := s.dialAs("ann")
	fresh.say(object{"to": "echo:/", "bdy": 1})
	fresh.closed(protocol.CloseOverload)
	mine.drop()
	l.parked(mine.id)
	again := s.dial()
	again.resumes(object{"id": string(mine.id)})
	again.serves()
	stays.serves()
	if n := s.node.metric(`hydrant_dropped_total{reason="directory_full"}`); n != 1 || len(l.nats.entries) != entries {
		t.Errorf("%v are counted, and %d sessions opened", n, len(l.nats.entries)-entries)
	}
	s.node.Full.Store(false)
	s.dial().serves()
}

// TestClosedByTheNode: sessions that the node itself sends away are not held against
// their clients, and kept.
func TestClosedByTheNode(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.do(func() { c.Client.close(protocol.CloseRestart, "") })
	l.parked(c.id)
	if keep := l.nats.kept[c.id]; keep != 0 {
		t.Errorf("kept for %v", keep)
	}
}

// TestResumesInTurn: a client that moves between its own sessions does so a few times.
func TestResumesInTurn(t *testing.T) {
	l := newLab(t)
	s := l.one()
	a, b := s.dial(), s.dial()
	for _, c := range []*testClient{a, b} {
		l.store(c.id, 0, 1)
		c.next()
		c.drop()
		l.parked(c.id)
	}
	c := s.dial()
	for i := range maxResumes + 1 {
		id := a.id
		if i%2 == 1 {
			id = b.id
		}
		l.parked(id)
		c.resumes(object{"id": string(id)})
	}
	c.asks(object{"id": string(a.id)})
	c.closed(protocol.ClosePolicy)
	if n := s.node.metric(`hydrant_dropped_total{reason="resumes"}`); n != 1 {
		t.Errorf("%v are counted", n)
	}
}

// TestUnknownReceivers: ids that messages are for are guesses as well, and few of them
// are looked up at a time.
func TestUnknownReceivers(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.node.pool.hold()
	for range 3 * maxCallsPerClient {
		c.say(mailTo(0, scheme.NewSID(), "x"))
	}
	l.run()
	if n := len(s.node.pool.jobs); n != maxCallsPerClient/callsPerLookUp {
		t.Errorf("%d look-ups at a time", n)
	}
	s.node.pool.let()
	l.run()
	if n := len(c.got); n != 3*maxCallsPerClient {
		t.Errorf("%d answers", n)
	}
	for i := 0; i < 2000 && c.code == 0; i++ {
		c.say(mailTo(i, scheme.NewSID(), "x"))
		l.run()
	}
	c.closed(protocol.ClosePolicy)
}

// TestResumesWaitForNothingElse: where all other calls have to wait, resumes go on.
func TestResumesWaitForNothingElse(t *testing.T) {
	l := newLab(t)
	s := l.one()
	apart := &fakePool{l: l, n: s.node}
	s.node.Resumes = apart
	mine := s.dial()
	l.store(mine.id, 0, 1)
	mine.next()
	mine.drop()
	l.parked(mine.id)
	c, stranger := s.dial(), s.dial()
	s.node.pool.full = true
	stranger.say(mailTo(0, scheme.NewSID(), "x"))
	if m := c.resume(object{"id": string(scheme.NewSID())}); m.at("bdy", "why") != protocol.ResumeExpired.String() {
		t.Error(m.raw)
	}
	c.asks(object{"id": string(mine.id)})
	l.until("the claim", func() bool { return s.held[mine.id] != nil })
}

// TestSpentGuesses: where all guesses are spent, an unknown id costs no proof, and is
// not told to be unknown. Ids of sessions are taken as ever.
func TestSpentGuesses(t *testing.T) {
	l := newLab(t)
	s := l.one()
	mine := s.dial()
	l.store(mine.id, 0, 1)
	mine.next()
	mine.drop()
	l.parked(mine.id)
	c, other := s.dial(), s.dial()
	for s.node.Guesses.Allow(c.addr(), l.clock()) {
	}
	c.asks(object{"id": string(scheme.NewSID())})
	c.closed(protocol.CloseOverload)
	for _, m := range c.got {
		if m.at("bdy", "why") != nil {
			t.Errorf("it is told %s", m.raw)
		}
	}
	other.resumes(object{"id": string(mine.id)})
}

// TestTakeAllocs: what a message costs of its sender's account is no allocation.
func TestTakeAllocs(t *testing.T) {
	table := quota.NewTable(quota.Limits{Messages: quota.NewRate(1e9, time.Second, 1), Bytes: quota.NewRate(1e12, time.Second, 1)}, func() {})
	c := &Client{account: table.Open(quota.Who{Identity: "ann"}, 0)}
	now := time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() { now += time.Second; c.account.Take(300, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
