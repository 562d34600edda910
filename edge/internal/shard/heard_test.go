package shard

import (
	"fmt"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/policy"
	"hydrant/umf"
)

// given puts a message into a client's mailbox, and takes it.
func (c *testClient) given(members string) {
	c.l.t.Helper()
	c.l.nats.append(&stored{sid: c.id, data: []byte(`{"to":"` + c.address() + `","bdy":1,` + members + `}`)})
	c.l.run()
	c.got = nil
}

// through is what a node adds to a message of a session, or of whoever posts.
func through(s *testShard, sid scheme.SID) string {
	via := `"via":` + string(s.node.Router)
	if sid == "" {
		return via
	}
	return via + `,"hdr":{"a":1,"x-from":"` + string(sid) + `"}`
}

// TestAnswersNeedNoRight: what a session was sent its client may answer, with the
// message's mid and to where it came from, and nothing else.
func TestAnswersNeedNoRight(t *testing.T) {
	for name, dial := range map[string]func(s *testShard) *testClient{
		"plain": (*testShard).dial,
		"acked": (*testShard).dialAcked,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s, other := ruled(l, `{}`), l.one()
			c, peer, third := dial(s), other.dial(), other.dial()
			at := peer.address()

			c.denied(policy.DeniedService, to(`"to":"shop:/","rmid":"q1"`)) // before it was asked
			c.given(`"frm":"i7@shop:/offers","mid":"q1"`)
			c.allowed(to(`"to":"i7@shop:/offers","rmid":"q1"`))
			c.allowed(to(`"to":"shop:/offers","rmid":"q\u0031"`))
			c.allowed(to(`"to":"hydra-router:/","fwd":"shop:/offers","rmid":"q1"`))
			for _, message := range []string{
				`"to":"shop:/offers"`, `"to":"shop:/offers","rmid":"q2"`, `"to":"shop:/offers","rmid":null`, `"to":"shop:/offers","hdr":{"rmid":"q1"}`,
				`"to":"shop:/","rmid":"q1"`, `"to":"shop:/admin","rmid":"q1"`, `"to":"Shop:/offers","rmid":"q1"`, `"to":"shop2:/offers","rmid":"q1"`,
				`"to":"shop:[GET]/offers","rmid":"q1"`, `"to":"shop:[DELETE]/offers","rmid":"q1"`,
			} {
				c.denied(policy.DeniedService, to(message))
			}
			c.denied(policy.DeniedQueue, to(`"to":"hydra-router:/queue","fwd":"shop:/offers","rmid":"q1"`))

			c.denied(policy.DeniedClient, to(`"to":"`+at+`","rmid":"p1"`))
			c.given(`"frm":"anything:/","mid":"p1",` + through(other, peer.id))
			c.allowed(to(`"to":"` + at + `","rmid":"p1"`))
			c.allowed(to(`"to":"` + viaOf(at, string(s.node.ID)+"@hydra-router:/") + `","rmid":"p1"`))
			c.allowed(to(`"to":"hydra-router:/","fwd":"` + at + `","rmid":"p1"`))
			c.denied(policy.DeniedClient, to(`"to":"`+third.address()+`","rmid":"p1"`))
			c.denied(policy.DeniedClient, to(`"to":"`+at+`","rmid":"q1"`))
			c.denied(policy.DeniedClient, to(`"to":"`+at+`"`))
			c.denied(policy.DeniedService, to(`"to":"anything:/","rmid":"p1"`))

			l.push(c.id, []byte(`{"to":"`+c.address()+`","frm":"live:/","mid":"l1","bdy":1}`))
			c.got = nil
			c.allowed(to(`"to":"live:/","rmid":"l1"`))
		})
	}
}

