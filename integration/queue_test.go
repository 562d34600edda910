package integration

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// HYDRA: "B offline: queued, in order, the same form as above", by every way
// that leads to a mailbox.
func TestQueueInOrder(t *testing.T) {
	t.Parallel()
	w := shared(t)
	a, b := w.node(t, "a"), w.node(t, "b")
	s := w.serve(t, unique(t))
	from, to := dial(t, a), dial(t, a)
	asked := to.send(object{"to": s.name + ":/", "bdy": "?"})
	request, ask := s.next()
	to.Close()

	w.pushNumbers(t, to.ID, 0, 20)
	forwarded := from.send(object{"to": "hydra-router:/", "fwd": to.Address(), "typ": "chat", "bdy": 20})
	w.stored(t, to.ID, 21)
	direct := from.send(object{"to": to.Address(), "bdy": 21})
	w.stored(t, to.ID, 22)
	s.respond(request, object{"to": ask.Via(), "frm": "i@" + s.name + ":/", "mid": "r", "rmid": asked, "bdy": 22})
	w.stored(t, to.ID, 23)
	w.pushNumbers(t, to.ID, 23, 30)

	again := to.resume(b)
	messages := again.wantBodies(0, 30)
	want(t, messages[20], "to", to.Address(), "frm", from.Address(), "mid", forwarded, "typ", "chat",
		"via", from.Router+"@hydra-router:/", "fwd", to.Address())
	want(t, messages[21], "to", to.Address(), "mid", direct)
	want(t, messages[22], "rmid", asked)
	again.quiet()
	from.quiet()
}

// stored waits until the mailbox of a session holds that many messages,
// markers not counted.
func (w *world) stored(t *testing.T, sid string, count int) {
	t.Helper()
	if err := harness.Until(patient(t), func() error { return w.countStored(t, sid, count) }); err != nil {
		t.Fatal(err)
	}
}

// HYDRA "Defects": a live message must not overtake the queue.
func TestLiveAfterQueued(t *testing.T) {
	t.Parallel()
	w := shared(t)
	nodes := []*harness.Node{w.node(t, "a"), w.node(t, "b")}
	const total = 600
	c := dial(t, nodes[0])
	c.Close()
	w.pushNumbers(t, c.ID, 0, 100)
	pushed := make(chan error, 1)
	go func() { pushed <- w.publishNumbers(t.Context(), c.ID, 100, total) }()
	again := c.resume(nodes[1])
	again.wantBodies(0, total)
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	again.quiet()
}

// The documented word and the one that the original really takes.
func TestReconnectAndReconnection(t *testing.T) {
	t.Parallel()
	w := shared(t)
	for i, typ := range []string{"reconnect", "reconnection", "reconnect"} {
		c := dial(t, w.node(t, "a"))
		c.Drop()
		w.pushNumbers(t, c.ID, 0, 3)
		again := dial(t, w.node(t, []string{"a", "b"}[i%2]))
		fresh := again.ID
		answer, err := again.Resume(t.Context(), typ, object{"id": c.ID})
		if err != nil {
			t.Fatal(err)
		}
		c.wantResumed(answer)
		again.wantBodies(0, 3)
		// The session that the socket had before is gone.
		again.wantError(again.call(object{"to": fresh + "@client:/", "bdy": 1}), "")
	}
}

// HYDRA "Defects": 168 of 2,000 were lost on kill -9 of a client.
func TestClientDyingInMidDelivery(t *testing.T) {
	t.Parallel()
	w := shared(t)
	const total = 400
	c := dial(t, w.node(t, "a"))
	c.Close()
	padding := strings.Repeat("p", 2000)
	for i := range total {
		m := pushed(c.ID, "m"+strconv.Itoa(i), i)
		m["pad"] = padding
		w.push(t, c.ID, m)
	}
	seen := 0 // the next number that has not been read
	for round, reads := range []int{30, 100, 1} {
		node := w.node(t, []string{"b", "a"}[round%2])
		again, answer := c.reconnect(node, harness.DialOptions{Manual: true, ReadBytes: 4096})
		c.wantResumed(answer)
		seen = again.wantContinuation(seen, reads)
		again.Reset()
	}
	again := c.resume(w.node(t, "b"))
	for seen < total {
		seen = again.wantContinuation(seen, 1)
	}
	again.quiet()
}

// wantContinuation reads messages that may begin with some that were read
// before, and continue without a hole. It returns the next number to come.
func (c *client) wantContinuation(seen, reads int) int {
	c.t.Helper()
	last := -1
	for range reads {
		n := bodyNumber(c.t, c.next())
		switch {
		case last >= 0 && n != last+1:
			c.t.Fatalf("message %d follows %d", n, last)
		case n > seen:
			c.t.Fatalf("message %d comes where %d was never seen", n, seen)
		}
		last = n
		seen = max(seen, n+1)
	}
	return seen
}

