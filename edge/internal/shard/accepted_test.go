package shard

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
)

var wanted = object{"x-ack": true}

// TestAccepted: who asks for it is told, once, that a message was taken. Clients of the
// first edition are not, nor those that do not ask.
func TestAccepted(t *testing.T) {
	for name, arrival := range map[string]Arrival{"first": {}, "second": {Second: true}, "confirming": {Second: true, Acked: true}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one()
			l.nats.services[echo] = silent
			c, other := s.dialWith(dialOptions{Arrival: arrival}), s.dial()
			for what, m := range map[string]object{
				"a session":      {"to": other.address(), "bdy": 1},
				"by a forward":   {"to": "hydra-router:/", "fwd": other.address(), "bdy": 1},
				"a queue":        {"to": "hydra-router:/queue", "fwd": "jobs:/", "bdy": 1},
				"a service":      {"to": "echo:/", "bdy": 1},
				"to one by fwd":  {"to": "hydra-router:/", "fwd": "echo:/", "bdy": 1},
				"without asking": {"to": "echo:/", "bdy": 1, "hdr": object{"x-ack": "true"}},
			} {
				asks := m["hdr"] == nil
				if asks {
					m["hdr"] = wanted
				}
				mid := c.say(m)
				l.run()
				if !asks || !arrival.Second {
					c.quiet()
					continue
				}
				a := c.next()
				if a.text("typ") != "accepted" || a.text("rmid") != mid || a.text("to") != c.address() || a.text("frm") == "" || a.at("bdy") == nil {
					t.Errorf("%s: %s", what, a.raw)
				}
				c.quiet()
			}
			if len(s.unproved) != 0 {
				t.Errorf("%v are left", s.unproved)
			}
		})
	}
}

// TestNotAccepted: whatever speaks against a message is told as the error that it is
// without asking, and nothing else is.
func TestNotAccepted(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, other := s.dialWith(dialOptions{Arrival: Arrival{Second: true}}), s.dial()
	for _, test := range []struct {
		what   string
		m      object
		code   protocol.Code
		before func()
	}{
		{"nobody listens", object{"to": "nosuch:/"}, protocol.CodeNoInstances, func() {}},
		{"nobody listens, and the PONG is late", object{"to": "nosuch:/"}, protocol.CodeNoInstances, func() { l.nats.prove = time.Second }},
		{"no PONG", object{"to": "echo:/"}, protocol.CodeTimeout, func() { l.nats.services[echo], l.nats.unproved = silent, egress.ErrUnproved }},
		{"not published", object{"to": "echo:/"}, protocol.CodeUnavailable, func() { l.nats.faults.publish = func(string) error { return errors.New("no") } }},
		{"not stored", object{"to": other.address()}, protocol.CodeOverload, func() {
			l.nats.faults.store = func(scheme.SID) fault { return fails(store.ErrOverload) }
		}},
		{"no session", object{"to": "k7abcdefghijklmnopqrstuvwx@client:/"}, protocol.CodeUnknownSession, func() {}},
		{"forbidden", object{"to": "echo:/", "hdr": object{"x-ack": true}, "frm": "hydra-router:/"}, protocol.CodeForbidden, func() {}},
	} {
		test.before()
		m := test.m
		m["bdy"] = 1
		if m["hdr"] == nil {
			m["hdr"] = wanted
		}
		c.refused(test.code, m)
		l.advance(2 * time.Second)
		c.quiet()
		l.nats.prove, l.nats.unproved, l.nats.faults.publish = 0, nil, nil
	}
	if len(s.unproved) != 0 {
		t.Errorf("%v are left", s.unproved)
	}
}

// TestAcceptedRepetition: a repetition is told as what it is of, taken.
func TestAcceptedRepetition(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, other := s.dialWith(dialOptions{Arrival: Arrival{Second: true}}), s.dial()
	for range 2 {
		if a := c.call(object{"to": other.address(), "mid": "m", "bdy": 1, "hdr": wanted}); a.text("typ") != "accepted" {
			t.Error(a.raw)
		}
	}
	if other.next(); true {
		other.quiet()
	}
	l.nats.services[echo] = silent
	l.nats.prove = time.Second
	for range 2 {
		c.say(object{"to": "echo:/", "mid": "n", "bdy": 1, "hdr": wanted})
	}
	l.advance(2 * time.Second)
	for range 2 {
		if a := c.next(); a.text("typ") != "accepted" || a.text("rmid") != "n" {
			t.Error(a.raw)
		}
	}
	c.quiet()
}

// TestAcceptedAfterAMove: what was stored for a session that has moved meanwhile is told
// where it is, as far as this node has it.
func TestAcceptedAfterAMove(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, other := s.dialWith(dialOptions{Arrival: Arrival{Second: true}}), s.dial()
	l.nats.faults.store = func(scheme.SID) fault { return fault{after: time.Second} }
	mid := c.say(object{"to": other.address(), "bdy": 1, "hdr": wanted})
	l.run()
	c.drop()
	again := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	again.resumes(object{"id": string(c.id), "token": c.token})
	if a := again.find(func(m message) bool { return m.text("rmid") == mid }); a.text("typ") != "accepted" {
		t.Error(a.raw)
	}
}

// TestCloseReasons: a client of the second edition reads from each close after which it
// is to come back when, and from no other. Those of the first see nothing new.
func TestCloseReasons(t *testing.T) {
	for name, arrival := range map[string]Arrival{"first": {}, "second": {Second: true}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one()
			for _, test := range []struct {
				code   protocol.Close
				reason string
				old    bool // the first edition has the time in another form
			}{
				{protocol.CloseRestart, comeBack, true}, {protocol.CloseOverload, "not now", false}, {protocol.CloseSlow, "slow", false},
				{protocol.ClosePolicy, "bad", false}, {protocol.CloseUnauthentic, "expired", false}, {protocol.CloseTakenOver, "gone", false},
			} {
				c := s.dialWith(dialOptions{Arrival: arrival})
				s.do(func() { c.sock.c.close(test.code, test.reason) })
				c.closed(test.code)
				after := retryOf(c.reason)
				if want := arrival.Second && test.code.Returns(); (after >= 0) != want || after > 2000 {
					t.Errorf("%v: %q", test.code, c.reason)
				}
				if !arrival.Second && !test.old && c.reason != test.reason {
					t.Errorf("%v: %q, want %q", test.code, c.reason, test.reason)
				}
			}
		})
	}
}

// retryOf is what a program reads of when to come back; -1: nothing.
func retryOf(reason string) int {
	_, text, there := strings.Cut(reason, " retry=")
	n, err := strconv.Atoi(text)
	if !there || err != nil {
		return -1
	}
	return n
}
