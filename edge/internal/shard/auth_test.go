package shard

import (
	"encoding/json"
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

// TestAuthServiceRefuses: only an answer that is no refusal in any of the forms that
// services have lets a client in.
func TestAuthServiceRefuses(t *testing.T) {
	const message = `{"to":"a:/","frm":"b:/","mid":"1","bdy":`
	for answer, admitted := range map[string]bool{
		`{"result":{"identity":"ann"}}`:                  true,
		`{"statusCode":200,"result":{"identity":"ann"}}`: true,
		message + `{"identity":"ann"}}`:                  true,
		message + `{"statusCode":200}}`:                  true,
		`{"result":{"error":"no"}}`:                      false,
		`{"result":"no"}`:                                false,
		`no`:                                             false,
		`{"result":{"identity":7}}`:                      false,
		`{"statusCode":401,"result":{}}`:                 false,
		`{"statusCode":"403","result":{}}`:               false,
		`{"statusCode":null,"result":{}}`:                false,
		message + `{"statusCode":401}}`:                  false,
	} {
		t.Run(answer, func(t *testing.T) {
			l := newLab(t)
			s := authenticated(l, func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: []byte(answer)} })
			c := s.knock(dialOptions{})
			if !admitted {
				c.closed(protocol.CloseUnauthentic)
				c.quiet()
				return
			}
			c.welcomed()
			c.serves()
		})
	}
}

// TestAuthServiceIsAway: where there is no answer, no client gets in.
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
			c.closed(protocol.CloseUnauthentic)
			c.quiet()
			if len(s.held) != 0 || len(l.nats.entries) != 0 {
				t.Errorf("%d sessions are held, of %d that were opened", len(s.held), len(l.nats.entries))
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
