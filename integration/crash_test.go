package integration

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// crash is the scene of R4: a session on the first node, and two more nodes.
type crash struct {
	t     *testing.T
	w     *world.World
	nodes [3]*harness.Node
	acked bool
	c     *world.Client
	seq   uint64 // of the last message that the client has handled
	seen  int    // messages that it has
}

// R4: a node dies between any two steps of a message's way, or of a session's.
// Nothing is lost, nothing comes out of order, one node owns the session; a
// client that says what it has gets nothing twice, another one only what it had
// not confirmed in time.
func TestCrashAtEachStep(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	nodes := [3]*harness.Node{w.Start(t, "a", nil), w.Start(t, "b", nil), w.Start(t, "c", nil)}
	for _, step := range []struct {
		name  string
		noAck bool // the client confirms nothing
		again int  // as many messages come again to an old client; -1: some, or none
		crash func(*crash)
	}{
		{name: "stored, not written", again: -1, crash: func(s *crash) {
			s.check(s.nodes[0].Freeze())
			s.push(3)
			s.nodes[0].Kill()
		}},
		{name: "written, not confirmed", noAck: true, again: 3, crash: func(s *crash) {
			s.nodes[0].Kill()
		}},
		{name: "confirmed, no checkpoint yet", again: -1, crash: func(s *crash) {
			s.push(2)
			s.take(s.c, 2)
			s.c.Fence()
			s.nodes[0].Kill()
		}},
		{name: "the owner dies when it is asked for the session", again: -1, crash: func(s *crash) {
			s.check(s.nodes[0].Freeze())
			asked := s.subscribe("umf.v1.node." + s.c.Router)
			resumed := s.resuming(s.nodes[1])
			s.wait(asked, func([]byte) bool { return true })
			s.nodes[0].Kill()
			s.adopt(<-resumed)
		}},
		{name: "the next owner dies while it asks", again: -1, crash: func(s *crash) {
			s.check(s.nodes[0].Freeze())
			asked := s.subscribe("umf.v1.node." + s.c.Router)
			resumed := s.resuming(s.nodes[1])
			s.wait(asked, func([]byte) bool { return true })
			s.nodes[1].Kill()
			s.check(s.nodes[0].Thaw())
			<-resumed
		}},
		{name: "the next owner dies when it has the entry", again: -1, crash: func(s *crash) {
			entries := s.subscribe("$KV.UMF_SESSIONS." + s.c.ID)
			before, err := s.w.LookUp(s.t, s.c.ID)
			s.check(err)
			resumed := s.resuming(s.nodes[1])
			s.wait(entries, func(text []byte) bool {
				var e world.Entry
				return json.Unmarshal(text, &e) == nil && e.Node != before.Node
			})
			s.nodes[1].Kill()
			<-resumed
		}},
	} {
		for name, acked := range map[string]bool{"plain": false, "acked": true} {
			t.Run(step.name+", "+name, func(t *testing.T) {
				s := &crash{t: t, w: w, nodes: nodes, acked: acked}
				s.c = world.DialWith(t, nodes[0].URL("/"), harness.DialOptions{Acked: acked, NoPong: step.noAck})
				s.push(3)
				s.take(s.c, 3)
				if acked && !step.noAck {
					s.check(s.c.Ack(s.seq))
				}
				old := s.c
				step.crash(s)
				s.goOn(old, step.again)
			})
		}
	}
}

// goOn resumes on the third node, if the session is on none yet, and checks
// that it gets everything from where it was on.
func (s *crash) goOn(old *world.Client, again int) {
	s.t.Helper()
	first := s.seen
	s.push(2)
	if s.c == old {
		s.adopt(<-s.resuming(s.nodes[2]))
	}
	m := s.c.Next()
	from := world.BodyNumber(s.t, m)
	switch {
	case from > first || s.acked && from != first || !s.acked && again >= 0 && from != first-again:
		s.t.Errorf("after %d messages comes %s", first, m.Raw)
	case s.acked && m.Prev() != s.seq:
		s.t.Errorf("after x-seq %d comes %s", s.seq, m.Raw)
	}
	s.seen, s.seq = from+1, m.Seq()
	s.take(s.c, s.w.Total(s.t, s.c.ID)-s.seen)
	s.c.Quiet()
	for _, node := range s.nodes {
		select {
		case <-node.Exited():
			s.check(node.Start())
		default:
		}
		s.check(node.WaitReady(s.t.Context()))
	}
	for _, late := range old.Inbox() { // I5
		s.t.Errorf("the old socket got %s", late.Raw)
	}
}

func (s *crash) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// push stores the next messages.
func (s *crash) push(count int) {
	s.t.Helper()
	next := s.w.Total(s.t, s.c.ID)
	s.w.PushNumbers(s.t, s.c.ID, next, next+count)
}

// take reads the next messages.
func (s *crash) take(c *world.Client, count int) {
	s.t.Helper()
	for _, m := range c.WantBodies(s.seen, s.seen+count) {
		s.seq = m.Seq()
	}
	s.seen += count
}

// resuming asks a node for the session. The channel brings the client, or nil
// if the node has died.
func (s *crash) resuming(node *harness.Node) <-chan *harness.Client {
	body := object{"id": s.c.ID, "token": s.c.Token}
	if s.acked {
		body["seq"] = s.seq
	}
	sid, acked, done := s.c.ID, s.acked, make(chan *harness.Client, 1)
	t := s.t
	go func() {
		next, err := harness.Enter(t.Context(), node.URL("/"), harness.DialOptions{Acked: acked})
		if err == nil {
			t.Cleanup(next.Drop)
			_, err = next.Resume(t.Context(), "reconnect", body)
		}
		if err != nil || next.ID != sid {
			next = nil
		}
		done <- next
	}()
	return done
}

// adopt goes on with a new socket.
func (s *crash) adopt(c *harness.Client) {
	s.t.Helper()
	if c == nil {
		s.t.Fatal("the session is not given back")
	}
	s.c = world.Wrap(s.t, c)
}

// subscribe watches a subject from now on.
func (s *crash) subscribe(subject string) <-chan []byte {
	s.t.Helper()
	texts := make(chan []byte, 64)
	sub, err := s.w.Conn.Subscribe(subject, func(m *nats.Msg) {
		select {
		case texts <- m.Data:
		default:
		}
	})
	s.check(err)
	s.t.Cleanup(func() { _ = sub.Unsubscribe() })
	s.check(s.w.Conn.Flush())
	return texts
}

func (s *crash) wait(texts <-chan []byte, match func([]byte) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), harness.Patience)
	defer cancel()
	for {
		select {
		case text := <-texts:
			if match(text) {
				return
			}
		case <-ctx.Done():
			s.t.Fatal("nothing comes")
		}
	}
}
