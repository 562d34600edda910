package shard

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
)

// TestErrorsByEdition: a client of the second edition is told each error as one, with
// a code, and when to try again what may pass. One of the first sees what it knows.
func TestErrorsByEdition(t *testing.T) {
	for name, arrival := range map[string]Arrival{"first": {}, "second": {Second: true}, "confirming": {Second: true, Acked: true}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one()
			c := s.dialWith(dialOptions{Arrival: arrival})
			other := s.dial()
			second := arrival.Second
			check := func(what string, m message, code protocol.Code, passes bool) {
				t.Helper()
				if m.text("typ") != "error" || m.text("bdy", "code") != code.String() || m.text("bdy", "error") == "" {
					t.Errorf("%s: %s", what, m.raw)
				}
				retry, has := m.at("bdy", "retry").(float64)
				if has != (passes && second) || has && (retry < 0 || retry > 2000) {
					t.Errorf("%s: retry %v in %s", what, retry, m.raw)
				}
			}
			absent := c.call(object{"to": "echo:[GET]/x", "frm": c.address(), "bdy": 1})
			l.nats.services[echo] = silent
			mid := c.say(object{"to": "echo:[GET]/x", "bdy": 1})
			l.advance(s.node.Config.RequestTimeout)
			late := c.find(func(m message) bool { return m.text("rmid") == mid })
			if second {
				check("absent", absent, protocol.CodeNoInstances, false)
				check("late", late, protocol.CodeTimeout, false)
				if absent.text("to") != c.address() || absent.text("frm") != "echo:[GET]/x" {
					t.Errorf("absent: %s", absent.raw)
				}
			} else if absent.at("typ") != nil || absent.text("bdy", "reason") != "Unavailable echo instances" || absent.text("bdy", "code") != "no_instances" || absent.at("bdy", "error") != nil ||
				late.at("typ") != nil || late.text("bdy", "code") != "timeout" {
				t.Errorf("absent: %s, late: %s", absent.raw, late.raw)
			}
			for err, code := range map[error]protocol.Code{store.ErrOverload: protocol.CodeOverload, store.ErrUnavailable: protocol.CodeUnavailable, store.ErrUnconfirmed: protocol.CodeTimeout} {
				l.nats.faults.store = func(scheme.SID) fault { return fault{err: err, lost: true} }
				check("not stored", c.call(object{"to": other.address(), "bdy": 1}), code, code != protocol.CodeTimeout)
			}
			l.nats.faults.store = nil
			s.node.Connected.Store(false)
			check("not connected", c.call(object{"to": "echo:[GET]/", "bdy": 1}), protocol.CodeUnavailable, true)
			s.node.Connected.Store(true)
			for range maxRequestsPerClient {
				c.say(object{"to": "echo:[GET]/x", "bdy": 1})
			}
			check("too many requests", c.call(object{"to": "echo:[GET]/x", "bdy": 1}), protocol.CodeOverload, true)
			l.advance(time.Minute)
		})
	}
}

// TestErrorOfALateRequest: the answer that says that there was none is stored in the
// same form.
func TestErrorOfALateRequest(t *testing.T) {
	l := newLab(t)
	s := l.one()
	l.nats.services[echo] = silent
	c := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	mid := c.say(object{"to": "echo:[GET]/x", "bdy": 1})
	l.run()
	c.drop()
	l.advance(s.node.Config.RequestTimeout)
	again := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	again.resumes(object{"id": string(c.id), "token": c.token})
	if m := again.next(); m.text("rmid") != mid || m.text("typ") != "error" || m.text("bdy", "code") != "timeout" {
		t.Errorf("it finds %s", m.raw)
	}
}

// silent is a service that never answers.
func silent(*nats.Msg) *nats.Msg { return nil }

// TestAnswerByEdition: the answer to the handshake waits for the welcome, and for no
// longer than a moment. A client of the first edition has it at once.
func TestAnswerByEdition(t *testing.T) {
	for _, arrival := range []Arrival{{}, {Second: true}, {Second: true, Acked: true}} {
		s := newLab(t).one()
		var want time.Duration
		if arrival.Second {
			want = holdAnswer
		}
		if c := s.dialWith(dialOptions{Arrival: arrival}); c.sock.holds != want {
			t.Errorf("%+v: it is held for %v", arrival, c.sock.holds)
		}
	}
}
