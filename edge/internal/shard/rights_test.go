package shard

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// ruled starts a node with rules for clients that bring none.
func ruled(l *lab, rules string) *testShard {
	return l.one(func(n *Node) { n.Config.Policy = rules })
}

// dialRuled connects a client whose token has rules.
func (s *testShard) dialRuled(identity, rules string) *testClient {
	return s.dialWith(dialOptions{Arrival: Arrival{Identity: access.Identity{Name: identity, Rules: rules}}})
}

// denied sends a message that the rules do not allow: its sender is told and stays,
// and nothing has left the node.
func (c *testClient) denied(why policy.Denial, message string) {
	c.l.t.Helper()
	c.l.run()
	c.got, c.l.nats.published = nil, nil
	series := fmt.Sprintf("hydrant_denied_total{kind=%q}", why.String())
	counted, log, work, code := c.s.node.metric(series), len(c.l.nats.log), len(c.l.nats.work), c.code
	c.raw(message)
	c.l.run()
	if len(c.got) != 1 || c.got[0].text("bdy", "code") != "denied" || c.got[0].text("rmid") != "d" || c.got[0].text("bdy", "error") != why.Text() {
		c.l.t.Errorf("%s: answered with %v", message, c.got)
	}
	c.got = nil
	if len(c.l.nats.sent()) != 0 || len(c.l.nats.log) != log || len(c.l.nats.work) != work {
		c.l.t.Errorf("%s: left the node", message)
	}
	if c.s.node.metric(series) != counted+1 {
		c.l.t.Errorf("%s: not counted as %v", message, why)
	}
	if c.code != code {
		c.l.t.Errorf("%s: closed with %d", message, c.code)
	}
}

// allowed sends a message that leaves the node.
func (c *testClient) allowed(message string) {
	c.l.t.Helper()
	c.l.run()
	c.got, c.l.nats.published = nil, nil
	before := len(c.l.nats.log) + len(c.l.nats.work)
	c.mids++
	c.raw(strings.Replace(message, `"mid":"d"`, fmt.Sprintf(`"mid":"a%d"`, c.mids), 1)) // one that was there is not stored
	c.l.run()
	for _, m := range c.got {
		if m.text("bdy", "code") == "denied" {
			c.l.t.Errorf("%s: %s", message, m.raw)
		}
	}
	if len(c.l.nats.sent())+len(c.l.nats.log)+len(c.l.nats.work) == before {
		c.l.t.Errorf("%s: has not left the node", message)
	}
	c.got = nil
}

// to is a message with members in place of the usual ones.
func to(members string) string { return `{"frm":"client:/","mid":"d","bdy":1,` + members + `}` }