// TestAnswersToForgedSenders: a client that writes to another, or posts, cannot have it
// allowed to write to somebody else by what stands in its message.
func TestAnswersToForgedSenders(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, peer, victim := s.dialRuled("", `{}`), s.dial(), s.dial()
	for i, m := range []string{
		`"frm":"admin:/",` + through(s, ""),
		`"frm":"admin:/",` + through(s, peer.id),
		`"frm":"` + victim.address() + `",` + through(s, peer.id),
		`"frm":"` + victim.address() + `",` + through(s, ""),
		`"frm":"admin:/","via":"x@another-router:/"`,
		`"frm":"admin:/","via":7`,
		`"frm":"` + string(s.node.ID) + `-` + string(victim.id) + `@hydra-router:/"`,
		`"frm":"nowhere"`,
	} {
		mid := fmt.Sprint("m", i)
		c.given(m + `,"mid":"` + mid + `"`)
		c.denied(policy.DeniedService, to(`"to":"admin:/","rmid":"`+mid+`"`))
		c.denied(policy.DeniedClient, to(`"to":"`+victim.address()+`","rmid":"`+mid+`"`))
	}
	// The same through the node itself: what it writes is what it reads.
	for _, m := range []object{
		{"to": c.address(), "frm": "admin:/", "mid": "f1", "bdy": 1}, {"to": c.address(), "frm": victim.address(), "mid": "f1", "via": "", "bdy": 1},
		{"to": "hydra-router:/", "fwd": c.address(), "frm": "admin:/", "mid": "f1", "via": nil, "bdy": 1},
	} {
		peer.say(m)
		l.run()
		if len(c.got) != 1 {
			t.Fatalf("got %v", c.got)
		}
		if c.got[0].text("hdr", "x-from") == string(peer.id) { // the node says whose it is
			c.allowed(to(`"to":"` + peer.address() + `","rmid":"f1"`))
			peer.got = nil
		}
		c.got = nil
		c.denied(policy.DeniedService, to(`"to":"admin:/","rmid":"f1"`))
		c.denied(policy.DeniedClient, to(`"to":"`+victim.address()+`","rmid":"f1"`))
		l.nats.mids = make(map[string]uint64) // the same mid is taken again
	}
}

// TestHeardIsBounded: of the messages that could be answered the last ones are
// remembered, each once, and those of senders that the rules allow take no room.
func TestHeardIsBounded(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dialRuled("", `{"services":["news"]}`)
	c.given(`"frm":"shop:/","mid":"first"`)
	for i := range 2 * maxHeard {
		c.given(fmt.Sprintf(`"frm":"news:/","mid":"n%d"`, i))
		c.given(`"frm":"shop:/","mid":"first"`)
		c.given(`"frm":"shop:/","mid":""`)
	}
	c.allowed(to(`"to":"shop:/","rmid":"first"`))
	for i := range maxHeard {
		c.given(fmt.Sprintf(`"frm":"shop:/","mid":"s%d"`, i))
	}
	c.denied(policy.DeniedService, to(`"to":"shop:/","rmid":"first"`))
	for i := range maxHeard {
		c.allowed(to(fmt.Sprintf(`"to":"shop:/","rmid":"s%d"`, i)))
	}
	for range 2 * maxHeard {
		c.given(`"frm":"shop:/","mid":"again"`)
	}
	c.allowed(to(`"to":"shop:/","rmid":"s1"`))
	open := s.dial()
	open.given(`"frm":"shop:/","mid":"m"`)
	if open.has.talk != nil && open.has.talk.heard != nil {
		t.Error("a client that may write to everybody is remembered for")
	}
	another := s.dialRuled("", `{}`)
	another.resumes(object{"id": string(c.id), "token": c.token})
	another.denied(policy.DeniedService, to(`"to":"shop:/","rmid":"s1"`))
}

