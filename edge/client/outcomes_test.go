package client

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hydrant/umf"
)

// play runs a test against a node that it plays, in a bubble, with a client that has a
// session and whose program handles what it gets at once.
func play(t *testing.T, welcome object, change func(*Options), do func(n *fakeNode, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		o := n.options()
		if change != nil {
			change(&o)
		}
		d := n.dial(o)
		defer d.close()
		n.last().welcome(t, welcome)
		do(n, d.client(true))
	})
}

// again waits for the next connection, after a pause.
func (n *fakeNode) again(welcome object) *peer {
	n.t.Helper()
	before := n.count()
	for passed := 0; n.count() == before && passed < 301; passed++ {
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	if now := n.count(); now != before+1 {
		n.t.Fatalf("it comes back %d times", now-before)
	}
	if welcome != nil {
		n.last().welcome(n.t, welcome)
	}
	return n.last()
}

func bodies(all []*umf.Message) string {
	var texts []string
	for _, m := range all {
		texts = append(texts, string(m.Body))
	}
	return strings.Join(texts, " ")
}

func expect(t *testing.T, what string, is, should any) {
	t.Helper()
	if is != should {
		t.Errorf("%s: %v, not %v", what, is, should)
	}
}

// Each message is told once what became of it.
func TestOutcomes(t *testing.T) {
	play(t, nil, nil, func(n *fakeNode, c *Client) {
		a, b := send(c, Message{To: "svc:/", Body: 1}), send(c, Message{To: "S2@client:/", Body: "text"})
		x := send(c, Message{To: "jobs:/", Body: 1, Queue: true, Type: "t", Headers: map[string]any{"h": 1}, TTL: 1500 * time.Millisecond})
		p := n.last()
		sent := p.of()
		expect(t, "headers", string(sent[0].Headers), `{"x-ack":true}`)
		expect(t, "from", sent[0].From, "S1@client:/")
		p.mu.Lock()
		work := p.sent[2]
		p.mu.Unlock()
		expect(t, "work", work.To+" "+work.Forward+" "+work.Type+" "+string(work.Headers)+" "+string(work.TTL), `hydra-router:/queue jobs:/ t {"h":1,"x-ack":true} 1.5`)
		p.say(t, accepted(sent[0]))
		p.say(t, refusedAs(sent[1], object{"error": "no", "code": "overload", "retry": 700}))
		p.say(t, accepted(sent[1]))
		p.say(t, refusedAs(sent[0], object{"error": "no", "code": "timeout"}))
		expect(t, "outcomes", a.is()+" "+b.is()+" "+x.is(), "accepted overload ")
		c.Close()
		synctest.Wait()
		expect(t, "written", x.is(), "unknown")
	})
}

// What is refused at once has not been written.
func TestRefusedAtOnce(t *testing.T) {
	small := func(o *Options) { o.MaxMessages, o.MaxBytes = 3, 1000 }
	play(t, nil, small, func(n *fakeNode, c *Client) {
		for _, body := range []any{0, "", false, json.RawMessage("-0.0"), json.RawMessage(" 1e-400 "), json.RawMessage("{"), func() {}} {
			expect(t, "a falsy body", send(c, Message{To: "svc:/", Body: body}).is(), "invalid")
		}
		expect(t, "a request", send(c, Message{To: "svc:[GET]/x"}).is(), "invalid")
		expect(t, "no address", send(c, Message{Body: 1}).is(), "invalid")
		expect(t, "large", send(c, Message{To: "svc:/", Body: strings.Repeat("x", 1000)}).is(), "full")
		send(c, Message{To: "svc:/", Body: 1, Mid: "m"})
		expect(t, "twice", send(c, Message{To: "svc:/", Body: 1, Mid: "m"}).is(), "duplicate")
		send(c, Message{To: "svc:/", Body: 2})
		send(c, Message{To: "svc:/", Body: 3})
		expect(t, "many", send(c, Message{To: "svc:/", Body: 4}).is(), "full")
		expect(t, "written", bodies(n.last().of()), "1 2 3")
		c.Close()
		synctest.Wait()
		expect(t, "closed", send(c, Message{To: "svc:/", Body: 1}).is(), "closed")
	})
}

// After a lost connection what is stored goes again, within its time; what is for services
// is unknown.
func TestLostConnection(t *testing.T) {
	play(t, nil, nil, func(n *fakeNode, c *Client) {
		service, session := send(c, Message{To: "svc:/", Body: 1}), send(c, Message{To: "S2@client:/", Body: 2})
		via, work := send(c, Message{To: "R9-S2@hydra-router:/", Body: 3}), send(c, Message{To: "jobs:/", Body: 4, Queue: true})
		settled := send(c, Message{To: "S2@client:/", Body: 5})
		p := n.last()
		p.say(t, accepted(p.sent[4]))
		p.end(1006, "")
		waits := send(c, Message{To: "svc:/", Body: 6})
		expect(t, "at once", service.is()+session.is()+via.is()+work.is()+settled.is()+waits.is(), "unknownaccepted")
		q := n.again(object{"resumed": true, "token": nil})
		expect(t, "again", bodies(q.sent), "2 3 4 6")
		for i, m := range q.sent[:3] {
			if was := p.sent[1+i]; m.Mid != was.Mid {
				t.Errorf("mid %s, not %s", m.Mid, was.Mid)
			}
		}
		q.end(1006, "")
		time.Sleep(resend)
		synctest.Wait()
		expect(t, "in the end", session.is()+" "+via.is()+" "+work.is(), "unknown unknown unknown")
	})
}

// To a fresh session nothing of the former one goes but questions.
func TestFreshSession(t *testing.T) {
	play(t, nil, nil, func(n *fakeNode, c *Client) {
		said := send(c, Message{To: "S2@client:/", Body: 1})
		asked, once := request(n.t.Context(), c, Message{To: "svc:[GET]/x"}), request(n.t.Context(), c, Message{To: "svc:/", Once: true})
		n.last().end(1006, "")
		waits := send(c, Message{To: "S2@client:/", Body: 2})
		q := n.again(object{"id": "S3", "token": "T3", "resumed": false, "why": "expired"})
		expect(t, "outcomes", said.is()+" "+once.is()+" "+asked.is()+waits.is(), "unknown unknown ")
		expect(t, "written", bodies(q.of()), "{} 2")
		expect(t, "from", q.of()[0].From, "S3@client:/")
		is := c.Session()
		expect(t, "session", is.ID+is.Token+is.Why, "S3T3expired")
		n.mu.Lock()
		expect(t, "told", len(n.told), 2)
		n.mu.Unlock()
		q.say(t, accepted(q.of()[1]))
		expect(t, "what waited", waits.is(), "accepted")
	})
}

func TestRequests(t *testing.T) {
	play(t, nil, nil, func(n *fakeNode, c *Client) {
		short, cancel := context.WithTimeout(n.t.Context(), 500*time.Millisecond)
		defer cancel()
		stopped, stop := context.WithCancelCause(n.t.Context())
		all := []*outcome{request(n.t.Context(), c, Message{To: "svc:[GET]/a"}), request(n.t.Context(), c, Message{To: "svc:[GET]/b"}), request(short, c, Message{To: "svc:/c"}),
			request(stopped, c, Message{To: "svc:/d"}), request(n.t.Context(), c, Message{To: "svc:/e"}), request(n.t.Context(), c, Message{To: "svc:/f", Once: true})}
		p := n.last()
		sent := p.of()
		expect(t, "headers", string(sent[0].Headers), "")
		p.say(t, accepted(sent[0])) // is no answer
		p.say(t, object{"to": "S1@client:/", "frm": "svc:[GET]/a", "mid": "x", "rmid": sent[0].Mid, "bdy": 7})
		p.say(t, object{"to": "S1@client:/", "frm": "svc:[GET]/b", "mid": "y", "rmid": sent[1].Mid, "typ": "error", "bdy": object{"error": "gone", "code": "no_instances"}})
		stop(errors.New("enough"))
		time.Sleep(time.Second)
		synctest.Wait()
		for i, should := range []string{"7", "no_instances", "unknown", "unknown", "", ""} {
			expect(t, string(rune('a'+i)), all[i].is(), should)
		}
		p.end(1006, "")
		q := n.again(object{"resumed": true})
		expect(t, "asked again", len(q.of()), 1)
		q.say(t, message(1, object{"rmid": sent[4].Mid, "bdy": "answer"}))
		q.say(t, message(2, object{"rmid": sent[4].Mid, "mid": "other", "bdy": "the same"}))
		q.say(t, message(3, object{"rmid": sent[5].Mid, "bdy": "late"}))
		q.say(t, message(4, object{"rmid": sent[2].Mid, "bdy": "too late"}))
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		expect(t, "answers", all[4].is()+all[5].is(), `"answer""late"`)
		expect(t, "deliveries", n.bodies(), "")
		expect(t, "confirmed", strings.Join(q.acks, " "), "4")
	})
}

// A context ends the wait, and says whether the message was written.
func TestContextOfSend(t *testing.T) {
	play(t, nil, nil, func(n *fakeNode, c *Client) {
		try := func() error {
			ctx, cancel := context.WithTimeout(n.t.Context(), time.Second)
			defer cancel()
			return c.Send(ctx, Message{To: "svc:/", Body: 1})
		}
		if err := try(); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("written: %v", err)
		}
		n.last().end(1012, "retry=10000")
		if err := try(); errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not written: %v", err)
		}
		expect(t, "given up", len(n.again(object{"resumed": true}).of()), 0)
	})
}

