package integration

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// Hydra: what comes for a client that is away is queued, and comes in order and in
// the same form, by every way that leads to a mailbox.
func TestQueueInOrder(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	a, b := w.Node(t, "a"), w.Node(t, "b")
	s := w.Serve(t, world.Unique(t))
	from, to := world.Dial(t, a), world.Dial(t, a)
	asked := to.Send(object{"to": s.Name + ":/", "bdy": "?"})
	request, ask := s.Next()
	to.Close()

	w.PushNumbers(t, to.ID, 0, 20)
	forwarded := from.Send(object{"to": "hydra-router:/", "fwd": to.Address(), "typ": "chat", "bdy": 20})
	w.Stored(t, to.ID, 21)
	direct := from.Send(object{"to": to.Address(), "bdy": 21})
	w.Stored(t, to.ID, 22)
	s.Respond(request, object{"to": ask.Via(), "frm": "i@" + s.Name + ":/", "mid": "r", "rmid": asked, "bdy": 22})
	w.Stored(t, to.ID, 23)
	w.PushNumbers(t, to.ID, 23, 30)

	again := to.Resume(b)
	messages := again.WantBodies(0, 30)
	world.Want(t, messages[20], "to", to.Address(), "frm", from.Address(), "mid", forwarded, "typ", "chat",
		"via", from.Router+"@hydra-router:/", "fwd", to.Address())
	world.Want(t, messages[21], "to", to.Address(), "mid", direct)
	world.Want(t, messages[22], "rmid", asked)
	again.Quiet()
	from.Quiet()
}

// I2: a live message must not overtake the queue, as it does with Hydra.
func TestLiveAfterQueued(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	nodes := []*harness.Node{w.Node(t, "a"), w.Node(t, "b")}
	const total = 600
	c := world.Dial(t, nodes[0])
	c.Close()
	w.PushNumbers(t, c.ID, 0, 100)
	pushed := make(chan error, 1)
	go func() { pushed <- w.PublishNumbers(t.Context(), c.ID, 100, total) }()
	again := c.Resume(nodes[1])
	again.WantBodies(0, total)
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	again.Quiet()
}

// The documented word and the one that the original really takes.
func TestReconnectAndReconnection(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	for i, typ := range []string{"reconnect", "reconnection", "reconnect"} {
		c := world.Dial(t, w.Node(t, "a"))
		c.Drop()
		w.PushNumbers(t, c.ID, 0, 3)
		again := world.Dial(t, w.Node(t, []string{"a", "b"}[i%2]))
		fresh := again.ID
		answer, err := again.Client.Resume(t.Context(), typ, object{"id": c.ID})
		if err != nil {
			t.Fatal(err)
		}
		c.WantResumed(answer)
		again.WantBodies(0, 3)
		// The session that the socket had before is gone.
		again.WantError(again.Call(object{"to": fresh + "@client:/", "bdy": 1}), "")
	}
}

// R25: Hydra lost 168 of 2,000 messages at the kill -9 of a client.
func TestClientDyingInMidDelivery(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	const total = 400
	c := world.Dial(t, w.Node(t, "a"))
	c.Close()
	padding := strings.Repeat("p", 2000)
	for i := range total {
		m := world.Pushed(c.ID, "m"+strconv.Itoa(i), i)
		m["pad"] = padding
		w.Push(t, c.ID, m)
	}
	seen := 0 // the next number that has not been read
	for round, reads := range []int{30, 100, 1} {
		node := w.Node(t, []string{"b", "a"}[round%2])
		again, answer := c.Reconnect(node, harness.DialOptions{Manual: true, ReadBytes: 4096})
		c.WantResumed(answer)
		seen = again.WantContinuation(seen, reads)
		again.Reset()
	}
	again := c.Resume(w.Node(t, "b"))
	for seen < total {
		seen = again.WantContinuation(seen, 1)
	}
	again.Quiet()
}

