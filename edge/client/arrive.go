package client

import (
	"fmt"
	"strconv"
	"time"

	"hydrant/umf"
)

// receive takes one message that came over a connection.
func (l *line) receive(text []byte) {
	c := l.c
	m, err := umf.Parse(text)
	c.mu.Lock()
	defer c.unlock()
	if l != c.line || c.state == closed {
		return // it was left
	}
	l.heard = time.Now().Round(0)
	l.frames++
	l.unheard = 0
	if err != nil {
		c.warn(fmt.Sprintf("no message: %.200q", text), "protocol")
		return
	}
	routers := l.frm != "" && m.From == l.frm
	if c.state != open && (l.frm == "" || routers) && m.Type == "connection" {
		l.welcome(m)
		return
	}
	if l.frm == "" {
		c.malformed("no welcome", m)
		c.leave("no welcome")
		return
	}
	l.sort(m, routers)
}

// sort gives a message to whom it is for. What only a router says is believed only of
// the router.
func (l *line) sort(m *umf.Message, routers bool) {
	c := l.c
	switch {
	case m.Type == "pong" && m.From == "":
		for _, mid := range l.pings[m.Rmid] {
			c.settle(mid, nil, nil)
		}
		delete(l.pings, m.Rmid)
	case m.Type == "error" && routers:
		c.refuse(m)
	case m.Type == "error":
		l.take(m)
	case m.Type != "connection" && m.Type != "accepted" && m.Type != "gap":
		l.take(m)
	case !routers:
		c.malformed("only the router says this", m)
	case m.Type == "gap":
		l.take(m)
	case m.Type == "connection":
		c.malformed("a second welcome", m)
	case m.Rmid != "" && m.Rmid == c.tokens.renewal:
		exp, _ := strconv.ParseFloat(string(umf.Member(m.Body, "exp")), 64) // none: for ever
		c.expires(exp)
	default:
		c.settle(m.Rmid, nil, nil)
	}
}

// refuse takes an error of the router.
func (c *Client) refuse(m *umf.Message) {
	e, whole := failure(m)
	if !whole && c.session.can("accepted") {
		c.malformed("a malformed error", m)
	}
	var outcome error = e
	if sent := c.out.entries[m.Rmid]; sent != nil && sent.twice && !sent.request {
		outcome = fmt.Errorf("%w: %w", ErrUnknown, e) // it says nothing of what was written before
	}
	if c.settle(m.Rmid, nil, outcome) {
		return
	}
	c.warn("the node refuses: "+e.Text, e.Code)
	switch {
	case c.state != open: // it was our request for the session
		c.leave(e.Error())
	case m.Rmid != "" && m.Rmid == c.tokens.renewal:
		again := e.Retry
		if again == 0 {
			again = c.o.MaxPause / 6
		}
		c.renewIn(again)
	}
}

func (c *Client) malformed(what string, m *umf.Message) {
	c.warn(fmt.Sprintf("%s: from %.100q, type %.50q, body %.200q", what, m.From, m.Type, m.Body), "protocol")
}

// take puts what is for the program behind what came before.
func (l *line) take(m *umf.Message) {
	c := l.c
	text, has := "", false
	if c.session.acks() {
		text, has = umf.MemberText(m.Headers, "x-seq")
	}
	if !has && m.Mid != "" && c.answered(m) {
		return
	}
	it := &item{message: m, session: c.session.number, on: l}
	if has {
		seq, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			c.malformed("a malformed sequence", m)
			return
		}
		it.seq = seq
	}
	if m.Type == "gap" {
		it.gap = readGap(m)
	}
	if has && l.repeated(it) {
		return
	}
	switch {
	case m.Type == "gap" && it.gap == nil, m.Type != "gap" && (m.Mid == "" || m.From == "" || len(m.Body) == 0):
		c.malformed("a malformed message", m)
		it.state = done // or it would come again and again
	case has && c.answered(m):
		it.state = done
	case !has && c.session.acks() && len(c.in.waiting) >= maxWaiting:
		c.warn("dropped: too many deliveries wait", "full")
		return
	}
	if has {
		c.session.last = it.seq
		c.in.track = append(c.in.track, it)
		c.advance()
	}
	if it.state != done {
		c.in.waiting = append(c.in.waiting, it)
		c.signal()
		if !c.session.acks() && len(c.in.waiting) >= maxWaiting && l.room == nil {
			l.room = make(chan struct{})
		}
	}
}

// answered gives a message to the request that it answers.
func (c *Client) answered(m *umf.Message) bool {
	e := c.out.entries[m.Rmid] // no message of ours has the mid ""
	if e == nil || !e.request {
		return false
	}
	if m.Type == "error" {
		failed, _ := failure(m)
		return c.settle(m.Rmid, nil, failed)
	}
	return c.settle(m.Rmid, m, nil)
}

// repeated reports whether a sequence came before. Then it is confirmed, once the program
// has handled it.
func (l *line) repeated(it *item) bool {
	c := l.c
	if it.seq > c.session.last || it.gap != nil && it.gap.Why == "rollback" { // sequences begin again at smaller ones, maybe once more
		return false
	}
	for i := len(c.in.track) - 1; i >= 0; i-- {
		if old := c.in.track[i]; old.seq == it.seq && (old.gap == nil) == (it.gap == nil) {
			old.on = l
			return true
		}
	}
	l.confirmLater(it.seq)
	return true
}
