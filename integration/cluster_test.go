package integration

import (
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R8: the leader of the mailbox's stream is killed under two live sessions.
// R9: the leader steps down, again and again. R10: without a quorum nothing is
// accepted, and the sender is told; afterwards everything goes on. One cluster
// for the three: it takes seconds to start.
func TestCluster(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{Servers: 3})
	a, b := w.Start(t, "a", nil), w.Start(t, "b", nil)
	plain, acked := world.Dial(t, a), world.DialAcked(t, b)
	clients := []*world.Client{plain, acked}
	next := 0
	var chain []message
	exchange := func(t *testing.T, count int) {
		t.Helper()
		for _, c := range clients {
			w.Persistent(t, c.ID, next, next+count)
		}
		plain.WantBodies(next, next+count)
		chain = append(chain, acked.WantBodies(next, next+count)...)
		world.WantChain(firstPrev(t, chain))
		if err := acked.Ack(chain[len(chain)-1].Seq()); err != nil {
			t.Fatal(err)
		}
		next += count
	}
	exchange(t, 5)
	for _, c := range clients { // 3 in a cluster, though no setting says so
		stream, err := w.JS.Stream(t.Context(), w.StreamOf(t, c.ID))
		if err != nil {
			t.Fatal(err)
		}
		if replicas := stream.CachedInfo().Config.Replicas; replicas != 3 {
			t.Fatalf("the mailbox has %d replicas", replicas)
		}
	}

	t.Run("R8 leader killed", func(t *testing.T) {
		leader := w.Leader(t, plain.ID)
		leader.Kill()
		exchange(t, 10)
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
		if err := w.NATS.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("R9 leader steps down", func(t *testing.T) {
		for range scaled(5, 50) {
			for _, c := range clients {
				w.StepDown(t, c.ID)
			}
			exchange(t, 3)
		}
	})
	t.Run("R10 no quorum", func(t *testing.T) {
		for _, s := range w.NATS.Servers[1:] {
			s.Kill()
		}
		for delivered(t, acked, plain, plain.Send(object{"to": acked.Address(), "bdy": "nobody takes this"})) {
		}
		plain.Fence() // the sockets stay, and work
		acked.Fence()
		for _, s := range w.NATS.Servers[1:] {
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.NATS.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		// What a sender was told is not taken may have been stored after all: an
		// error is no promise that it was not. Then it comes in its place.
		for _, c := range clients {
			w.Persistent(t, c.ID, next, next+5)
		}
		for _, c := range clients {
			for want := next; want < next+5; {
				m := c.Next()
				if m.Body() == `"nobody takes this"` && c == acked {
					continue
				}
				if world.BodyNumber(t, m) != want {
					t.Fatalf("%s comes where %d is next", m.Raw, want)
				}
				want++
			}
		}
	})
	for _, c := range clients {
		c.Quiet()
	}
}

// delivered waits until a message has reached its receiver, or its sender was
// told that it was not taken: one of the two must happen.
func delivered(t *testing.T, to, from *world.Client, mid string) bool {
	t.Helper()
	took := false
	if err := harness.Until(world.Patient(t), func() error {
		for _, c := range []*world.Client{to, from} {
			for _, m := range c.Inbox() {
				switch {
				case m.Mid() == mid:
					took = true
					return nil
				case m.Rmid() == mid && m.Error() != "":
					return nil
				}
			}
		}
		return errNobody
	}); err != nil {
		t.Fatalf("message %s: %v", mid, err)
	}
	return took
}
