package client

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hold is play, but with a program that receives only when the test does.
func hold(t *testing.T, welcome object, do func(n *fakeNode, c *Client, next func() *Delivery)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		d := n.dial(n.options())
		defer d.close()
		n.last().welcome(t, welcome)
		c := d.client(false)
		do(n, c, func() *Delivery {
			t.Helper()
			ctx, cancel := context.WithTimeout(n.t.Context(), time.Millisecond)
			defer cancel()
			got, err := c.Receive(ctx)
			if err != nil {
				return nil
			}
			return got
		})
	})
}

func (p *peer) confirmed() string {
	time.Sleep(ackAfter)
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.acks, " ")
}

// All up to the first delivery that is not done is confirmed.
func TestDoneInAnyOrder(t *testing.T) {
	hold(t, nil, func(n *fakeNode, c *Client, next func() *Delivery) {
		p := n.last()
		for i := 1; i <= 4; i++ {
			p.say(t, message(i, nil))
		}
		one, two, three := next(), next(), next()
		two.Done()
		expect(t, "none", p.confirmed(), "")
		one.Done()
		expect(t, "two", p.confirmed(), "2")
		expect(t, "handled", c.Session().Handled, uint64(2))
		three.Done()
		three.Done()
		expect(t, "three", p.confirmed(), "2 3")
		for i := 5; i < 5+2*ackEvery; i++ {
			p.say(t, message(i, nil))
		}
		for d := next(); d != nil; d = next() {
			d.Done()
		}
		if all := p.confirmed(); !strings.HasSuffix(all, " 67 68") { // 35 is overtaken, perhaps
			t.Errorf("every few dozen: %s", all)
		}
	})
}

// What comes again after a resume is not shown again, and is confirmed when it is done,
// whenever that is.
func TestRepeatsAfterResume(t *testing.T) {
	hold(t, nil, func(n *fakeNode, c *Client, next func() *Delivery) {
		p := n.last()
		for i := 1; i <= 5; i++ {
			p.say(t, message(i, nil))
		}
		next().Done()
		two, three := next(), next() // 4 and 5 are not received
		p.end(1006, "")
		three.Done()
		p = n.again(object{"resumed": true})
		expect(t, "offer", p.offer[len(p.offer)-1], "umf.resume.S1.T1.2.1")
		p.say(t, message(2, nil))
		two.Done()
		expect(t, "what came again", p.confirmed(), "2")
		expect(t, "handled", c.Session().Handled, uint64(3))
		p.say(t, message(3, nil))
		expect(t, "what was done", p.confirmed(), "2 3")
		p.say(t, message(4, nil))
		p.say(t, message(5, object{"mid": "m4"})) // a repetition by its mid
		p.say(t, message(6, nil))
		four, six := next(), next()
		expect(t, "shown", string(four.Body)+string(six.Body), `{"n":4}{"n":6}`)
		four.Done()
		six.Done()
		expect(t, "all", p.confirmed(), "2 3 6")
		if d := next(); d != nil {
			t.Errorf("shown again: %s", d.Body)
		}
	})
}

// What has come of a session that ends is shown all the same, and keeps nothing of the next
// one back.
func TestOldSessionsDeliveries(t *testing.T) {
	hold(t, nil, func(n *fakeNode, c *Client, next func() *Delivery) {
		n.last().say(t, message(50, nil))
		n.last().say(t, message(51, nil))
		slow := next()
		n.last().end(1006, "")
		p := n.again(object{"id": "S3", "token": "T3", "resumed": false, "why": "expired"})
		p.say(t, message(1, object{"mid": "next"}))
		expect(t, "old", string(next().Body), `{"n":51}`)
		fresh := next()
		expect(t, "next", string(fresh.Body), `{"n":1}`)
		slow.Done()
		expect(t, "old ones are not confirmed", p.confirmed(), "")
		fresh.Done()
		expect(t, "fresh ones are", p.confirmed(), "1")
	})
}

// After a rollback sequences begin again at smaller ones, also while older deliveries are
// not done.
func TestRollback(t *testing.T) {
	gap := func(seq string, body object) object {
		return object{"to": "S1@client:/", "frm": router, "mid": "g" + seq, "typ": "gap", "hdr": object{"x-seq": seq, "x-prev": "0"}, "bdy": body}
	}
	hold(t, nil, func(n *fakeNode, c *Client, next func() *Delivery) {
		p := n.last()
		p.say(t, message(40, nil))
		slow := next()
		p.say(t, gap("2", object{"from": "1", "to": "2", "why": "rollback"}))
		p.say(t, message(3, nil))
		lost, three := next(), next()
		if lost == nil || lost.Gap == nil || *lost.Gap != (Gap{1, 2, "rollback", 0}) || three == nil || string(three.Body) != `{"n":3}` {
			t.Fatal(lost, three)
		}
		lost.Done()
		expect(t, "not yet", p.confirmed(), "")
		p.end(1006, "")
		p = n.again(object{"resumed": true})
		p.say(t, gap("2", object{"from": "1", "to": "2", "why": "rollback"}))
		p.say(t, message(3, nil))
		p.say(t, message(4, nil))
		again, four := next(), next()
		if again == nil || again.Gap == nil || four == nil || string(four.Body) != `{"n":4}` {
			t.Fatal(again, four) // it is the same gap, or the store has gone back once more
		}
		slow.Done()
		three.Done()
		again.Done()
		expect(t, "confirmed", p.confirmed(), "3")
		four.Done()
		expect(t, "all", p.confirmed(), "3 4")
		p.say(t, gap("5", object{"from": "4", "to": "5", "why": "overflow", "lost": 2}))
		if d := next(); d == nil || d.Gap == nil || d.Gap.Lost != 2 {
			t.Error(d)
		}
		p.say(t, gap("7", nil)) // malformed: confirmed, or it would come again
		p.say(t, message(8, nil))
		expect(t, "what is behind", string(next().Body), `{"n":8}`)
	})
}

