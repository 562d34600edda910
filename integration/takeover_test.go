package integration

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R30: with Hydra, a reconnect before the end of the old socket is noticed leaves
// the new one deaf for ever.
func TestTakeover(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	for name, nodes := range map[string][2]string{"one node": {"a", "a"}, "two nodes": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := world.Dial(t, w.Node(t, nodes[0]))
			w.PushNumbers(t, old.ID, 0, 5)
			old.WantBodies(0, 5)
			old.Fence()

			again := old.Resume(w.Node(t, nodes[1]))
			w.PushNumbers(t, old.ID, 100, 120)
			// What the node had no pong for comes again; nothing else does.
			m := again.Next()
			for world.BodyNumber(t, m) < 100 {
				m = again.Next()
			}
			if m.Body() != "100" {
				t.Fatalf("first new message: %s", m.Raw)
			}
			again.WantBodies(101, 120)
			if code, reason := old.Closed(); code != 4501 {
				t.Errorf("the old socket was closed with %d %s, want 4501", code, reason)
			}
			// I5: what was stored after the takeover is not the old one's.
			for _, m := range old.Inbox() {
				if world.BodyNumber(t, m) >= 100 {
					t.Errorf("the old socket got %s", m.Raw)
				}
			}
			again.Quiet()
		})
	}
}

// The same while the old socket is not readable: its TCP connection hangs.
func TestTakeoverFromAHangingSocket(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	for name, nodes := range map[string][2]string{"one node": {"a", "a"}, "two nodes": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, err := harness.NewProxy(w.Node(t, nodes[0]).Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer proxy.Close()
			old := world.DialWith(t, "ws://"+proxy.Addr()+"/", harness.DialOptions{})
			proxy.LoseClients()
			w.PushNumbers(t, old.ID, 0, 50)
			again := old.Resume(w.Node(t, nodes[1]))
			again.WantBodies(0, 50)
			w.PushNumbers(t, old.ID, 50, 60)
			again.WantBodies(50, 60)
			again.Quiet()
		})
	}
}

// S6, S7: with Hydra, a stranger can take any session, or silence it.
func TestStrangerClaimsAnAckedSession(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	victim := world.DialAcked(t, w.Node(t, "a"))
	for name, body := range map[string]object{
		"no token":    {"id": victim.ID},
		"wrong token": {"id": victim.ID, "token": strings.Repeat("A", len(victim.Token))},
		"empty token": {"id": victim.ID, "token": ""},
		"no string":   {"id": victim.ID, "token": []int{1}},
	} {
		for _, node := range []string{"a", "b"} {
			for _, acked := range []bool{true, false} {
				stranger, answer := victim.ReconnectWith(w.Node(t, node), harness.DialOptions{Acked: acked}, body)
				if answer.At("bdy", "resumed") != false || answer.At("bdy", "why") != "token" {
					t.Errorf("%s: answered with %s", name, answer.Raw)
				}
				// It keeps its own session, which works.
				if answer.At("bdy", "id") != stranger.ID {
					t.Errorf("%s: the stranger's id is %v, want its own, %s", name, answer.At("bdy", "id"), stranger.ID)
				}
				w.Push(t, stranger.ID, world.Pushed(stranger.ID, "own", "own"))
				world.Want(t, stranger.Next(), "mid", "own")
				stranger.Drop()
			}
		}
	}
	// The victim has not noticed.
	w.PushNumbers(t, victim.ID, 0, 3)
	world.WantChain(firstPrev(t, victim.WantBodies(0, 3)))
	victim.Fence()
	// And leaving of the stranger has not parked it (S7).
	victim.Drop()
	victim.ResumeAcked(w.Node(t, "b"), 0).WantBodies(0, 3)
}

// firstPrev prepares wantChain for a chain whose start is not known.
func firstPrev(t *testing.T, messages []message) (*testing.T, uint64, []message) {
	return t, messages[0].Prev(), messages
}

// S6: EDGE_RESUME=token asks old clients, too.
func TestStrangerClaimsAPlainSessionWhereATokenIsAsked(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "guarded")
	victim := world.Dial(t, node)
	_, answer := victim.ReconnectWith(node, harness.DialOptions{}, object{"id": victim.ID})
	if answer.At("bdy", "resumed") != false || answer.At("bdy", "why") != "token" {
		t.Errorf("answered with %s", answer.Raw)
	}
	w.PushNumbers(t, victim.ID, 0, 2)
	victim.WantBodies(0, 2)
	victim.Drop()
	again, answer := victim.ReconnectWith(node, harness.DialOptions{}, object{"id": victim.ID, "token": victim.Token})
	victim.WantResumed(answer)
	again.Fence()
}