// TestRulesForServices: a message is judged by the name that it is routed by, however
// its address is written and whatever else it says.
func TestRulesForServices(t *testing.T) {
	l := newLab(t)
	s := ruled(l, `{"services":["echo","room-*"],"queues":["orders"]}`)
	for _, subject := range []string{"echo", "room-1"} {
		l.nats.services["umf.v1.svc."+subject] = func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: []byte(`{"result":1}`)} }
	}
	c := s.dial()
	for _, message := range []string{
		`"to":"echo:/"`, `"to":"echo:"`, `"to":"i@echo:/path"`, `"to":"echo:[GET]/x"`, `"to":"echo:[get]/x"`, `"to":"room-1:/"`,
		`"to":"\u0065cho:/"`, `"to":"chat:/","to":"echo:/"`, `"to":"echo:/","for":"chat:/"`,
		`"to":"hydra-router:/","fwd":"echo:/"`, `"to":"hydra-router:/","forward":"i@echo:[PUT]/"`, `"to":"x@hydra-router:/any","fwd":"echo:/"`,
		`"to":"echo:/","fwd":"chat:/"`, `"to":"hydra-router:/queue","fwd":"orders:/"`, `"to":"hydra-router:/queue","fwd":"i@orders:[GET]/"`,
	} {
		c.allowed(to(message))
	}
	for _, message := range []string{
		`"to":"chat:/"`, `"to":"chat:"`, `"to":"i@chat:/"`, `"to":"echo@chat:/"`, `"to":"chat:[GET]/x"`, `"to":"chat:[get]/echo:/"`, `"to":"room:/"`,
		`"to":"Echo:/"`, `"to":"ECHO:/"`, `"to":"echo2:/"`, `"to":"ech:/"`, `"to":"echo-:/"`, `"to":"chat:/echo:/"`,
		`"to":"\u0063hat:/"`, `"to":"echo:/","to":"chat:/"`, `"to":"echo:/","\u0074o":"chat:/"`, `"to":"chat:/","for":"echo:/"`,
		`"to":"orders:/"`, `"to":"hydra-router:/","fwd":"chat:/"`, `"to":"hydra-router:/","forward":"i@chat:[PUT]/"`,
		`"to":"hydra-router:/","fwd":"echo:/","forward":"chat:/"`, `"to":"x@hydra-router:/any","fwd":"chat:/"`, `"to":"chat:/","fwd":"echo:/"`,
		`"to":"hydra-router:/Queue","fwd":"orders:/"`, `"to":"hydra-router:/queue/","fwd":"orders:/"`,
		`"to":"Hydra-Router:/queue","fwd":"orders:/"`, `"to":"Client:/"`, `"to":"x@CLIENT:/"`,
		`"to":"auth:/","rmid":"d"`, `"to":"chat:/","rmid":""`, `"to":"chat:/","rmid":null`,
	} {
		c.denied(policy.DeniedService, to(message))
	}
	for _, message := range []string{
		`"to":"hydra-router:/queue","fwd":"echo:/"`, `"to":"hydra-router:/queue","forward":"Orders:/"`,
		`"to":"x@hydra-router:/queue","fwd":"chat:/"`, `"to":"hydra-router:/queue","fwd":"echo:/","rmid":"d"`,
	} {
		c.denied(policy.DeniedQueue, to(message))
	}
	c.serves()
	if n := s.received(stats.InDenied); n < 30 {
		t.Errorf("%v messages are counted as denied", n)
	}
}

// TestAuthServiceIsNotReached: no rules and no way to write an address lead a client to
// the service that authenticates clients.
func TestAuthServiceIsNotReached(t *testing.T) {
	l := newLab(t)
	s := l.one()
	for _, rules := range []string{"", `{"services":["*"],"queues":["*"],"clients":"any"}`, `{"services":["auth-svcs","{sub}*"],"queues":["auth-*"]}`} {
		c := s.dialRuled("auth-svcs", rules)
		l.store(c.id, 0, 1)
		l.nats.append(&stored{sid: c.id, data: []byte(`{"to":"` + c.address() + `","frm":"auth-svcs:/","mid":"m","bdy":1}`)})
		l.run()
		for _, message := range []string{
			`"to":"auth-svcs:/"`, `"to":"auth-svcs:[POST]/v1/auth"`, `"to":"auth-svcs:[post]/v1/auth"`, `"to":"i@auth-svcs:/"`, `"to":"\u0061uth-svcs:/"`,
			`"to":"hydra-router:/","fwd":"auth-svcs:/"`, `"to":"hydra-router:/","fwd":"i@auth-svcs:[POST]/v1/auth"`,
			`"to":"hydra-router:/queue","fwd":"auth-svcs:/"`, `"to":"hydra-router:/queue","fwd":"i@auth-svcs:/"`,
			`"to":"auth-svcs:/","rmid":"m"`,
		} {
			c.denied(policy.DeniedAuth, to(message))
		}
		c.allowed(to(`"to":"auth-svcs2:/"`))
	}
}