// R25: Hydra lost 200 of 200 messages to a client that stopped
// reading and died.
func TestClientThatStopsReadingAndDies(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	const total = 200
	c := world.DialWith(t, w.Node(t, "a").URL("/"), harness.DialOptions{Manual: true})
	w.PushNumbers(t, c.ID, 0, 10)
	c.WantBodies(0, 10)
	w.PushNumbers(t, c.ID, 10, total) // fits the kernel's buffers
	c.Reset()
	again := c.Resume(w.Node(t, "b"))
	seen := again.WantContinuation(10, 1)
	for seen < total {
		seen = again.WantContinuation(seen, 1)
	}
	again.Quiet()
}

// R36: a reply follows the client.
func TestReplyAfterTheClientMoved(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	s := w.Serve(t, world.Unique(t))
	c := world.Dial(t, w.Node(t, "a"))
	mid := c.Send(object{"to": s.Name + ":/", "bdy": "?"})
	request, m := s.Next()
	again := c.Resume(w.Node(t, "b"))
	s.Respond(request, object{"to": m.Via(), "frm": "i@" + s.Name + ":/", "mid": "r", "rmid": mid, "bdy": "there"})
	world.Want(t, again.Answer(mid), "bdy", "there")

	// And to a client that is away.
	mid = again.Send(object{"to": s.Name + ":/", "bdy": "?"})
	request, m = s.Next()
	again.Reset()
	s.Respond(request, object{"to": m.Via(), "frm": "i@" + s.Name + ":/", "mid": "r2", "rmid": mid, "bdy": "here"})
	world.Want(t, again.Resume(w.Node(t, "a")).Answer(mid), "bdy", "here")
}

// R39: junk in a mailbox is skipped; the queue goes on.
func TestJunkInTheMailbox(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	junk := []string{"", "\x00\xff", "{", "[]", `"text"`, strings.Repeat("[", 50_000), `{"a":"` + "\xc3(" + `"}`}
	for name, connect := range map[string]func(*testing.T, *harness.Node) *world.Client{"plain": world.Dial, "acked": world.DialAcked} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connect(t, w.Node(t, "a"))
			pushJunk := func(next int) int {
				for _, bytes := range junk {
					w.Push(t, c.ID, bytes)
					w.PushNumbers(t, c.ID, next, next+1)
					next++
				}
				return next
			}
			live := pushJunk(0)
			c.WantBodies(0, live)
			c.Drop()
			all := pushJunk(live)
			if name == "acked" {
				// Nothing was confirmed, so all of it comes again.
				again := c.ResumeAcked(w.Node(t, "b"), 0)
				again.WantBodies(0, all)
				again.Fence()
				return
			}
			again := c.Resume(w.Node(t, "b"))
			for seen := live; seen < all; {
				seen = again.WantContinuation(seen, 1)
			}
			again.Quiet()
		})
	}
}

// R37: a sender that tries again.
func TestSameMidTwice(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *world.Client) {
		for range 3 {
			from.Send(object{"to": to.Address(), "mid": "retried", "bdy": "once"})
		}
		from.Send(object{"to": to.Address(), "mid": "retried", "bdy": "another"})
		from.Send(object{"to": to.Address(), "mid": "last", "bdy": "last"})
		world.Want(t, to.Next(), "bdy", "once")
		world.Want(t, to.Next(), "bdy", "another")
		world.Want(t, to.Next(), "mid", "last")
		from.Quiet()
	})
}

// Services can subscribe to what becomes of sessions.
func TestSessionEvents(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	brief := map[string]string{"EDGE_SESSION_TTL": briefTTL}
	a, b := w.Start(t, "a", brief), w.Start(t, "b", brief)
	events := w.Subscribe(t, "events", "umf.v1.evt.session.>", "")
	seen := make(map[string]string) // of each session
	until := func(sid, want string) {
		t.Helper()
		ctx := world.Patient(t)
		for seen[sid] != want {
			select {
			case m := <-events.Requests:
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
	gone, back := world.Dial(t, a), world.Dial(t, a)
	gone.Close()
	back.Close()
	w.WaitParked(t, back.ID)
	fresh := world.Dial(t, b)
	resumed, err := fresh.Client.Resume(t.Context(), "reconnect", object{"id": back.ID})
	if err != nil || resumed.At("bdy", "resumed") != true {
		t.Fatalf("answered with %s, %v", resumed.Raw, err)
	}
	until(gone.ID, "opened parked expired") // once, though two nodes could tell
	stays := world.Dial(t, a)
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
