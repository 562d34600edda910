package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// eachWay runs a test with both connections on one node, and on two.
func eachWay(t *testing.T, test func(t *testing.T, w *world, first, second *harness.Node)) {
	t.Helper()
	t.Parallel()
	w := shared(t)
	for name, nodes := range map[string][2]string{"one node": {"a", "a"}, "two nodes": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w, w.node(t, nodes[0]), w.node(t, nodes[1]))
		})
	}
}

// A connection that resumes one session and then another leaves the first one
// as any client that goes away does.
func TestResumeOfTwoSessionsOnOneConnection(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, first, second *harness.Node) {
		one, two := dial(t, first), dial(t, first)
		one.Close()
		two.Close()
		w.parked(t, one.ID)
		w.parked(t, two.ID)
		w.pushNumbers(t, one.ID, 0, 5)
		w.pushNumbers(t, two.ID, 100, 105)
		c := dial(t, second)
		for _, id := range []string{one.ID, two.ID} { // the second before the first is answered
			c.send(object{"to": "hydra-router:/", "typ": "reconnect", "bdy": object{"id": id}})
		}
		for _, id := range []string{one.ID, two.ID} {
			answer := c.find(func(m message) bool { return m.Type() == "connection" })
			if answer.At("bdy", "id") != id || answer.At("bdy", "resumed") != true {
				t.Fatalf("the resume of %s is answered with %s", id, answer.Raw)
			}
		}
		m := c.next()
		for bodyNumber(t, m) < 100 { // some of the first one's may have left already
			m = c.next()
		}
		if m.Body() != "100" {
			t.Fatalf("first message of the second session: %s", m.Raw)
		}
		c.wantBodies(101, 105)
		w.pushNumbers(t, one.ID, 5, 8)
		again := one.resume(first)
		seen := bodyNumber(t, again.next())
		if seen > 5 {
			t.Fatalf("the first session goes on with %d", seen)
		}
		again.wantBodies(seen+1, 8)
		again.quiet()
		w.pushNumbers(t, two.ID, 105, 108)
		c.wantBodies(105, 108)
	})
}

// A session that was in use is kept when its connection resumes an older one:
// what comes for it waits. One that nobody can know is dropped.
func TestResumeLeavesASessionInUse(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, first, second *harness.Node) {
		old := dial(t, first)
		old.Close()
		w.parked(t, old.ID)
		resumeOld := func(c *client) {
			t.Helper()
			answer, err := c.Resume(t.Context(), "reconnect", object{"id": old.ID})
			if err != nil || answer.At("bdy", "resumed") != true {
				t.Fatalf("%s, %v", answer.Raw, err)
			}
		}
		asked, told, unused := dial(t, second), dial(t, second), dial(t, second)
		names := map[string]string{"asked": asked.ID, "told": told.ID}
		asked.call(object{"to": unique(t) + ":/", "bdy": "anybody?"})
		w.push(t, told.ID, pushed(told.ID, "told", "told"))
		told.next()
		told.fence()
		unknown := unused.ID
		for _, c := range []*client{asked, told, unused} { // each takes it from the one before
			resumeOld(c)
		}
		for name, id := range names {
			w.pushNumbers(t, id, 0, 3)
			c := dial(t, first)
			answer, err := c.Resume(t.Context(), "reconnect", object{"id": id})
			if err != nil || answer.At("bdy", "resumed") != true {
				t.Fatalf("the one that was %s: %s, %v", name, answer.Raw, err)
			}
			m := c.next()
			if m.Mid() == "told" { // its pong may not have been back
				m = c.next()
			}
			if m.Body() != "0" {
				t.Fatalf("the one that was %s: %s", name, m.Raw)
			}
			c.wantBodies(1, 3)
		}
		c := dial(t, first)
		if answer, err := c.Resume(t.Context(), "reconnect", object{"id": unknown}); err != nil || answer.At("bdy", "why") != "expired" {
			t.Errorf("the one that nobody knew: %s, %v", answer.Raw, err)
		}
	})
}

// What a client sends before it knows that its session is there, with the
// handshake or right behind a reconnect, is handled in order, however much it
// is, and also if the client leaves right behind it.
func TestMessagesBeforeTheSessionIsThere(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, first, second *harness.Node) {
		receiver, parked := dial(t, first), dial(t, first)
		parked.Close()
		w.parked(t, parked.ID)
		bye := harness.AppendFrame(nil, harness.OpClose, []byte{0x03, 0xe8})
		numbers := func(count int, pad string) (frames [][]byte) {
			for n := range count {
				frames = append(frames, harness.TextFrame(fmt.Sprintf(
					`{"to":"%s@client:/","frm":"client:/","mid":"n%d","hdr":{"pad":"%s"},"bdy":%d}`, receiver.ID, n, pad, n+1))) // 0 would be no body
			}
			return frames
		}
		reconnect := harness.TextFrame(fmt.Sprintf(
			`{"to":"hydra-router:/","frm":"client:/","mid":"r","typ":"reconnect","bdy":{"id":"%s"}}`, parked.ID))
		for name, test := range map[string]struct{ before, sent, behind [][]byte }{
			"few, and a goodbye": {nil, numbers(10, ""), [][]byte{bye}},
			"many":               {nil, numbers(300, ""), nil},
			"large":              {nil, numbers(2, strings.Repeat("p", 300<<10)), nil},
			"behind a reconnect": {[][]byte{reconnect}, numbers(300, ""), [][]byte{bye}},
		} {
			raw, err := harness.DialRaw(second.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if err := raw.Upgrade(slices.Concat(test.before, test.sent, test.behind)...); err != nil {
				t.Fatal(err)
			}
			for n := range test.sent {
				if m := receiver.next(); bodyNumber(t, m) != n+1 {
					t.Fatalf("%s: %.300s, want %d", name, m.Raw, n+1)
				}
			}
		}
		receiver.quiet()
	})
}