// Of a node of the first edition everything is taken that lies before a ping which it
// answers.
func TestFirstEdition(t *testing.T) {
	old := object{"caps": nil, "token": nil, "now": nil, "hb": nil}
	play(t, old, nil, func(n *fakeNode, c *Client) {
		var all []*outcome
		for i, to := range []string{"svc:/", "nosuch:/", "S2@client:/"} {
			all = append(all, send(c, Message{To: to, Body: i + 1}))
		}
		p := n.last()
		p.say(t, refusedAs(p.of()[1], object{"error": "No nosuch instances available"}))
		expect(t, "refused", all[0].is()+all[1].is(), "error")
		for _, m := range slices.Clone(p.sent) {
			if m.Type == "ping" {
				p.say(t, object{"to": "S1@client:/", "mid": "p", "rmid": m.Mid, "typ": "pong", "bdy": object{"typ": "pong"}})
			}
		}
		expect(t, "taken", all[0].is()+" "+all[2].is(), "accepted accepted")
		p.say(t, object{"to": "S1@client:/", "frm": "svc:/", "mid": "m", "bdy": 1})
		time.Sleep(time.Second)
		expect(t, "got", n.bodies(), "1")
		expect(t, "confirmed", len(p.acks), 0)
		lost := send(c, Message{To: "S2@client:/", Body: 4}) // it would be stored twice
		p.end(1006, "")
		q := n.again(nil)
		expect(t, "lost", lost.is(), "unknown")
		expect(t, "offer", strings.Join(q.offer, " "), protocolAck)
		q.welcome(t, object{"id": "S2", "caps": nil, "token": nil})
		expect(t, "asks", q.sent[0].Type+string(q.sent[0].Body), `reconnect{"id":"S1","attempt":2}`)
		q.welcome(t, old)
		expect(t, "session", c.Session().ID, "S1")
		expect(t, "resumed", c.Session().Resumed, true)
	})
}

// Everything is signed, and nothing that is signed goes twice.
func TestSigned(t *testing.T) {
	sign := func(o *Options) { o.Sign = func(m *umf.Message) error { return m.Sign("secret") } }
	play(t, nil, sign, func(n *fakeNode, c *Client) {
		a, b := send(c, Message{To: "S2@client:/", Body: object{"b": 1, "1": 2}}), send(c, Message{To: "svc:/", Body: "x"})
		p := n.last()
		time.Sleep(30 * time.Second) // a ping
		synctest.Wait()
		expect(t, "sent", len(p.sent), 3)
		for _, m := range p.sent {
			if err := m.Verify("secret"); err != nil {
				t.Error(err)
			}
		}
		p.end(1006, "")
		expect(t, "outcomes", a.is()+" "+b.is(), "unknown unknown")
	})
	broken := func(o *Options) { o.Sign = func(*umf.Message) error { return errors.New("no key") } }
	play(t, nil, broken, func(n *fakeNode, c *Client) {
		expect(t, "no key", send(c, Message{To: "svc:/", Body: 1}).is(), "invalid")
	})
}