// S5: guessing ids. A connection has few attempts; what an address has over all
// its connections is a unit test of package edge. Who knows his session is not
// harmed by them.
func TestGuessingSessions(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "b")
	owner, stranger := world.Dial(t, node), world.Dial(t, node)
	for guesses := 1; ; guesses++ {
		// The node closes the connection after an answer; then nothing comes.
		_ = stranger.Client.Send(object{"to": "hydra-router:/", "frm": stranger.Address(), "mid": stranger.Mid(),
			"typ": "reconnect", "bdy": object{"id": strings.Repeat("q7", 13)}})
		m, err := stranger.Client.Next(t.Context())
		if err != nil {
			break
		}
		if m.At("bdy", "resumed") != false || m.At("bdy", "why") != "expired" {
			t.Fatalf("a guess is answered with %s", m.Raw)
		}
		if guesses > 10 {
			t.Fatal("it may guess for ever")
		}
	}
	if code, reason := stranger.Closed(); code != 1008 {
		t.Errorf("closed with %d %s, want 1008", code, reason)
	}
	if metrics(t, node)[`hydrant_dropped_total{reason="guesses"}`] == 0 {
		t.Error("nobody has counted that")
	}
	owner.Drop()
	owner.Resume(node).Fence()
}

// R31: a session that there is not.
func TestResumeOfNothing(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	for _, id := range []string{strings.Repeat("q7", 13), "constructor", "x"} {
		c := world.Dial(t, node)
		answer, err := c.Client.Resume(t.Context(), "reconnect", object{"id": id})
		if err != nil {
			t.Fatal(err)
		}
		if answer.At("bdy", "resumed") != false || answer.At("bdy", "why") != "expired" || answer.At("bdy", "id") != c.ID {
			t.Errorf("%q: answered with %s", id, answer.Raw)
		}
		w.Push(t, c.ID, world.Pushed(c.ID, "own", "own"))
		world.Want(t, c.Next(), "mid", "own")
	}
}

// R28: one owner each time, nothing split.
func TestTwoResumesAtTheSameMoment(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	nodes := []*harness.Node{w.Node(t, "a"), w.Node(t, "b")}
	c := world.Dial(t, nodes[0])
	next := 0
	for round := range scaled(25, 1000) {
		var rivals [2]*world.Client
		for i := range rivals {
			rivals[i] = world.Dial(t, nodes[i])
		}
		var group sync.WaitGroup
		for _, rival := range rivals {
			group.Go(func() {
				// Either may lose: by an answer, or by its socket's end.
				_, _ = rival.Client.Resume(t.Context(), "reconnect", object{"id": c.ID, "token": c.Token})
			})
		}
		group.Wait()
		w.PushNumbers(t, c.ID, next, next+1)
		winner := winnerOf(t, rivals, next)
		if winner.ID != c.ID {
			t.Fatalf("round %d: a message for %s came to %s", round, c.ID, winner.ID)
		}
		next++
		w.PushNumbers(t, c.ID, next, next+1)
		winner.Find(func(m message) bool { return m.Body() == strconv.Itoa(next) })
		next++
		for _, rival := range rivals {
			if rival != winner {
				if rival.ID == c.ID { // it owned it for a moment
					if code, _ := rival.Closed(); code != 4501 {
						t.Errorf("round %d: the loser was closed with %d", round, code)
					}
				}
				rival.Drop()
			}
		}
		c = winner
	}
}

// winnerOf waits until one of the two gets the message.
func winnerOf(t *testing.T, rivals [2]*world.Client, number int) *world.Client {
	t.Helper()
	var winner *world.Client
	if err := harness.Until(world.Patient(t), func() error {
		for _, rival := range rivals {
			for _, m := range rival.Inbox() {
				if m.Body() == strconv.Itoa(number) {
					winner = rival
				}
			}
		}
		if winner == nil {
			return errNobody
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return winner
}

// R29: a session that flaps between the nodes under load.
func TestFlappingSession(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	nodes := []*harness.Node{w.Node(t, "a"), w.Node(t, "b")}
	moves := scaled(40, 1000)
	c := world.DialAcked(t, nodes[0])
	// The publisher is at most so far ahead, or the mailbox would overflow.
	const ahead = 300
	room := make(chan struct{}, ahead) // holds what was published and not taken
	stop := make(chan struct{})
	published := make(chan error, 1)
	total := 0 // owned by the publisher until it is done
	sid := c.ID
	go func() {
		for {
			select {
			case <-stop:
				published <- nil
				return
			case room <- struct{}{}:
			}
			if err := w.PublishNumbers(t.Context(), sid, total, total+1); err != nil {
				published <- err
				return
			}
			total++
		}
	}()
	seen, seq := 0, uint64(0)
	take := func(c *world.Client) {
		m := c.Next()
		if n := world.BodyNumber(t, m); n != seen {
			t.Fatalf("message %d comes where %d is next", n, seen)
		}
		if seq != 0 && m.Prev() != seq {
			t.Fatalf("x-prev %d after x-seq %d", m.Prev(), seq)
		}
		seen, seq = seen+1, m.Seq()
		<-room
	}
	for move := range moves {
		for range 5 {
			take(c)
		}
		if move%2 == 0 {
			c.Reset()
		} // else it is taken over while it lives
		c = c.ResumeAcked(nodes[(move+1)%2], seq)
	}
	close(stop)
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	for seen < total {
		take(c)
		if err := c.Ack(seq); err != nil {
			t.Fatal(err)
		}
	}
	c.Fence()
}
