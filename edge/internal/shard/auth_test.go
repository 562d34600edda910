package shard

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
)

// authenticated starts a node whose clients a service judges: with answer, or not at
// all if there is none.
func authenticated(l *lab, answer func(*nats.Msg) *nats.Msg) *testShard {
	s := l.one(func(n *Node) { n.Config.Auth = config.AuthService })
	l.nats.services[scheme.ServiceSubject(scheme.Service(s.node.Config.AuthService))] = answer
	return s
}

// TestAuthServiceRefuses: only a yes lets a client in, and only a no is told as one.
func TestAuthServiceRefuses(t *testing.T) {
	const message = `{"to":"a:/","frm":"b:/","mid":"1","bdy":`
	const admitted, refused, unchecked = 0, protocol.CloseUnauthentic, protocol.CloseOverload
	for _, test := range []struct {
		answer string
		header nats.Header
		want   protocol.Close // 0: it is let in
	}{
		{`{"result":{"identity":"ann"}}`, nil, admitted},
		{`{"statusCode":200,"result":{"identity":"ann"}}`, nil, admitted},
		{message + `{"identity":"ann"}}`, nil, admitted},
		{message + `{"anonymous":true}}`, nil, admitted},
		{message + `{"statusCode":200}}`, nil, refused},
		{message + `{}}`, nil, refused},
		{message + `{"authenticated":false}}`, nil, refused},
		{`{"to":"a:/","frm":"b:/","typ":"error","bdy":{"identity":"ann"}}`, nil, refused},
		{``, nil, refused},
		{`no`, nil, refused},
		{`{"result":{"error":"no"}}`, nil, refused},
		{`{"statusCode":401,"result":{"identity":"ann"}}`, nil, refused},
		{``, nats.Header{"Nats-Service-Error": {"who are you"}, "Nats-Service-Error-Code": {"401"}}, refused},
		{`{"result":{"identity":"ann"}}`, nats.Header{"Nats-Service-Error": {""}}, refused},
		{``, nats.Header{"Nats-Service-Error": {"the database is away"}, "Nats-Service-Error-Code": {"503"}}, unchecked},
		{`{"statusCode":500,"result":{"identity":"ann"}}`, nil, unchecked},
	} {
		t.Run(test.answer+test.header.Get("Nats-Service-Error"), func(t *testing.T) {
			l := newLab(t)
			s := authenticated(l, func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: []byte(test.answer), Header: test.header} })
			c := s.knock(dialOptions{})
			if test.want != admitted {
				c.closed(test.want)
				c.quiet()
				return
			}
			c.welcomed()
			c.serves()
		})
	}
}

// TestAuthServiceIsAway: where there is no answer, no client gets in, and none is
// told that it may not.
func TestAuthServiceIsAway(t *testing.T) {
	for name, answer := range map[string]func(*nats.Msg) *nats.Msg{
		"nobody listens": nil,
		"no answer":      func(*nats.Msg) *nats.Msg { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := authenticated(l, answer)
			c := s.knock(dialOptions{})
			c.say(object{"to": "svc:/", "bdy": "too early"})
			c.closed(protocol.CloseOverload)
			c.quiet()
			if !strings.HasPrefix(c.reason, "retry after ") {
				t.Errorf("closed with %q, which says nothing of when to come back", c.reason)
			}
			if len(s.held) != 0 || len(l.nats.entries) != 0 {
				t.Errorf("%d sessions are held, of %d that were opened", len(s.held), len(l.nats.entries))
			}
			if n := s.node.metric(`hydrant_dropped_total{reason="unchecked"}`); n != 1 {
				t.Errorf("%v are counted", n)
			}
		})
	}
}

// TestAuthServiceIsAsked: the service gets what the client came with, and the client
// gets what the service says, and what it sent before, once it is in.
func TestAuthServiceIsAsked(t *testing.T) {
	l := newLab(t)
	var question struct {
		Body access.Question `json:"bdy"`
	}
	s := authenticated(l, func(m *nats.Msg) *nats.Msg {
		if err := json.Unmarshal(m.Data, &question); err != nil {
			t.Errorf("%s: %v", m.Data, err)
		}
		return &nats.Msg{Data: []byte(`{"result":{"identity":"ann","plan":"gold"}}`)}
	})
	c := s.knock(dialOptions{Arrival: Arrival{Token: "t", Origin: "https://a", URI: "/x?y"}, addr: "192.0.2.7"})
	mid := c.say(object{"to": "hydra-router:/", "typ": "ping", "bdy": "early"})
	m := c.next()
	if want := (access.Question{IP: "192.0.2.7", Origin: "https://a", Token: "t", URL: "/x?y"}); question.Body != want {
		t.Errorf("it is asked %+v, want %+v", question.Body, want)
	}
	if m.text("typ") != protocol.TypeConnection || m.text("bdy", "authResponse", "plan") != "gold" {
		t.Errorf("welcomed with %s", m.raw)
	}
	if m := c.next(); m.text("typ") != protocol.TypePong || m.text("rmid") != mid {
		t.Errorf("then comes %s", m.raw)
	}
	if e := l.entry(c.has.sid); e.Identity != "ann" {
		t.Errorf("the session is of %q", e.Identity)
	}
}
