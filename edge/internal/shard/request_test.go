package shard

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

const echo = "umf.v1.svc.echo"

// answers has the service echo answer all with a text; "": not at all.
func (l *lab) answers(text string) {
	l.nats.services[echo] = func(*nats.Msg) *nats.Msg {
		if text == "" {
			return nil
		}
		return &nats.Msg{Data: []byte(text)}
	}
}

// asking is a [METHOD] request.
func asking() object { return object{"to": "echo:[GET]/x", "bdy": 1} }

// TestRequest: the answer goes back with to and from exchanged.
func TestRequest(t *testing.T) {
	l := newLab(t)
	l.answers(`{"result":{"x":1}}`)
	c := l.one().dial()
	if m := c.call(asking()); m.text("frm") != "echo:[GET]/x" || m.text("to") != c.address() || m.at("bdy", "x") != 1.0 {
		t.Errorf("answered %s", m.raw)
	}
}

// TestRequestIsRefused: a service of NATS' own framework says no in headers. Old
// clients get it in the form that they know from a service that does not run.
func TestRequestIsRefused(t *testing.T) {
	for _, test := range []struct {
		code, description, data string
		body                    object // but for what says why
		why                     string
	}{
		{"404", "no such order", ``, object{"code": "404", "status": 404.0}, "no such order"},
		{"OUT_OF_STOCK", "none left", ``, object{"code": "OUT_OF_STOCK", "status": 502.0}, "none left"},
		{"", "", `{"result":{"x":1}}`, object{"code": "service", "status": 502.0}, "The service refuses"},
		{"200", "a line\nand another", `{"result":{"x":1}}`, object{"code": "200", "status": 502.0}, "a line.and another"},
	} {
		l := newLab(t)
		l.nats.services[echo] = func(*nats.Msg) *nats.Msg {
			return &nats.Msg{Data: []byte(test.data), Header: nats.Header{"Nats-Service-Error": {test.description}, "Nats-Service-Error-Code": {test.code}}}
		}
		s := l.one()
		for _, client := range []struct {
			c        *testClient
			typ, key string
		}{{s.dial(), "", "reason"}, {s.dialWith(dialOptions{Arrival: Arrival{Second: true}}), protocol.TypeError, "error"}} {
			m := client.c.call(asking())
			if m.text("typ") != client.typ || m.text("bdy", client.key) != test.why || m.text("frm") != "echo:[GET]/x" {
				t.Errorf("%q is answered with %s", test.code, m.raw)
			}
			for key, want := range test.body {
				if got := m.at("bdy", key); got != want {
					t.Errorf("%q: %s is %v, want %v", test.code, key, got, want)
				}
			}
		}
	}
}

// TestNoAnswerIsAnError: clients of the second edition can tell each answer from the
// word that there is none.
func TestNoAnswerIsAnError(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	if m := c.call(asking()); m.text("typ") != protocol.TypeError || m.text("bdy", "code") != protocol.CodeNoInstances.String() {
		t.Errorf("answered %s", m.raw)
	}
	l.answers("")
	c.say(asking())
	l.advance(s.node.Config.RequestTimeout)
	if m := c.next(); m.text("typ") != protocol.TypeError || m.text("bdy", "code") != protocol.CodeTimeout.String() {
		t.Errorf("answered %s", m.raw)
	}
	for _, client := range []struct {
		c     *testClient
		hints bool
	}{{c, true}, {s.dial(), false}} {
		s.do(func() { client.c.fail([]byte(`"m"`), protocol.CodeOverload, "Messaging is overloaded") })
		m := client.c.next()
		if after, hinted := m.at("bdy", "retry").(float64); hinted != client.hints || after < 0 || after > 2000 {
			t.Errorf("told %s", m.raw)
		}
	}
}

// TestRequestToNobody: the client is told at once.
func TestRequestToNobody(t *testing.T) {
	c := newLab(t).one().dial()
	if m := c.call(asking()); m.text("bdy", "reason") != "Unavailable echo instances" {
		t.Errorf("answered %s", m.raw)
	}
}