// A store that goes back twice has other messages under the same sequences each time. They
// are not taken for those of the first time, which are not done yet.
func TestRollbackTwice(t *testing.T) {
	hold(t, nil, func(n *fakeNode, c *Client, next func() *Delivery) {
		gap := object{"to": "S1@client:/", "frm": router, "mid": "g", "typ": "gap", "hdr": object{"x-seq": "2", "x-prev": "0"},
			"bdy": object{"from": "1", "to": "2", "why": "rollback"}}
		p := n.last()
		p.say(t, gap)
		p.say(t, message(3, object{"mid": "first"}))
		before := []*Delivery{next(), next()}
		p.end(1006, "")
		p = n.again(object{"resumed": true})
		p.say(t, gap)
		p.say(t, message(3, object{"mid": "second"}))
		p.say(t, message(4, nil))
		told, three, four := next(), next(), next()
		if told == nil || told.Gap == nil || three == nil || three.Mid != "second" || four == nil {
			t.Fatal(told, three, four)
		}
		for _, d := range append(before, told, three) {
			d.Done()
		}
		expect(t, "confirmed", p.confirmed(), "3")
		four.Done()
		expect(t, "the rest", p.confirmed(), "3 4")
	})
}

// What is malformed, or from someone else than the router, is told to the log and ignored.
func TestNotBelieved(t *testing.T) {
	play(t, nil, nil, func(n *fakeNode, c *Client) {
		said := send(c, Message{To: "S2@client:/", Body: 1})
		p := n.last()
		m := p.of()[0]
		bad := []any{"", "null", "[]", "{", "1",
			object{"frm": "evil:/", "typ": "accepted", "rmid": m.Mid, "bdy": object{}},
			object{"frm": "evil:/", "typ": "connection", "bdy": object{"id": "S9"}},
			object{"frm": "evil:/", "typ": "gap", "bdy": object{"why": "x"}},
			object{"typ": "accepted", "rmid": m.Mid, "bdy": object{}},
			object{"frm": router, "mid": "g", "typ": "gap", "bdy": nil},
			object{"frm": router, "mid": "c", "typ": "connection", "bdy": object{"id": "S9"}},
			object{"frm": router, "mid": "e", "typ": "error", "bdy": 7},
			object{}, object{"frm": "a:/", "bdy": 1}, message(1, object{"hdr": object{"x-seq": "no"}})}
		for _, text := range bad {
			p.say(t, text)
		}
		n.mu.Lock()
		if len(n.errors) < len(bad) {
			t.Errorf("%d errors of %d: %v", len(n.errors), len(bad), n.errors)
		}
		n.mu.Unlock()
		expect(t, "session", c.Session().ID, "S1")
		expect(t, "told", n.bodies()+said.is(), "")
		p.say(t, accepted(m))
		expect(t, "by the router", said.is(), "accepted")
	})
}

// A program that does not receive keeps nobody from sending, and loses nothing that has a
// sequence.
func TestWhoDoesNotReceive(t *testing.T) {
	hold(t, nil, func(n *fakeNode, c *Client, next func() *Delivery) {
		p := n.last()
		for i := range maxWaiting + 10 {
			p.say(t, object{"to": "S1@client:/", "frm": "svc:/", "mid": fmt.Sprint("x", i), "bdy": 1})
		}
		p.say(t, message(1, nil))
		said := send(c, Message{To: "svc:/", Body: 1})
		p.say(t, accepted(p.of()[0]))
		expect(t, "said", said.is(), "accepted")
		count, stored := 0, ""
		for d := next(); d != nil; d = next() {
			if count++; string(d.Body) != "1" {
				stored = string(d.Body)
			}
		}
		expect(t, "received", count, maxWaiting+1)
		expect(t, "stored", stored, `{"n":1}`)
	})
}

// From a node without sequences nothing is dropped: it is not read from.
func TestNodeWithoutSequencesWaits(t *testing.T) {
	hold(t, object{"caps": nil}, func(n *fakeNode, c *Client, next func() *Delivery) {
		p := n.last()
		const all = maxWaiting + 600
		go func() {
			for i := range all {
				text := fmt.Sprintf(`{"to":"S1@client:/","frm":"svc:/","mid":"x%d","bdy":1}`, i)
				_ = p.ws.Write(context.Background(), 1, []byte(text))
			}
		}()
		time.Sleep(time.Minute) // silence that is ours
		synctest.Wait()
		c.mu.Lock()
		waits := len(c.in.waiting)
		c.mu.Unlock()
		if waits > maxWaiting {
			t.Errorf("%d wait", waits)
		}
		count := 0
		for d := next(); d != nil; d = next() {
			count++
			synctest.Wait()
		}
		expect(t, "received", count, all)
		expect(t, "connections", n.count(), 1)
	})
}
