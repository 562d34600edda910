package shard

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/takeover"
)

// only is what somebody shows who knows the id alone.
func only(c *testClient) object { return object{"id": string(c.id), "token": ""} }

// notResumed asks for a session in vain.
func (c *testClient) notResumed(body object, want protocol.Outcome) {
	c.l.t.Helper()
	had := c.id
	if m := c.resume(body); m.at("bdy", "resumed") != false || m.text("bdy", "why") != want.String() || c.id != had {
		c.l.t.Errorf("%v: answered %s", body, m.raw)
	}
}

// TestOnlyTheID: who knows nothing but the id of a live session does not get it, and
// its client notices nothing, wherever the thief connects, and whatever number it
// counts its connection by. It is told at once.
func TestOnlyTheID(t *testing.T) {
	l := newLab(t)
	a, b := l.node(2), l.one()
	victim := a.shards[0].dial()
	l.run()
	for i, s := range []*testShard{a.shards[0], a.shards[1], b} {
		for _, body := range []object{only(victim), {"id": string(victim.id), "token": nil}, {"id": string(victim.id), "token": "", "attempt": 1 << 40}} {
			began := l.now
			s.dial().notResumed(body, protocol.ResumeLive)
			if took := l.now - began; took > silenceStep {
				t.Errorf("thief %d is told after %v", i, took)
			}
		}
	}
	l.store(victim.id, 0, 3)
	victim.gets(0, 3)
	victim.quiet()
	victim.serves()
	if victim.code != 0 {
		t.Errorf("closed with %d", victim.code)
	}
	again := b.dial()
	again.resumes(object{"id": string(victim.id), "token": victim.token})
	victim.closed(protocol.CloseTakenOver)
}

// TestSilentClient: a session whose client is silent is given to who has its id, after
// two seconds; what is stored meanwhile waits for the new one.
func TestSilentClient(t *testing.T) {
	l := newLab(t)
	a, b := l.one(), l.one()
	old := a.dialWith(dialOptions{noPong: true})
	c := b.dial()
	began := l.now
	c.asks(only(old))
	l.advance(silence / 2)
	l.store(old.id, 0, 2) // it still is the old one's
	l.advance(silence/2 - time.Millisecond)
	if c.want == nil || len(c.got) > 0 {
		t.Errorf("it has been told %v", c.got)
	}
	m := c.find(func(m message) bool { return m.text("typ") == protocol.TypeConnection })
	if took := l.now - began; m.at("bdy", "resumed") != true || took < silence || took > silence+time.Second {
		t.Errorf("after %v: %s", took, m.raw)
	}
	c.gets(0, 2) // the old one has not confirmed them
	old.closed(protocol.CloseTakenOver)
	l.store(scheme.SID(m.text("bdy", "id")), 2, 3)
	c.gets(2, 3)
}

// TestSignsOfLife: whatever comes from the client, or cannot reach it, counts.
func TestSignsOfLife(t *testing.T) {
	for name, live := range map[string]func(old *testClient){
		"a message": func(c *testClient) { c.say(object{"to": "hydra-router:/", "typ": "ping", "bdy": 1}) },
		"a pong":    func(c *testClient) { c.sock.come(frame{kind: pongFrame, data: []byte("mine")}) },
		"nonsense":  func(c *testClient) { c.raw("{") },
		"bytes":     func(c *testClient) { c.sock.came++ }, // of what is no whole message yet
		"it does not read": func(c *testClient) {
			c.hangs()
			c.s.do(func() { c.Client.send(0, []byte("much")) })
		},
		"it is not read from": func(c *testClient) { c.s.do(func() { c.paused = true }) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			a, b := l.one(), l.one()
			old, c := a.dialWith(dialOptions{noPong: true}), b.dial()
			c.asks(only(old))
			l.advance(silence - 2*silenceStep)
			live(old)
			m := c.find(func(m message) bool { return m.text("typ") == protocol.TypeConnection })
			if m.at("bdy", "resumed") != false || m.text("bdy", "why") != "live" {
				t.Errorf("answered %s", m.raw)
			}
			if a.held[old.id] == nil {
				t.Error("the session has gone")
			}
		})
	}
}

// TestTokenWhileTheClientIsAsked: who has shown the secret gets the session at once, and
// is not outdone by who waits with the id alone.
func TestTokenWhileTheClientIsAsked(t *testing.T) {
	for name, first := range map[string]time.Duration{"at once": 0, "in the middle": silence / 2, "near the end": silence + 50*time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			a, b := l.one(), l.one()
			old, thief, owner := a.dialWith(dialOptions{noPong: true}), b.dial(), b.dial()
			l.store(old.id, 0, 1) // which it does not confirm
			thief.asks(only(old))
			l.advance(first)
			began := l.now
			owner.resumes(object{"id": string(old.id), "token": old.token, "attempt": 2})
			if took := l.now - began; took > time.Second {
				t.Errorf("it took %v", took)
			}
			l.advance(5 * time.Second)
			owner.serves()
			if owner.code != 0 || thief.has != nil && thief.has.sid == owner.id {
				t.Errorf("the owner is closed with %d, the thief has got %v", owner.code, thief.got)
			}
		})
	}
}