// R25 and HYDRA "Defects": 200 of 200 were lost to a client that stopped
// reading and died.
func TestClientThatStopsReadingAndDies(t *testing.T) {
	t.Parallel()
	w := shared(t)
	const total = 200
	c := dialWith(t, w.node(t, "a").URL("/"), harness.DialOptions{Manual: true})
	w.pushNumbers(t, c.ID, 0, 10)
	c.wantBodies(0, 10)
	w.pushNumbers(t, c.ID, 10, total) // fits the kernel's buffers
	c.Reset()
	again := c.resume(w.node(t, "b"))
	seen := again.wantContinuation(10, 1)
	for seen < total {
		seen = again.wantContinuation(seen, 1)
	}
	again.quiet()
}

// R36 and HYDRA "Defects": a reply follows the client.
func TestReplyAfterTheClientMoved(t *testing.T) {
	t.Parallel()
	w := shared(t)
	s := w.serve(t, unique(t))
	c := dial(t, w.node(t, "a"))
	mid := c.send(object{"to": s.name + ":/", "bdy": "?"})
	request, m := s.next()
	again := c.resume(w.node(t, "b"))
	s.respond(request, object{"to": m.Via(), "frm": "i@" + s.name + ":/", "mid": "r", "rmid": mid, "bdy": "there"})
	want(t, again.answer(mid), "bdy", "there")

	// And to a client that is away.
	mid = again.send(object{"to": s.name + ":/", "bdy": "?"})
	request, m = s.next()
	again.Reset()
	s.respond(request, object{"to": m.Via(), "frm": "i@" + s.name + ":/", "mid": "r2", "rmid": mid, "bdy": "here"})
	want(t, again.resume(w.node(t, "a")).answer(mid), "bdy", "here")
}

// R39: junk in a mailbox is skipped; the queue goes on.
func TestJunkInTheMailbox(t *testing.T) {
	t.Parallel()
	w := shared(t)
	junk := []string{"", "\x00\xff", "{", "[]", `"text"`, strings.Repeat("[", 50_000), `{"a":"` + "\xc3(" + `"}`}
	for name, connect := range map[string]func(*testing.T, *harness.Node) *client{"plain": dial, "acked": dialAcked} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connect(t, w.node(t, "a"))
			pushJunk := func(next int) int {
				for _, bytes := range junk {
					w.push(t, c.ID, bytes)
					w.pushNumbers(t, c.ID, next, next+1)
					next++
				}
				return next
			}
			live := pushJunk(0)
			c.wantBodies(0, live)
			c.Drop()
			all := pushJunk(live)
			if name == "acked" {
				// Nothing was confirmed, so all of it comes again.
				again := c.resumeAcked(w.node(t, "b"), 0)
				again.wantBodies(0, all)
				again.fence()
				return
			}
			again := c.resume(w.node(t, "b"))
			for seen := live; seen < all; {
				seen = again.wantContinuation(seen, 1)
			}
			again.quiet()
		})
	}
}

// R37: a sender that tries again.
func TestSameMidTwice(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *client) {
		for range 3 {
			from.send(object{"to": to.Address(), "mid": "retried", "bdy": "once"})
		}
		from.send(object{"to": to.Address(), "mid": "last", "bdy": "last"})
		want(t, to.next(), "mid", "retried")
		want(t, to.next(), "mid", "last")
		from.quiet()
	})
}

// DESIGN §2: what services can subscribe to.
func TestSessionEvents(t *testing.T) {
	t.Parallel()
	w := own(t, harness.NATSOptions{})
	brief := map[string]string{"EDGE_SESSION_TTL": briefTTL}
	a, b := w.start(t, "a", brief), w.start(t, "b", brief)
	events := w.subscribe(t, "events", "umf.v1.evt.session.>", "")
	seen := make(map[string]string) // of each session
	until := func(sid, want string) {
		t.Helper()
		ctx := patient(t)
		for seen[sid] != want {
			select {
			case m := <-events.requests:
				token := strings.Split(m.Subject, ".")
				if before := seen[token[6]]; before != "" {
					token[4] = before + " " + token[4]
				}
				seen[token[6]] = token[4]
			case <-ctx.Done():
				t.Fatalf("events of %s: %s, want %s", sid, seen[sid], want)
			}
		}
	}
	gone, back := dial(t, a), dial(t, a)
	gone.Close()
	back.Close()
	w.parked(t, back.ID)
	fresh := dial(t, b)
	resumed, err := fresh.Resume(t.Context(), "reconnect", object{"id": back.ID})
	if err != nil || resumed.At("bdy", "resumed") != true {
		t.Fatalf("answered with %s, %v", resumed.Raw, err)
	}
	until(gone.ID, "opened parked expired") // once, though two nodes could tell
	stays := dial(t, a)
	stays.Close()
	until(stays.ID, "opened parked expired")
	for sid, want := range map[string]string{gone.ID: "opened parked expired", back.ID: "opened parked resumed"} {
		if seen[sid] != want {
			t.Errorf("events of %s: %s, want %s", sid, seen[sid], want)
		}
	}
	// One that was replaced at once is closed; on a slow machine it ends like others.
	if n := slices.Sorted(maps.Values(seen)); len(n) != 4 || n[0] != "opened closed" && !strings.HasPrefix(n[0], "opened parked") {
		t.Errorf("events of the session that was replaced: %v", n)
	}
	b.Kill() // which had renewed it
	until(back.ID, "opened parked resumed expired")
}
