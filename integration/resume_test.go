package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// eachWay runs a test with both connections on one node, and on two.
func eachWay(t *testing.T, test func(t *testing.T, w *world.World, first, second *harness.Node)) {
	t.Helper()
	t.Parallel()
	w := world.Shared(t)
	for name, nodes := range map[string][2]string{"one node": {"a", "a"}, "two nodes": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w, w.Node(t, nodes[0]), w.Node(t, nodes[1]))
		})
	}
}

// A connection that resumes one session and then another leaves the first one
// as any client that goes away does.
func TestResumeOfTwoSessionsOnOneConnection(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world.World, first, second *harness.Node) {
		one, two := world.Dial(t, first), world.Dial(t, first)
		one.Close()
		two.Close()
		w.WaitParked(t, one.ID)
		w.WaitParked(t, two.ID)
		w.PushNumbers(t, one.ID, 0, 5)
		w.PushNumbers(t, two.ID, 100, 105)
		c := world.Dial(t, second)
		for _, id := range []string{one.ID, two.ID} { // the second before the first is answered
			c.Send(object{"to": "hydra-router:/", "typ": "reconnect", "bdy": object{"id": id}})
		}
		for _, id := range []string{one.ID, two.ID} {
			answer := c.Find(func(m message) bool { return m.Type() == "connection" })
			if answer.At("bdy", "id") != id || answer.At("bdy", "resumed") != true {
				t.Fatalf("the resume of %s is answered with %s", id, answer.Raw)
			}
		}
		m := c.Next()
		for world.BodyNumber(t, m) < 100 { // some of the first one's may have left already
			m = c.Next()
		}
		if m.Body() != "100" {
			t.Fatalf("first message of the second session: %s", m.Raw)
		}
		c.WantBodies(101, 105)
		w.PushNumbers(t, one.ID, 5, 8)
		again := one.Resume(first)
		seen := world.BodyNumber(t, again.Next())
		if seen > 5 {
			t.Fatalf("the first session goes on with %d", seen)
		}
		again.WantBodies(seen+1, 8)
		again.Quiet()
		w.PushNumbers(t, two.ID, 105, 108)
		c.WantBodies(105, 108)
	})
}

// A session that was in use is kept when its connection resumes an older one:
// what comes for it waits. One that nobody can know is dropped.
func TestResumeLeavesASessionInUse(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world.World, first, second *harness.Node) {
		old := world.Dial(t, first)
		old.Close()
		w.WaitParked(t, old.ID)
		resumeOld := func(c *world.Client) {
			t.Helper()
			answer, err := c.Client.Resume(t.Context(), "reconnect", object{"id": old.ID, "token": old.Token})
			if err != nil || answer.At("bdy", "resumed") != true {
				t.Fatalf("%s, %v", answer.Raw, err)
			}
		}
		asked, told, unused := world.Dial(t, second), world.Dial(t, second), world.Dial(t, second)
		names := map[string]string{"asked": asked.ID, "told": told.ID}
		tokens := map[string]string{asked.ID: asked.Token, told.ID: told.Token}
		asked.Call(object{"to": world.Unique(t) + ":/", "bdy": "anybody?"})
		w.Push(t, told.ID, world.Pushed(told.ID, "told", "told"))
		told.Next()
		told.Fence()
		unknown := unused.ID
		for _, c := range []*world.Client{asked, told, unused} { // each takes it from the one before
			resumeOld(c)
		}
		for name, id := range names {
			w.PushNumbers(t, id, 0, 3)
			c := world.Dial(t, first)
			answer, err := c.Client.Resume(t.Context(), "reconnect", object{"id": id, "token": tokens[id]})
			if err != nil || answer.At("bdy", "resumed") != true {
				t.Fatalf("the one that was %s: %s, %v", name, answer.Raw, err)
			}
			m := c.Next()
			if m.Mid() == "told" { // its pong may not have been back
				m = c.Next()
			}
			if m.Body() != "0" {
				t.Fatalf("the one that was %s: %s", name, m.Raw)
			}
			c.WantBodies(1, 3)
		}
		c := world.Dial(t, first)
		if answer, err := c.Client.Resume(t.Context(), "reconnect", object{"id": unknown}); err != nil || answer.At("bdy", "why") != "expired" {
			t.Errorf("the one that nobody knew: %s, %v", answer.Raw, err)
		}
	})
}

// What a client sends before it knows that its session is there, with the
// handshake or right behind a reconnect, is handled in order, however much it
// is, and also if the client leaves right behind it.
func TestMessagesBeforeTheSessionIsThere(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world.World, first, second *harness.Node) {
		receiver, parked := world.Dial(t, first), world.Dial(t, first)
		parked.Close()
		w.WaitParked(t, parked.ID)
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
				if m := receiver.Next(); world.BodyNumber(t, m) != n+1 {
					t.Fatalf("%s: %.300s, want %d", name, m.Raw, n+1)
				}
			}
		}
		receiver.Quiet()
	})
}
