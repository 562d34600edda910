package shard

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// The bounds of one client, each of them hit.

// TestOpenTimeout: a session that cannot be opened in time.
func TestOpenTimeout(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.node.cutOff()
	asked := l.now
	c := s.knock(dialOptions{})
	c.closed(protocol.CloseOverload)
	if n := s.node.metric(`hydrant_dropped_total{reason="open_timeout"}`); n != 1 || l.now-asked != s.node.Config.HandshakeTimeout {
		t.Errorf("%v clients were dropped, after %v", n, l.now-asked)
	}
}

// TestAnswersNotRead: a client that asks and does not read what it is told.
func TestAnswersNotRead(t *testing.T) {
	l := newLab(t)
	s := l.one()
	deaf, other := s.dial(), s.dial()
	deaf.hangs()
	long := strings.Repeat("x", 200<<10) // comes back in the answer
	const slow = `hydrant_dropped_total{reason="slow"}`
	asked := 0
	for ; s.node.metric(slow) == 0; asked++ {
		deaf.say(object{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": object{"clientID": long}})
		l.run()
	}
	deaf.reads()
	deaf.closed(protocol.CloseSlow)
	if got := len(deaf.got); got != asked-1 || got == 0 {
		t.Errorf("%d answers to %d questions", got, asked)
	}
	other.serves()
}

// TestAskingBehindLargeMessages: a client that is busy with messages larger than
// the bound of its queue may ask meanwhile, and is answered. Nor does it matter
// that word of room was kept until there was none.
func TestAskingBehindLargeMessages(t *testing.T) {
	l := newLab(t)
	s := l.one()
	const messages = 12
	for i := range 6 {
		c := s.dial()
		c.hangs()
		l.storeSized(c.id, 0, messages, 500<<10+i*80<<10)
		s.behind(c)
		for range 4 {
			s.do(c.Writable)
			l.run()
		}
		c.say(object{"to": "hydra-router:/", "mid": "asked", "typ": "ping", "bdy": 1})
		l.run()
		c.reads()
		answered := false
		for next := 0; next < messages || !answered; {
			switch m := c.next(); {
			case m.text("rmid") == "asked":
				answered = true
			case m.text("mid") == fmt.Sprint("stored-", next):
				next++
			default:
				t.Fatalf("%.200s comes", m.raw)
			}
		}
	}
}

// TestPushesNotRead: at-most-once pushes to a client that does not read. What is
// in its mailbox waits.
func TestPushesNotRead(t *testing.T) {
	l := newLab(t)
	s := l.one()
	deaf, other := s.dial(), s.dial()
	deaf.hangs()
	push := fmt.Appendf(nil, `{"to":"%s","frm":"test:/","mid":"pushed","bdy":"%s"}`, deaf.address(), strings.Repeat("x", 200<<10))
	const pushes, dropped = 100, `hydrant_dropped_total{reason="push_slow"}`
	s.node.counts(dropped, func() {
		for range pushes {
			l.push(deaf.id, push)
		}
	})
	l.store(deaf.id, 0, 3)
	other.serves()
	deaf.reads()
	got := 0
	for next := 0; next < 3; {
		switch m := deaf.next(); m.text("mid") {
		case "pushed":
			got++
		case fmt.Sprint("stored-", next):
			next++
		default:
			t.Fatalf("%.200s comes where stored-%d is next", m.raw, next)
		}
	}
	if n := s.node.metric(dropped); got == 0 || float64(got) != pushes-n {
		t.Errorf("of %d pushes %d came, and %v were dropped", pushes, got, n)
	}
}

// TestSentIsWhatWasQueued: what a socket did not take was not sent.
func TestSentIsWhatWasQueued(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.node.Metrics.Registry.MustRegister(stats.NewCollector(func() stats.Sample {
		return stats.Sample{Loops: []stats.Loop{{Tally: s.tally}}}
	}))
	c := s.dial()
	c.hangs()
	s.node.counts(`hydrant_dropped_total{reason="slow"}`, func() {
		for range 10_000 {
			c.say(object{"to": "hydra-router:/", "typ": "ping", "bdy": 1})
		}
	})
	c.reads()
	c.closed(protocol.CloseSlow)
	if sent := s.node.metric(`hydrant_messages_sent_total{kind="pong"}`); sent == 0 || sent != float64(len(c.got)) {
		t.Errorf("%v pongs are counted, %d arrive", sent, len(c.got))
	}
}

// TestQueueFullAtAMessage: what a client asked for and does not read has filled
// its queue when a message comes. That one is not sent, and not taken for
// delivered by what the client answers then.
func TestQueueFullAtAMessage(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.store(c.id, 0, 1)
	c.gets(0, 1)
	filler := fmt.Appendf(nil, `{"to":"%s","frm":"test:/","mid":"filler","bdy":1}`, c.address())
	c.hangs()
	s.do(func() {
		for queued := true; queued; {
			queued, _ = c.conn.Send(filler)
		}
	})
	l.store(c.id, 1, 2)
	c.reads()
	c.closed(protocol.CloseSlow)
	for _, m := range c.got {
		if m.text("mid") != "filler" {
			t.Fatalf("%s comes", m.raw)
		}
	}
	l.parked(c.id)
	again := s.dial()
	again.resumes(object{"id": string(c.id)})
	again.gets(1, 2)
	again.quiet()
}

// TestLongEnvelope: what is kept of a message until it is answered is bounded.
func TestLongEnvelope(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	long := strings.Repeat("m", scheme.MaxMid)
	for _, to := range []string{"none:[GET]/", "none:/", c.address(), string(scheme.NewSID()) + "@client:/", "hydra-router:[GET]" + version} {
		c.refused(protocol.CodeInvalid, object{"to": to, "mid": long, "bdy": 1})
	}
	c.refused(protocol.CodeInvalid, object{"to": "hydra-router:/queue", "fwd": "none:/", "mid": long, "bdy": 1})
	c.refused(protocol.CodeInvalid, object{"to": "none:[GET]/", "frm": strings.Repeat("f", umf.MaxAddress), "mid": "1", "bdy": 1})
	if len(l.nats.published) != 0 || len(l.nats.work) != 0 {
		t.Errorf("NATS got %d messages and %d jobs", len(l.nats.published), len(l.nats.work))
	}
	c.serves()
}

// TestTooLargeForAFrame: what a service stores may be larger than what a client
// is sent.
func TestTooLargeForAFrame(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	text := func(size int) []byte {
		p := fmt.Appendf(nil, `{"to":"%s","frm":"test:/","mid":"large","bdy":"`, c.address())
		return append(append(p, bytes.Repeat([]byte("x"), size-len(p)-2)...), `"}`...)
	}
	most := maxDelivery(s.node.Config.MaxMessage)
	s.node.counts("hydrant_mailbox_junk_total", func() {
		l.nats.append(&stored{sid: c.id, data: text(most + 1)})
		l.nats.append(&stored{sid: c.id, data: text(most)})
	})
	l.store(c.id, 0, 1)
	if m := c.next(); m.text("mid") != "large" || len(m.raw) != most {
		t.Errorf("%d bytes come, want %d", len(m.raw), most)
	}
	c.gets(0, 1)
	if n := s.node.metric("hydrant_mailbox_junk_total"); n != 1 {
		t.Errorf("%v are taken for junk", n)
	}
}