// TestRouterNeedsNoRight: what is for the router itself is under other settings.
func TestRouterNeedsNoRight(t *testing.T) {
	l := newLab(t)
	s := ruled(l, `{}`)
	parked := s.dial()
	id, token := string(parked.id), parked.token
	parked.drop()
	l.parked(parked.id)
	c := s.dial()
	c.serves()
	c.refused(protocol.CodeNotRoutable, object{"to": "hydra-router:[GET]/v1/router/nothing", "bdy": 1})
	c.refused(protocol.CodeAck, object{"to": "hydra-router:/", "typ": "ack", "bdy": object{"seq": 1}})
	if m := c.call(object{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": object{"clientID": id}}); m.text("typ") != protocol.TypeLocate {
		t.Errorf("answered with %s", m.raw)
	}
	c.say(object{"to": "hydra-router:/", "typ": "log", "bdy": 1})
	c.quiet()
	c.resumes(object{"id": id, "token": token})
}

// TestRulesForClients: who may write to whose session, by every way to a session.
func TestRulesForClients(t *testing.T) {
	for _, test := range []struct {
		rules, from, to string
		denied          bool
	}{
		{`{"clients":"any"}`, "", "", false},
		{`{"clients":"any"}`, "ann", "bob", false},
		{`{"clients":"user"}`, "ann", "ann", false},
		{`{"clients":"user"}`, "ann", "bob", true},
		{`{"clients":"user"}`, "ann", "Ann", true},
		{`{"clients":"user"}`, "ann", "", true},
		{`{"clients":"user"}`, "", "", true},
		{`{"clients":"user"}`, "", "ann", true},
		{`{"clients":"none"}`, "ann", "ann", true},
		{`{"services":["*"],"queues":["*"]}`, "ann", "ann", true},
	} {
		for _, where := range []string{"here", "on another loop", "on another node", "parked"} {
			t.Run(fmt.Sprintf("%s from %q to %q %s", test.rules, test.from, test.to, where), func(t *testing.T) {
				l := newLab(t)
				n, other := l.node(2), l.one()
				at := map[string]*testShard{"here": n.shards[0], "on another loop": n.shards[1]}[where]
				if at == nil {
					at = other
				}
				c, peer := n.shards[0].dialRuled(test.from, test.rules), at.dialAs(test.to)
				if where == "parked" {
					peer.drop()
					l.parked(peer.id)
				}
				for _, address := range []string{peer.address(), string(peer.id) + "@client:[GET]/x", viaOf(peer.address(), string(n.ID)+"@hydra-router:/"),
					string(scheme.NewNodeID()) + "-" + string(peer.id) + "@hydra-router:[PUT]/"} {
					for _, form := range []string{`"to":"%s"`, `"to":"%s","fwd":"echo:/"`, `"to":"hydra-router:/","fwd":"%s"`, `"to":"hydra-router:/queue","fwd":"%s"`} {
						if strings.Contains(form, `"fwd":"%s"`) && strings.Contains(address, "hydra-router") {
							continue // a forward to the router is none
						}
						for range 2 { // asked, and cached
							message := to(fmt.Sprintf(form, address))
							if test.denied {
								c.denied(policy.DeniedClient, message)
							} else {
								c.allowed(message)
							}
						}
					}
				}
			})
		}
	}
}

// TestUserScopeAsks: whose a session is is looked up beside the loop; where that says
// nothing, nothing is sent.
func TestUserScopeAsks(t *testing.T) {
	l := newLab(t)
	s, other := l.one(), l.one()
	c, peer := s.dialRuled("ann", `{"clients":"user"}`), other.dialAs("ann")
	c.refused(protocol.CodeUnknownSession, object{"to": string(scheme.NewSID()) + "@client:/", "bdy": 1})
	s.node.pool.hold()
	c.say(object{"to": peer.address(), "bdy": "one"})
	c.say(object{"to": peer.address(), "bdy": "two"})
	c.serves() // meanwhile
	if len(peer.got) != 0 {
		t.Errorf("delivered before it was known: %v", peer.got)
	}
	s.node.pool.let()
	if one, two := peer.next(), peer.next(); one.at("bdy") != "one" || two.at("bdy") != "two" {
		t.Errorf("got %s, %s", one.raw, two.raw)
	}
	l.nats.write(other.dialAs("ann").id, []byte("no entry"))
	var broken scheme.SID
	for sid, r := range l.nats.entries {
		if string(r.text) == "no entry" {
			broken = sid
		}
	}
	c.denied(policy.DeniedClient, to(`"to":"`+string(broken)+`@client:/"`))
	s.node.pool.full = true
	c.refused(protocol.CodeOverload, object{"to": other.dialAs("ann").address(), "bdy": 1})
}

// TestRulesOfTheConnection: a session that is resumed has the rules of the token that
// it is resumed with, whichever it had before.
func TestRulesOfTheConnection(t *testing.T) {
	l := newLab(t)
	s := l.one()
	first := s.dialRuled("ann", `{"services":["echo"]}`)
	second := s.dialRuled("ann", `{"services":["chat"]}`)
	first.allowed(to(`"to":"echo:/"`))
	second.resumes(object{"id": string(first.id), "token": first.token})
	second.allowed(to(`"to":"chat:/"`))
	second.denied(policy.DeniedService, to(`"to":"echo:/"`))
}

// TestRulesThatAreNone: a client that comes with rules which are none is closed 4401,
// whatever holds for others.
func TestRulesThatAreNone(t *testing.T) {
	for _, rules := range []string{`null`, `""`, `"{}"`, `[]`, `{"Services":["*"]}`, `{"services":["*"],"topics":[]}`, `{"services":["*"],"services":[]}`, `{"clients":"all"}`} {
		t.Run(rules, func(t *testing.T) {
			l := newLab(t)
			s := l.one()
			byToken := s.knock(dialOptions{Arrival: Arrival{Identity: access.Identity{Name: "ann", Rules: rules}}})
			asked := authenticated(l, func(*nats.Msg) *nats.Msg {
				return &nats.Msg{Data: []byte(`{"result":{"identity":"ann","umf":` + rules + `}}`)}
			})
			for _, c := range []*testClient{byToken, asked.knock(dialOptions{})} {
				c.say(object{"to": "echo:/", "bdy": "too early"})
				c.closed(protocol.CloseUnauthentic)
				c.quiet()
				if c.reason != policy.DeniedRules.Text() || c.s.node.metric(`hydrant_denied_total{kind="rules"}`) != 1 {
					t.Errorf("closed for %q", c.reason)
				}
			}
			if len(l.nats.entries) != 0 {
				t.Errorf("%d sessions were opened", len(l.nats.entries))
			}
		})
	}
}

// TestRulesOfTheAuthService: the answer's rules hold for its client, those of the node
// for one whose answer has none.
func TestRulesOfTheAuthService(t *testing.T) {
	l := newLab(t)
	answer := `{"result":{"identity":"ann","umf":{"services":["room-{sub}"]}}}`
	s := l.one(func(n *Node) { n.Config.Auth, n.Config.Policy = config.AuthService, `{"services":["lobby"]}` })
	l.nats.services["umf.v1.svc.auth-svcs"] = func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: []byte(answer)} }
	c := s.dial()
	c.allowed(to(`"to":"room-ann:/"`))
	c.denied(policy.DeniedService, to(`"to":"lobby:/"`))
	c.denied(policy.DeniedService, to(`"to":"room-bob:/"`))
	answer = `{"result":{"identity":"bob"}}`
	c = s.dial()
	c.allowed(to(`"to":"lobby:/"`))
	c.denied(policy.DeniedService, to(`"to":"room-bob:/"`))
}

// TestDenialsAreLoggedInSamples: however many there are, there is a line a second for
// each kind, which says how many. No id of a session is in it.
func TestDenialsAreLoggedInSamples(t *testing.T) {
	var log bytes.Buffer
	l := newLab(t)
	s := l.one(func(n *Node) {
		n.Config.Policy = `{}`
		n.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	c := s.dial()
	for range 500 {
		c.say(object{"to": "chat:/", "bdy": 1})
		c.say(object{"to": "client:/", "bdy": 1})
		c.say(object{"to": c.address(), "bdy": 1})
	}
	l.run()
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines for two kinds: %s", n, log.String())
	}
	log.Reset()
	l.advance(2e9)
	c.say(object{"to": "chat:/", "bdy": 1})
	l.run()
	if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "count=500 ") || !strings.Contains(line, "service=chat") || strings.Contains(line, string(c.id)) {
		t.Errorf("logged %s", line)
	}
}