// TestOnceShown: a session whose client has once shown the secret is not given away for
// less, parked or live.
func TestOnceShown(t *testing.T) {
	l := newLab(t)
	a, b := l.one(), l.one()
	c := a.dial()
	c.drop()
	l.run()
	again := b.dial()
	again.resumes(object{"id": string(c.id), "token": c.token})
	a.dial().notResumed(only(c), protocol.ResumeToken)
	again.drop()
	l.run()
	l.parked(c.id)
	a.dial().notResumed(only(c), protocol.ResumeToken)

	known := a.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	known.drop()
	l.run()
	b.dial().notResumed(only(known), protocol.ResumeToken)
	plain := b.dial()
	plain.resumes(object{"id": string(known.id), "token": known.token})
	plain.drop()
	l.run()
	a.dial().notResumed(only(known), protocol.ResumeToken)
	if e := l.entry(known.id); !e.TokenOnly {
		t.Error("the directory does not say so")
	}
}

// TestParkedByTheID: an old client comes back as ever.
func TestParkedByTheID(t *testing.T) {
	l := newLab(t)
	a, b := l.one(), l.one()
	c := a.dial()
	c.drop()
	l.run()
	l.store(c.id, 0, 2)
	again := b.dial()
	again.resumes(only(c))
	again.gets(0, 2)
	a.node.kill()
	b.node.kill()
	last := l.one().dial()
	last.resumes(only(c)) // nobody is there who could be asked
}

// TestClientLeavesWhileItIsAsked: then the session is parked, and given away.
func TestClientLeavesWhileItIsAsked(t *testing.T) {
	l := newLab(t)
	a, b := l.one(), l.one()
	old, c := a.dialWith(dialOptions{noPong: true}), b.dial()
	c.asks(only(old))
	l.advance(silence / 2)
	old.drop()
	if m := c.find(func(m message) bool { return m.text("typ") == protocol.TypeConnection }); m.at("bdy", "resumed") != true {
		t.Errorf("answered %s", m.raw)
	}
}

// TestClaimantLeaves: who asked has gone when the client was silent for long enough:
// the session stays, or is parked where that one has asked for it, and is not lost.
func TestClaimantLeaves(t *testing.T) {
	l := newLab(t)
	a, b := l.one(), l.one()
	old, c := a.dialWith(dialOptions{noPong: true}), b.dial()
	c.asks(only(old))
	l.advance(silence / 2)
	c.drop()
	l.advance(5 * time.Second)
	l.parked(old.id)
	b.dial().resumes(object{"id": string(old.id), "token": old.token})

	// A question that nobody waits for the answer of, and one that comes twice.
	lone := a.dialWith(dialOptions{noPong: true})
	request := takeover.NewRequest(takeover.Key{SID: lone.id, Holder: lone.has.owner.Holder()}, 0)
	request.Bare = true
	var answers []takeover.Answer
	a.do(func() { a.HandOver(&request, func(a takeover.Answer) { answers = append(answers, a) }) })
	request.Wait = true
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	a.receive(&nats.Msg{Subject: scheme.NodeSubject(a.node.ID), Reply: scheme.NodeInbox + ".nobody", Data: text}) // among the live copies, where nobody waits for an answer
	l.advance(5 * time.Second)
	if len(answers) != 1 || answers[0] != isAsked || lone.code != 0 {
		t.Errorf("answered %+v, the client is closed with %d", answers, lone.code)
	}
	lone.serves()
}

// TestIDAfterTheToken: who has only the id, and asks while the session goes to who has
// the secret, or a moment later, is not told how far delivery got: it could be faster
// with that.
func TestIDAfterTheToken(t *testing.T) {
	l := newLab(t)
	s := l.one()
	old := s.dialWith(dialOptions{noPong: true})
	l.store(old.id, 0, 1) // so that it is waited for its pong
	request := takeover.NewRequest(takeover.Key{SID: old.id, Holder: old.has.owner.Holder()}, 0)
	bare := request
	bare.Bare = true
	var told []takeover.Answer
	tell := func(a takeover.Answer) { told = append(told, a) }
	given := 0
	s.do(func() {
		s.HandOver(&request, func(takeover.Answer) { given++ })
		if p := old.has.owner.Phase(); p != ownership.Leaving {
			t.Errorf("the session is %v", p)
		}
		s.HandOver(&bare, tell)
	})
	l.advance(time.Second)
	s.do(func() { s.HandOver(&bare, tell) })
	if len(told) != 2 || told[0] != isAlive || told[1] != isAlive || given != 1 {
		t.Errorf("told %+v; %d times given", told, given)
	}
}

// TestLoopThatStoodStill: what the node itself did not read is no silence.
func TestLoopThatStoodStill(t *testing.T) {
	l := newLab(t)
	a, b := l.one(), l.one()
	old, c := a.dialWith(dialOptions{noPong: true}), b.dial()
	c.asks(only(old))
	l.advance(silence / 2)
	old.has.waiting.inquiry.last -= time.Second // it has not looked since
	l.advance(silence/2 + silenceStep)
	if a.held[old.id] == nil || old.has.waiting.inquiry == nil {
		t.Error("the session was given away")
	}
	_ = c
}

// TestQuestionThatCannotBeSent: a thief that keeps the node busy does not get a session
// without the question.
func TestQuestionThatCannotBeSent(t *testing.T) {
	l := newLab(t)
	a, b := l.one(), l.one()
	victim, thief := a.dial(), b.dial()
	thief.asks(only(victim))
	l.until("the entry is read", func() bool { return thief.want != nil && thief.want.owner.Phase().String() == "reading" })
	b.node.pool.full = true
	thief.closed(protocol.CloseOverload)
	l.advance(5 * time.Second)
	victim.serves()
}