// rulesBench is a client with rules, and two messages of it: of the second its rules
// do not know the receiver, and it is an answer.
func rulesBench(tb testing.TB, rules string) (c *Client, payload, answer []byte, e *umf.Envelope) {
	book, err := policy.NewBook("", "auth-svcs")
	if err != nil {
		tb.Fatal(err)
	}
	rights, err := book.Rights(rules, "ann@example.org")
	if err != nil {
		tb.Fatal(err)
	}
	lab := newLab(tb)
	s := lab.one()
	c = s.dial().Client
	c.rights = rights
	payload = []byte(`{"to":"echo:/v1/chat","frm":"` + string(c.has.sid) + `@client:/","mid":"b7a1c6de-0b3f-4f39-9f2a-0f6a0f1d2c3b",` +
		`"ts":"2026-01-12T20:16:29.157Z","typ":"chat","ver":"UMF/1.4.6","bdy":{"room":"lobby","text":"a message of ordinary length"}}`)
	answer = []byte(`{"to":"shop:/","frm":"client:/","mid":"1","rmid":"q1","bdy":1}`)
	c.has.hear([]byte(`{"to":"client:/","frm":"shop:/","mid":"q1","bdy":1}`))
	return c, payload, answer, new(umf.Envelope)
}

// TestRulesAllocateNothing: neither what is allowed, nor an answer, nor what is
// received costs an allocation.
func TestRulesAllocateNothing(t *testing.T) {
	c, payload, answer, e := rulesBench(t, `{"services":["echo"]}`)
	to := umf.Address{Service: "shop", Path: "/"}
	heard := []byte(`{"to":"client:/","frm":"shop:/","mid":"q1","via":"","bdy":1}`)
	stamped := []byte(`{"to":"client:/","frm":"shop:/","mid":"q1","via":"n@hydra-router:/","hdr":{"x-from":"` + string(c.has.sid) + `"},"bdy":1}`)
	if n := testing.AllocsPerRun(100, func() {
		if umf.Scan(payload, e) != nil || !c.mayReach(e, umf.Address{Service: "echo", Path: "/v1/chat"}) {
			t.Fatal("denied")
		}
		if umf.Scan(answer, e) != nil || !c.mayReach(e, to) {
			t.Fatal("denied")
		}
	}); n != 0 {
		t.Errorf("%v allocations for two messages", n)
	}
	if n := testing.AllocsPerRun(100, func() { c.has.hear(heard); c.has.hear(stamped) }); n != 0 {
		t.Errorf("%v allocations for what is received", n)
	}
}

// BenchmarkRules is what rules add to the way of a message. The share is that of the
// loop's own part of the way, without sockets and NATS, which are many times as much.
func BenchmarkRules(b *testing.B) {
	once, _ := frameToSubject(b)
	for name, rules := range map[string]string{"open": "", "rules": `{"services":["chat","echo","orders-*"],"clients":"user"}`} {
		c, payload, _, e := rulesBench(b, rules)
		if err := umf.Scan(payload, e); err != nil {
			b.Fatal(err)
		}
		to := umf.Address{Service: "echo", Path: "/v1/chat"}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !c.mayReach(e, to) {
					b.Fatal("denied")
				}
			}
			rules, n := b.Elapsed(), b.N
			begun := time.Now()
			for range n/16 + 1 {
				once()
			}
			way := time.Since(begun) / time.Duration(n/16+1)
			b.ReportMetric(100*float64(rules)/float64(n)/float64(way), "%-of-the-loop")
		})
	}
	c, _, answer, e := rulesBench(b, `{}`)
	if err := umf.Scan(answer, e); err != nil {
		b.Fatal(err)
	}
	b.Run("answer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !c.mayReach(e, umf.Address{Service: "shop", Path: "/"}) {
				b.Fatal("denied")
			}
		}
	})
	b.Run("received", func(b *testing.B) {
		heard := []byte(`{"to":"client:/","frm":"shop:/","mid":"q1","ts":"2026-01-12T20:16:29.157Z","bdy":{"room":"lobby","text":"a message of ordinary length"}}`)
		b.ReportAllocs()
		for b.Loop() {
			c.has.hear(heard)
		}
	})
}
