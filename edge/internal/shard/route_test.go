package shard

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// routed is a message of a client, and what must come of it.
type routed struct {
	name    string
	message object
	raw     string // in place of message
	code    string // of the error that the client gets; "": none
	closes  protocol.Close
	subject string // where it is published; "": nowhere
	work    bool   // it is put into a queue
	stored  bool   // it is put into other's mailbox
	counted stats.Received
}

const (
	none      = protocol.CloseGoingAway // nothing is closed
	uncounted = stats.Received(255)
)

// long is longer than an address or a mid may be.
var long = strings.Repeat("x", 6000)

// nameless is an address's service, and no name for NATS.
var nameless = strings.Repeat("x", 100)

func routes(router, other string) []routed {
	return []routed{
		{name: "no JSON", raw: "hello", code: "invalid_message", closes: protocol.ClosePolicy, counted: stats.InInvalid},
		{name: "no body", raw: `{"to":"a:/","frm":"b:/","mid":"m"}`, code: "invalid_message", closes: protocol.ClosePolicy, counted: stats.InInvalid},
		{name: "a long mid", message: object{"to": "echo:/", "mid": long, "bdy": 1}, code: "invalid_message", counted: stats.InInvalid},
		{name: "a long sender", message: object{"to": "echo:/", "frm": long + ":/", "bdy": 1}, code: "invalid_message", counted: stats.InInvalid},
		{name: "no address", message: object{"to": "nowhere", "bdy": 1}, code: "bad_address", counted: stats.InBadAddress},
		{name: "a service that is no name", message: object{"to": nameless + ":/", "bdy": 1}, code: "bad_address", counted: stats.InBadAddress},
		{name: "an instance that is no name", message: object{"to": "x.*@echo:/", "bdy": 1}, code: "bad_address", counted: stats.InBadAddress},

		{name: "a service", message: object{"to": "echo:/path", "bdy": 1}, subject: "umf.v1.svc.echo", counted: stats.InService},
		{name: "a mute service", message: object{"to": "mute:/", "bdy": 1}, subject: "umf.v1.svc.mute", code: "no_instances", counted: stats.InService},
		{name: "an instance", message: object{"to": strings.Repeat("a", 32) + "@echo:/", "bdy": 1}, subject: "umf.v1.inst.echo." + strings.Repeat("a", 32), code: "no_instances", counted: stats.InService},
		{name: "a request", message: object{"to": "echo:[GET]/x", "bdy": 1}, subject: "umf.v1.svc.echo", counted: stats.InRequest},
		{name: "too large", message: object{"to": "echo:/", "bdy": strings.Repeat("x", 1<<20)}, code: "too_large", counted: uncounted},

		{name: "a client", message: object{"to": other, "bdy": 1}, stored: true, counted: stats.InClient},
		{name: "a client by its node", message: object{"to": viaOf(other, router), "bdy": 1}, stored: true, counted: stats.InClient},
		{name: "an unknown client", message: object{"to": string(scheme.NewSID()) + "@client:/", "bdy": 1}, code: "unknown_session", counted: stats.InClient},
		{name: "a client that cannot be", message: object{"to": "x@client:/", "bdy": 1}, code: "unknown_session", counted: stats.InClient},
		{name: "no client", message: object{"to": "client:/", "bdy": 1}, code: "unknown_session", counted: stats.InClient},

		{name: "ping", message: object{"to": "hydra-router:/", "typ": "ping", "bdy": 1}, counted: stats.InPing},
		{name: "log", message: object{"to": "hydra-router:/", "typ": "log", "bdy": object{"x": 1}}, counted: stats.InLog},
		{name: "nothing known", message: object{"to": "hydra-router:/", "typ": "dance", "bdy": 1}, code: "unrecognized", closes: protocol.ClosePolicy, counted: stats.InUnrecognized},
		{name: "ack of a plain client", message: object{"to": "hydra-router:/", "typ": "ack", "bdy": object{"seq": 1}}, code: "bad_ack", counted: stats.InAck},
		{name: "no route", message: object{"to": "hydra-router:[GET]/v1/router/nothing", "bdy": 1}, code: "not_routable", counted: stats.InAPI},
		{name: "where", message: object{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": object{"clientID": "x"}}, counted: stats.InWsdir},

		{name: "forward to a service", message: object{"to": "hydra-router:/", "fwd": "echo:/", "bdy": 1}, subject: "umf.v1.svc.echo", counted: stats.InService},
		{name: "forward of a request", message: object{"to": "hydra-router:/", "fwd": "echo:[GET]/", "bdy": 1}, subject: "umf.v1.svc.echo", counted: stats.InRequest},
		{name: "forward to a client", message: object{"to": "hydra-router:/", "fwd": other, "bdy": 1}, stored: true, counted: stats.InClient},
		{name: "forward to no client", message: object{"to": "hydra-router:/", "fwd": "x@client:/", "bdy": 1}, code: "unknown_session", closes: protocol.ClosePolicy, counted: stats.InClient},
		{name: "forward to the router", message: object{"to": "hydra-router:/", "fwd": "hydra-router:/", "bdy": 1}, code: "bad_address", counted: uncounted},
		{name: "forward to no address", message: object{"to": "hydra-router:/", "fwd": "nowhere", "bdy": 1}, code: "bad_address", closes: protocol.ClosePolicy, counted: uncounted},
		{name: "work", message: object{"to": "hydra-router:/queue", "fwd": "echo:/", "bdy": 1}, work: true, counted: stats.InWork},
	}
}

// viaOf is the address of a session as services are told it.
func viaOf(address, router string) string {
	sid, _, _ := strings.Cut(address, "@")
	node, service, _ := strings.Cut(router, "@")
	return node + "-" + sid + "@" + service
}

// TestRoute: every way that a message can go.
func TestRoute(t *testing.T) {
	for i := range routes("n@hydra-router:/", "x@client:/") {
		l := newLab(t)
		s := l.one()
		l.nats.services["umf.v1.svc.echo"] = func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: []byte(`{"result":1}`)} }
		c, other := s.dial(), s.dial()
		r := routes(string(s.node.ID)+"@hydra-router:/", other.address())[i]
		t.Run(r.name, func(t *testing.T) {
			l.t = t
			l.run()
			l.nats.published = nil
			if r.raw != "" {
				c.raw(r.raw)
			} else {
				c.say(r.message)
			}
			l.run()
			r.check(t, c, other)
		})
	}
}