// TestRequestTimesOut: requests are answered in the order in which they were sent,
// each when its time is over.
func TestRequestTimesOut(t *testing.T) {
	l := newLab(t)
	l.answers("")
	s := l.one()
	c := s.dial()
	first := c.say(asking())
	l.advance(time.Second)
	second := c.say(asking())
	l.advance(s.node.Config.RequestTimeout - time.Second)
	m := c.next()
	if m.text("rmid") != first || m.text("bdy", "code") != protocol.CodeTimeout.String() {
		t.Errorf("answered %s", m.raw)
	}
	c.quiet()
	l.advance(time.Second)
	if m := c.next(); m.text("rmid") != second {
		t.Errorf("answered %s", m.raw)
	}
	if n := s.node.metric(`hydrant_requests_total{result="timeout"}`); n != 2 || c.outstanding != 0 {
		t.Errorf("%v are counted, %d are left", n, c.outstanding)
	}
}

// TestRequestNotSent: NATS does not take it.
func TestRequestNotSent(t *testing.T) {
	l := newLab(t)
	c := l.one().dial()
	l.nats.faults.publish = func(string) error { return nats.ErrConnectionClosed }
	if m := c.call(asking()); m.text("bdy", "code") != protocol.CodeTimeout.String() {
		t.Errorf("answered %s", m.raw)
	}
	if m := c.call(object{"to": "echo:/", "bdy": 1}); m.text("bdy", "code") != protocol.CodeUnavailable.String() {
		t.Errorf("answered %s", m.raw)
	}
}

// TestAnswerAfterTheEnd: an answer is for the session that has asked, wherever
// that is by then.
func TestAnswerAfterTheEnd(t *testing.T) {
	l := newLab(t)
	here, there := l.one(), l.one()
	l.answers("")
	c := here.dial()
	mid := c.say(asking())
	l.run()
	c.drop()
	other := there.dial()
	other.resumes(object{"id": string(c.id)})
	request := l.nats.sent()[len(l.nats.sent())-1]
	_, number, ok := scheme.ParseRequestSubject(request.Reply)
	if !ok {
		t.Fatal(request.Reply)
	}
	here.do(func() { here.Answer(number, &nats.Msg{Subject: request.Reply, Data: []byte(`{"result":7}`)}) })
	if m := other.next(); m.text("rmid") != mid || m.at("bdy") != 7.0 {
		t.Errorf("got %s", m.raw)
	}
	here.do(func() { here.Answer(number, &nats.Msg{Subject: request.Reply, Data: []byte(`{"result":8}`)}) })
	other.quiet()
}

// TestAnswerIsLost: it cannot be stored, which is counted.
func TestAnswerIsLost(t *testing.T) {
	l := newLab(t)
	s := l.one()
	l.answers("")
	c := s.dial()
	c.say(asking())
	l.run()
	c.drop()
	l.nats.faults.store = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
	s.node.counts(`hydrant_dropped_total{reason="late_answer"}`, func() { l.advance(s.node.Config.RequestTimeout) })
}

// TestForgedAnswer: of the subject of an answer each part is compared, so that a number
// that was guessed answers nothing.
func TestForgedAnswer(t *testing.T) {
	l := newLab(t)
	s := l.one()
	l.answers("")
	c := s.dial()
	mid := c.say(asking())
	l.run()
	request := l.nats.sent()[len(l.nats.sent())-1]
	_, number, ok := scheme.ParseRequestSubject(request.Reply)
	if !ok {
		t.Fatal(request.Reply)
	}
	for _, subject := range []string{
		scheme.RequestSubject(s.node.ID, 0, number), scheme.RequestSubject(scheme.NewNodeID(), 0, number),
		request.Reply + "0", request.Reply[:len(request.Reply)-1], "",
	} {
		s.do(func() { s.Answer(number, &nats.Msg{Subject: subject, Data: []byte(`{"result":"forged"}`)}) })
	}
	c.quiet()
	s.do(func() { s.Answer(number, &nats.Msg{Subject: request.Reply, Data: []byte(`{"result":7}`)}) })
	if m := c.next(); m.text("rmid") != mid || m.at("bdy") != 7.0 {
		t.Errorf("got %s", m.raw)
	}
}

