package shard

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
)

// renewing is a node whose clients have tokens, and a client of the second edition that
// is ann's, with a token for a minute.
func renewing(l *lab, way config.Auth, tokens map[string]access.Identity) (*testShard, *renewer) {
	s := l.one(func(n *Node) {
		n.Config.Auth, n.Config.AuthService = way, "auth-svcs"
		n.CheckToken = func(token string) (access.Identity, error) {
			id, ok := tokens[token]
			switch {
			case token == "unchecked":
				return access.Identity{}, access.ErrUnchecked
			case !ok:
				return access.Identity{}, errors.New("no token")
			}
			return id, nil
		}
	})
	l.nats.services["umf.v1.svc.auth-svcs"] = func(m *nats.Msg) *nats.Msg {
		for token, id := range tokens {
			if text := fmt.Sprintf("%q", token); len(m.Data) > 0 && strings.Contains(string(m.Data), `"token":`+text) {
				rules := ""
				if id.Rules != "" {
					rules = `,"umf":` + id.Rules
				}
				return &nats.Msg{Data: fmt.Appendf(nil, `{"result":{"identity":%q,"exp":%d%s}}`, id.Name, id.Expires.Unix(), rules)}
			}
		}
		if strings.Contains(string(m.Data), `"token":"unchecked"`) {
			return nil
		}
		return &nats.Msg{Data: []byte(`{"result":{"error":"no"}}`)}
	}
	a := Arrival{Second: true, Identity: access.Identity{Name: "ann", Expires: l.clock().Add(time.Minute)}}
	if way == config.AuthService {
		a = Arrival{Second: true, Token: "first"}
	}
	c := &renewer{testClient: s.knock(dialOptions{Arrival: a})}
	c.welcome = c.next()
	c.id = c.has.sid
	return s, c
}

// renewer is a client that knows how it was greeted.
type renewer struct {
	*testClient
	welcome message
}

// bring sends a new token.
func (c *testClient) bring(token string) string {
	return c.say(object{"to": "hydra-router:/", "typ": "auth", "bdy": object{"token": token}})
}

// TestRenew: a new token of the same user moves the end of the connection, and brings
// its rules: what is behind it on the way is judged by them.
func TestRenew(t *testing.T) {
	for _, way := range []config.Auth{config.AuthJWT, config.AuthService} {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			l := newLab(t)
			later := l.clock().Add(time.Hour)
			_, c := renewing(l, way, map[string]access.Identity{
				"first":  {Name: "ann", Expires: l.clock().Add(time.Minute)},
				"second": {Name: "ann", Expires: later, Rules: `{"services":["other"]}`},
			})
			l.nats.services[echo] = silent
			if ms := c.welcome.at("bdy", "exp"); ms != float64(l.clock().Add(time.Minute).UnixMilli()) {
				t.Errorf("the welcome says %v: %s", ms, c.welcome.raw)
			}
			c.quiet()
			mid := c.bring("second")
			denied := c.say(object{"to": "echo:/", "bdy": 1, "hdr": wanted})
			l.until("two answers", func() bool { return len(c.got) == 2 })
			if m := c.next(); m.text("typ") != "accepted" || m.text("rmid") != mid || m.at("bdy", "exp") != float64(later.UnixMilli()) {
				t.Errorf("answered with %s", m.raw)
			}
			if m := c.next(); m.text("rmid") != denied || m.text("bdy", "code") != protocol.CodeDenied.String() {
				t.Errorf("what follows is answered with %s", m.raw)
			}
			l.advance(2 * time.Minute)
			c.serves()
			l.advance(time.Hour)
			c.closed(protocol.CloseUnauthentic)
		})
	}
}

// TestRenewRefused: a token that is another user's, or none, ends the connection; one
// that cannot be checked now does not.
func TestRenewRefused(t *testing.T) {
	for _, way := range []config.Auth{config.AuthJWT, config.AuthService} {
		for _, token := range []string{"others", "bad rules", "", "wrong"} {
			t.Run(fmt.Sprint(way, " ", token), func(t *testing.T) {
				l := newLab(t)
				ends := l.clock().Add(time.Minute)
				_, c := renewing(l, way, map[string]access.Identity{
					"first":     {Name: "ann", Expires: ends},
					"others":    {Name: "bob", Expires: ends},
					"bad rules": {Name: "ann", Expires: ends, Rules: `{"nosuch":1}`},
				})
				c.bring(token)
				c.say(object{"to": "echo:/", "bdy": "behind it"})
				c.closed(protocol.CloseUnauthentic)
				if n := len(l.nats.sent()); way == config.AuthJWT && n != 0 {
					t.Errorf("%d messages went on", n)
				}
			})
		}
		t.Run(fmt.Sprint(way, " unchecked"), func(t *testing.T) {
			l := newLab(t)
			_, c := renewing(l, way, map[string]access.Identity{"first": {Name: "ann", Expires: l.clock().Add(time.Minute)}})
			mid := c.bring("unchecked")
			m := c.next()
			if _, has := m.at("bdy", "retry").(float64); m.text("rmid") != mid || m.text("bdy", "code") != "unavailable" || !has {
				t.Error(m.raw)
			}
			c.serves()
			l.advance(time.Minute)
			c.closed(protocol.CloseUnauthentic)
		})
	}
}

// TestRenewPoolFull: who comes when there is no room is told so, and keeps what it has.
func TestRenewPoolFull(t *testing.T) {
	l := newLab(t)
	s, c := renewing(l, config.AuthJWT, map[string]access.Identity{"first": {Name: "ann"}})
	s.node.pool.full = true
	c.refused(protocol.CodeOverload, object{"to": "hydra-router:/", "typ": "auth", "bdy": object{"token": "first"}})
	s.node.pool.full = false
	c.serves()
}

// TestRenewIsNotThere: without tokens, and for clients of the first edition, it is as
// unknown as it was.
func TestRenewIsNotThere(t *testing.T) {
	for name, test := range map[string]struct {
		way    config.Auth
		second bool
	}{"no tokens": {config.AuthNone, true}, "first edition": {config.AuthJWT, false}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one(func(n *Node) { n.Config.Auth = test.way })
			c := s.dialWith(dialOptions{Arrival: Arrival{Second: test.second, Identity: access.Identity{Name: "ann"}}})
			mid := c.bring("second")
			if m := c.next(); m.text("rmid") != mid || m.text("bdy", "code") != protocol.CodeUnrecognized.String() {
				t.Error(m.raw)
			}
			c.closed(protocol.ClosePolicy)
		})
	}
}

// TestRenewAndGone: what is found out about a client that has gone meanwhile is nobody's.
func TestRenewAndGone(t *testing.T) {
	l := newLab(t)
	s, c := renewing(l, config.AuthJWT, map[string]access.Identity{"second": {Name: "ann"}})
	s.node.pool.slow = time.Second
	c.bring("second")
	l.run()
	c.drop()
	l.advance(time.Minute)
	c.quiet()
}
