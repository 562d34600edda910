package client

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"hydrant/umf"
)

// session is what a node knows this client by.
type session struct {
	id, secret string
	attempt    uint64
	caps       []string // of the node; nil: of the first edition
	given      bool     // it was an option, and no node was asked yet
	bare       bool     // it was an option without its secret
	user       string
	resumed    bool
	why        string

	router string        // address of the router, on whatever node
	beat   time.Duration // silence after which one asks

	handled uint64 // up to which all was handled
	last    uint64 // that came
	number  int    // of the session: another one has another
}

func (s *session) address() string { return s.id + "@client:/" }

func (s *session) can(what string) bool { return slices.Contains(s.caps, what) }

// acks reports whether messages have sequences, and are confirmed.
func (s *session) acks() bool { return s.can("ack") }

func (s *session) public() Session {
	return Session{ID: s.id, Token: s.secret, Attempt: s.attempt, Handled: s.handled, User: s.user, Resumed: s.resumed, Why: s.why}
}

// restore takes a session that an earlier client had.
func (c *Client) restore(from Session) {
	c.session.router, c.session.beat = "hydra-router:/", 25*time.Second
	if from.ID == "" {
		return
	}
	c.session.id, c.session.secret = from.ID, from.Token
	// What was kept may be behind: a program that was killed kept nothing of its last
	// connections, and one whose Dial failed was told of none. The time is ahead of both.
	c.session.attempt = max(from.Attempt, uint64(time.Now().UnixMilli()))
	c.session.handled, c.session.last = from.Handled, from.Handled
	c.session.given, c.session.bare = true, from.Token == ""
}

// offer counts a connection and returns what asks for the session with its handshake.
func (s *session) offer() []string {
	s.attempt++
	if s.secret == "" || !s.given && !s.can("resume") {
		return nil
	}
	text := "umf.resume." + s.id + "." + s.secret + "." + strconv.FormatUint(s.attempt, 10)
	if s.tellsHandled() {
		text += "." + strconv.FormatUint(s.handled, 10)
	}
	return []string{text}
}

// tellsHandled reports whether the client knows what was handled.
func (s *session) tellsHandled() bool {
	if s.given {
		return s.handled > 0
	}
	return s.acks()
}

// ask is the body of the message that asks for the session.
func (s *session) ask() any {
	body := struct {
		ID      string  `json:"id"`
		Token   string  `json:"token,omitempty"`
		Attempt uint64  `json:"attempt"`
		Seq     *string `json:"seq,omitempty"`
	}{s.id, s.secret, s.attempt, nil}
	if s.tellsHandled() {
		seq := strconv.FormatUint(s.handled, 10)
		body.Seq = &seq
	}
	return body
}

// A greeting is the body of a connection message.
type greeting struct {
	ID           string
	Token        string
	Caps         []string
	HB           float64
	Now, Exp     float64
	User         string
	Resumed      *bool
	Why          string
	AuthResponse struct{ Identity string }
}

// welcome takes a connection message. c.mu is held.
func (l *line) welcome(m *umf.Message) {
	c := l.c
	var g greeting
	// What has another type than it should is not there; but for the id.
	_ = json.Unmarshal(m.Body, &g)
	at := strings.IndexByte(m.From, '@')
	if at < 0 || g.ID == "" {
		c.malformed("a malformed welcome", m)
		c.leave("a malformed welcome")
		return
	}
	s := &c.session
	l.frm = m.From
	s.router = m.From[at+1:]
	if s.id != "" && g.Resumed == nil && l.fresh == nil {
		l.fresh = &g
		c.own(c.mid(), "reconnect", s.ask()).From = g.ID + "@client:/"
		return
	}
	s.caps, s.given = g.Caps, false
	s.resumed, s.why = l.fresh != nil && g.ID == s.id, g.Why
	if g.Resumed != nil {
		s.resumed = *g.Resumed
	}
	if s.resumed {
		c.resumed()
	} else {
		c.begin(l, &g)
	}
	if g.HB > 0 {
		s.beat = milliseconds(g.HB * 1000)
	}
	if g.User == "" {
		g.User = g.AuthResponse.Identity
	}
	if g.User != "" {
		s.user = g.User
	}
	c.tokens.clock, c.tokens.refused = 0, false
	if g.Now > 0 {
		c.tokens.clock = until(g.Now)
	}
	c.state, c.coming.lasts = open, time.Now()
	l.heard = time.Now().Round(0)
	l.listen(s.beat)
	c.expires(g.Exp)
	c.greeted()
	c.flush()
}

// greeted tells the program. c.mu is held.
func (c *Client) greeted() {
	s := c.session.public()
	first := !c.coming.before
	c.coming.before = true
	c.later = append(c.later, func() {
		c.o.Logger.Info("connected", "resumed", s.Resumed, "why", s.Why)
		if c.o.OnSession != nil {
			c.o.OnSession(s)
		}
		if first {
			close(c.opened)
		}
	})
}

// begin takes a fresh session: no answer comes to it, and from it nothing counts as a
// repetition. c.mu is held.
func (c *Client) begin(l *line, g *greeting) {
	s := &c.session
	token := g.Token
	if token == "" && l.fresh != nil {
		token = l.fresh.Token
	}
	s.id, s.secret, s.handled, s.last, s.user = g.ID, token, 0, 0, ""
	s.number++
	s.bare = false
	c.in.track = nil
	for mid, e := range c.out.entries {
		if !e.at.IsZero() && !(e.request && c.again(e)) {
			c.settle(mid, nil, ErrUnknown)
		}
	}
}