// TestLookUp: whether a session exists is asked once, and messages for it keep
// their order.
func TestLookUp(t *testing.T) {
	l := newLab(t)
	here, there := l.one(), l.one()
	from, to := here.dial(), there.dial()
	looks := 0
	l.nats.faults.look = func(scheme.SID) fault { looks++; return fault{after: 100 * time.Millisecond} }
	for i := range 3 {
		from.say(object{"to": to.address(), "bdy": i + 1})
	}
	l.run()
	to.quiet()
	for i := range 3 {
		if m := to.next(); m.at("bdy") != float64(i+1) {
			t.Errorf("got %s", m.raw)
		}
	}
	from.say(object{"to": to.address(), "bdy": 4})
	to.next()
	if looks != 1 || here.out.kept != 0 {
		t.Errorf("asked %d times, %d bytes are kept", looks, here.out.kept)
	}
}

// TestLookUpFails: the sender is told, each time.
func TestLookUpFails(t *testing.T) {
	l := newLab(t)
	here, there := l.one(), l.one()
	from, to := here.dial(), there.dial()
	l.nats.faults.look = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
	from.refused(protocol.CodeUnavailable, object{"to": to.address(), "bdy": 1})
	l.nats.faults.look = nil
	unknown := string(scheme.NewSID()) + "@client:/"
	from.refused(protocol.CodeUnknownSession, object{"to": unknown, "bdy": 1})
	from.refused(protocol.CodeUnknownSession, object{"to": unknown, "bdy": 1}) // which is known by now
	from.say(object{"to": unknown, "bdy": 1})
	from.drop()
	l.run()
	to.quiet()
}

// TestSameMid: a client may repeat a message, and not another's.
func TestSameMid(t *testing.T) {
	l := newLab(t)
	s := l.one()
	one, two, to := s.dial(), s.dial(), s.dial()
	for _, c := range []*testClient{one, one, two} {
		c.say(object{"to": to.address(), "mid": "same", "bdy": string(c.id)})
	}
	l.run()
	for _, c := range []*testClient{one, two} {
		if m := to.next(); m.text("bdy") != string(c.id) {
			t.Errorf("got %s", m.raw)
		}
	}
	to.quiet()
}

// TestSameMidWithOtherContent: a used mid makes no repetition of another message; how a
// message is spelt, when it was made and what its headers are makes no other one.
func TestSameMidWithOtherContent(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, to := s.dial(), s.dial()
	a := to.address()
	c.say(object{"to": a, "mid": "same", "bdy": object{"n": 1}})
	c.say(object{"to": a, "mid": "same", "bdy": object{"n": 1}, "ts": "2026-01-12T20:16:30.000Z", "hdr": object{"try": 2}})
	c.raw(`{"bdy" : {"\u006e":1.0},"mid":"same","to":"` + a + `","from":"` + c.address() + `"}`)
	c.say(object{"to": a, "mid": "same", "bdy": object{"n": 2}})
	c.say(object{"to": a, "mid": "same", "bdy": object{"n": 3}, "typ": "x"})
	c.say(object{"to": a, "mid": "same", "bdy": object{"n": 3}, "typ": "y"})
	c.say(object{"to": "hydra-router:/", "fwd": a, "mid": "same", "bdy": object{"n": 4}})
	c.say(object{"to": "hydra-router:/", "fwd": a, "mid": "same", "bdy": object{"n": 4}})
	l.run()
	for _, want := range []float64{1, 2, 3, 3, 4} {
		if m := to.next(); m.at("bdy", "n") != want {
			t.Errorf("got %s, want %v", m.raw, want)
		}
	}
	to.quiet()
	ids := make(map[string]int)
	for _, body := range []int{1, 1, 2} {
		c.say(object{"to": "hydra-router:/queue", "fwd": "svc:/", "mid": "work", "bdy": body})
	}
	l.run()
	for _, op := range s.out.performed(stats.OpWork) {
		ids[op.Mid+op.Content]++
	}
	if len(ids) != 2 {
		t.Errorf("work has the ids %v", ids)
	}
}