func (r routed) check(t *testing.T, c, other *testClient) {
	t.Helper()
	code := ""
	if len(c.got) > 0 {
		code = c.got[len(c.got)-1].text("bdy", "code")
	}
	if code != r.code {
		t.Errorf("the client got %v, want %q", c.got, r.code)
	}
	want := 0
	if r.closes != none {
		want = r.closes.Number()
	}
	if c.code != want {
		t.Errorf("closed with %d, want %d", c.code, want)
	}
	if list := c.l.nats.sent(); (len(list) == 1) != (r.subject != "") || len(list) == 1 && list[0].Subject != r.subject {
		t.Errorf("published: %v", list)
	}
	if (len(c.l.nats.work) == 1) != r.work || (len(other.got) == 1) != r.stored {
		t.Errorf("%d in the queue, the other got %v", len(c.l.nats.work), other.got)
	}
	if r.counted != uncounted && c.s.received(r.counted) != 1 {
		t.Errorf("it is not counted as %v", r.counted)
	}
}

// TestNotConnected: without NATS a client is told so at once, for all that would
// have to go there; what the node knows itself it answers.
func TestNotConnected(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.node.Connected.Store(false)
	for _, m := range []object{
		{"to": "echo:/", "bdy": 1}, {"to": "echo:[GET]/", "bdy": 1}, {"to": c.address(), "bdy": 1},
		{"to": "hydra-router:/queue", "fwd": "echo:/", "bdy": 1},
	} {
		c.refused(protocol.CodeUnavailable, m)
	}
	c.serves()
}

// TestOutboxIsFull: the same where there is no room for it.
func TestOutboxIsFull(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.out.full = true
	c.refused(protocol.CodeOverload, object{"to": "echo:/", "bdy": 1})
	if n := s.node.metric("hydrant_outbox_full_total"); n != 1 {
		t.Errorf("%v are counted", n)
	}
}

