package integration

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// reconnect connects a new socket of the same kind and asks for c's session
// as its protocol has it. The caller knows whether it must be given.
func (c *client) reconnect(node *harness.Node, o harness.DialOptions) (*client, message) {
	c.t.Helper()
	return c.reconnectWith(node, o, object{"id": c.ID})
}

func (c *client) reconnectWith(node *harness.Node, o harness.DialOptions, body object) (*client, message) {
	c.t.Helper()
	next := dialWith(c.t, node.URL("/"), o)
	answer, err := next.Resume(c.t.Context(), "reconnect", body)
	if err != nil {
		c.t.Fatal(err)
	}
	return next, answer
}

// resume is reconnect for an old client, and must be given.
func (c *client) resume(node *harness.Node) *client {
	c.t.Helper()
	next, answer := c.reconnect(node, harness.DialOptions{})
	c.wantResumed(answer)
	return next
}

// resumeAcked is the same for a client that confirms: seq is the last message
// that it has handled.
func (c *client) resumeAcked(node *harness.Node, seq uint64) *client {
	c.t.Helper()
	next, answer := c.reconnectWith(node, harness.DialOptions{Acked: true},
		object{"id": c.ID, "token": c.Token, "seq": strconv.FormatUint(seq, 10)})
	c.wantResumed(answer)
	return next
}

// wantResumed checks HYDRA's and DESIGN §3.1's answer to a resume.
func (c *client) wantResumed(answer message) {
	c.t.Helper()
	if answer.At("bdy", "id") != c.ID || answer.At("bdy", "resumed") != true || answer.At("bdy", "why") != nil {
		c.t.Fatalf("resume of %s is answered with %s", c.ID, answer.Raw)
	}
	want(c.t, answer, "to", c.Address(), "typ", "connection")
}

// wantBodies takes messages and checks that their bodies are these numbers.
func (c *client) wantBodies(from, to int) []message {
	c.t.Helper()
	var taken []message
	for i := from; i < to; i++ {
		m := c.next()
		if m.Body() != strconv.Itoa(i) {
			c.t.Fatalf("message %d is %.300s", i, m.Raw)
		}
		taken = append(taken, m)
	}
	return taken
}

// wantChain checks x-seq and x-prev from one message to the next (I3).
func wantChain(t *testing.T, prev uint64, messages []message) uint64 {
	t.Helper()
	for _, m := range messages {
		if m.Prev() != prev || m.Seq() <= prev {
			t.Fatalf("after x-seq %d comes %.300s", prev, m.Raw)
		}
		prev = m.Seq()
	}
	return prev
}

// pushNumbers stores messages whose bodies are these numbers.
func (w *world) pushNumbers(t *testing.T, sid string, from, to int) {
	t.Helper()
	if err := w.publishNumbers(t.Context(), sid, from, to); err != nil {
		t.Fatal(err)
	}
}

// publishNumbers is pushNumbers for goroutines that are not the test's.
func (w *world) publishNumbers(ctx context.Context, sid string, from, to int) error {
	for i := from; i < to; i++ {
		if _, err := w.publish(ctx, sid, pushed(sid, "n"+strconv.Itoa(i), i), nil); err != nil {
			return err
		}
	}
	return nil
}

// persist is publishNumbers that tries again until ctx ends.
func (w *world) persist(ctx context.Context, sid string, from, to int) error {
	for i := from; i < to; i++ {
		mid := "n" + strconv.Itoa(i)
		if err := harness.Until(ctx, func() error {
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, err := w.publish(attempt, sid, pushed(sid, mid, i), nats.Header{"Nats-Msg-Id": {"test:" + sid + ":" + mid}})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