// TestLocate: which node has a session's socket.
func TestLocate(t *testing.T) {
	l := newLab(t)
	here, there := l.one(), l.one()
	c, other, parked := here.dial(), there.dial(), there.dial()
	parked.drop()
	l.parked(parked.id)
	where := func(id string) message {
		return c.call(object{"to": "hydra-router:/", "typ": protocol.TypeLocate, "bdy": object{"clientID": id}})
	}
	for id, node := range map[string]string{
		string(other.id): string(there.node.ID), string(c.id): string(here.node.ID),
		string(parked.id): "", string(scheme.NewSID()): "", "x": "", "": "",
	} {
		if m := where(id); m.text("bdy", "routerID") != node || m.text("bdy", "clientID") != id {
			t.Errorf("%q: %s", id, m.raw)
		}
	}
	l.nats.faults.get = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
	if m := where(string(other.id)); m.text("bdy", "code") != protocol.CodeUnavailable.String() {
		t.Errorf("answered %s", m.raw)
	}
}

// TestRouterAPI: what a route says, and that it fails.
func TestRouterAPI(t *testing.T) {
	s := newLab(t).one()
	c := s.dial()
	var fails error
	s.node.routes["/v1/router/version"] = func(context.Context) ([]byte, error) { return []byte(`{"version":"1"}`), fails }
	ask := object{"to": "hydra-router:[GET]/v1/router/version?x=1", "bdy": 1}
	if m := c.call(ask); m.text("bdy", "version") != "1" {
		t.Errorf("answered %s", m.raw)
	}
	fails = errors.New("no")
	delete(ask, "mid")
	c.refused(protocol.CodeUnavailable, ask)
	delete(ask, "mid")
	c.say(ask)
	c.drop()
	s.l.run()
}

// TestRouterAPIRefuses: who shows what, and from where, is for the API to judge; the client
// is told why it gets nothing, and stays connected.
func TestRouterAPIRefuses(t *testing.T) {
	s := newLab(t).one()
	c := s.dial()
	for code, text := range map[protocol.Code]string{
		protocol.CodeNotRoutable: "Route /v1/router/log is not routable.",
		protocol.CodeForbidden:   "Route /v1/router/log is for administrators",
		protocol.CodeOverload:    "Too many wrong tokens of administrators",
	} {
		s.node.noRoute, s.node.shown = code, nil
		m := c.call(object{"to": "hydra-router:[GET]/v1/router/log?x=1", "bdy": 1, "aut": "Bearer wrong"})
		if m.text("bdy", "error") != text || m.text("bdy", "code") != code.String() {
			t.Errorf("%v: %s", code, m.raw)
		}
		if want := (shown{"Bearer wrong", c.conn.RemoteAddr().Addr()}); len(s.node.shown) != 1 || s.node.shown[0] != want {
			t.Errorf("asked with %v, want %v", s.node.shown, want)
		}
	}
}

// TestClientLog: messages of type log are kept, without the id that others would need
// to get the session.
func TestClientLog(t *testing.T) {
	s := newLab(t).one()
	c := s.dial()
	c.say(object{"to": "hydra-router:/", "typ": "log", "bdy": object{"x": 1}})
	s.l.run()
	if list := s.node.ClientLog.List(); len(list) != 1 || list[0].ClientID != c.id.Short() || string(list[0].Body) != `{"x":1}` {
		t.Errorf("%+v", list)
	}
}