// TestHeldBack: who sends while the way to NATS is crowded is not read from until
// there is room, and then goes on where it was.
func TestHeldBack(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, other := s.dial(), s.dial()
	s.out.strained = true
	for range 3 {
		c.say(object{"to": "work:/", "bdy": 1})
	}
	l.run()
	if n := len(l.nats.published); n != 1 || s.tally.HeldBack.Load() != 1 {
		t.Fatalf("%d are published", n)
	}
	other.serves()
	s.out.relieve()
	if n := len(l.nats.published); n != 3 {
		t.Errorf("%d are published", n)
	}
	c.drop()
	s.out.relieve()
}

// TestSignatures: what is not signed rightly goes nowhere.
func TestSignatures(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		code protocol.Code
	}{
		"unsigned":       {`{"to":"echo:/","frm":"x:/","mid":"m","bdy":1}`, protocol.CodeUnsigned},
		"wrongly signed": {`{"to":"echo:/","frm":"x:/","mid":"m","ts":"2026-01-12T21:00:00.000Z","bdy":1,"signature":"` + strings.Repeat("0", 64) + `"}`, protocol.CodeSignature},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one(func(n *Node) { n.Signatures = access.NewSignatures([]string{"secret"}, 0, func() {}) })
			client := s.dial()
			client.raw(c.text)
			if m := client.next(); m.text("bdy", "code") != c.code.String() {
				t.Errorf("got %s", m.raw)
			}
			client.closed(protocol.ClosePolicy)
			if len(l.nats.sent()) != 0 || s.received(stats.InBadSignature) != 1 {
				t.Errorf("published: %v", l.nats.published)
			}
		})
	}
}

// TestSigned: what is signed rightly goes on.
func TestSigned(t *testing.T) {
	l := newLab(t)
	s := l.one(func(n *Node) { n.Signatures = access.NewSignatures([]string{"secret"}, 0, func() {}) })
	c := s.dial()
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"to":"echo:/","frm":"x:/","mid":"m","ts":"2026-01-12T21:00:00.000Z","bdy":1}`), &e); err != nil {
		t.Fatal(err)
	}
	c.raw(string(e.AppendShort(nil, umf.Set{Field: umf.Signature, Raw: umf.AppendString(nil, umf.NewKeys("secret").Sign(&e))})))
	l.run()
	if len(l.nats.published) != 1 {
		t.Errorf("published: %v; the client got %v", l.nats.published, c.got)
	}
}

// TestWhatServicesGet: the headers say who has sent a message, and via how that
// one is reached; what the client lacks is filled in.
func TestWhatServicesGet(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dialAs("ann")
	c.raw(`{"to":"echo:/","frm":"x@client:/","via":"forged","bdy":1}`)
	l.run()
	m := l.nats.published[len(l.nats.published)-1]
	if m.Header.Get(scheme.HeaderSession) != string(c.id) || m.Header.Get(scheme.HeaderIdentity) != "ann" ||
		m.Header.Get(scheme.HeaderMailbox) != scheme.MailboxSubject(c.id) {
		t.Errorf("headers %v", m.Header)
	}
	var e umf.Envelope
	if err := umf.Scan(m.Data, &e); err != nil {
		t.Fatal(err)
	}
	via, _ := e.Text(umf.Via, nil)
	if string(via) != viaOf(c.address(), string(s.node.ID)+"@hydra-router:/") || e.Falsy(umf.Mid) || e.Falsy(umf.Timestamp) || e.Falsy(umf.Version) {
		t.Errorf("%s", m.Data)
	}
}

// TestNotStored: what NATS does not take is told to the sender, if it still is
// there.
func TestNotStored(t *testing.T) {
	for err, code := range map[error]protocol.Code{
		store.ErrOverload: protocol.CodeOverload, nats.ErrMaxPayload: protocol.CodeTooLarge,
		nats.ErrTimeout: protocol.CodeTimeout, store.ErrUnavailable: protocol.CodeUnavailable,
	} {
		l := newLab(t)
		s := l.one()
		c, other := s.dial(), s.dial()
		l.nats.faults.store = func(scheme.SID) fault { return fault{err: err, lost: true, after: time.Second} }
		c.refused(code, object{"to": other.address(), "bdy": 1})
		c.say(object{"to": other.address(), "bdy": 1})
		l.run()
		c.drop()
		l.advance(2 * time.Second)
		other.quiet()
	}
}
