package world

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// Reconnect connects a new socket of the same kind and asks for c's session
// with its secret, as a client should. The caller knows whether it must be given.
func (c *Client) Reconnect(node *harness.Node, o harness.DialOptions) (*Client, harness.Message) {
	c.t.Helper()
	body := harness.Object{"id": c.ID}
	if c.Token != "" {
		body["token"] = c.Token
	}
	return c.ReconnectWith(node, o, body)
}

// ReconnectWith is Reconnect with a body of the caller's.
func (c *Client) ReconnectWith(node *harness.Node, o harness.DialOptions, body harness.Object) (*Client, harness.Message) {
	c.t.Helper()
	next := DialWith(c.t, node.URL("/"), o)
	answer, err := next.Client.Resume(c.t.Context(), "reconnect", body)
	if err != nil {
		c.t.Fatal(err)
	}
	return next, answer
}

// Resume is Reconnect for a client that does not confirm, and must be given.
func (c *Client) Resume(node *harness.Node) *Client {
	c.t.Helper()
	next, answer := c.Reconnect(node, harness.DialOptions{})
	c.WantResumed(answer)
	return next
}

// ResumeAcked is the same for a client that confirms: seq is the last message
// that it has handled.
func (c *Client) ResumeAcked(node *harness.Node, seq uint64) *Client {
	c.t.Helper()
	next, answer := c.ReconnectWith(node, harness.DialOptions{Acked: true},
		harness.Object{"id": c.ID, "token": c.Token, "seq": strconv.FormatUint(seq, 10)})
	c.WantResumed(answer)
	return next
}

// WantResumed checks the answer to a resume: the session is given.
func (c *Client) WantResumed(answer harness.Message) {
	c.t.Helper()
	if answer.At("bdy", "id") != c.ID || answer.At("bdy", "resumed") != true || answer.At("bdy", "why") != nil {
		c.t.Fatalf("resume of %s is answered with %s", c.ID, answer.Raw)
	}
	Want(c.t, answer, "to", c.Address(), "typ", "connection")
}

// WantBodies takes messages and checks that their bodies are these numbers.
func (c *Client) WantBodies(from, to int) []harness.Message {
	c.t.Helper()
	var taken []harness.Message
	for i := from; i < to; i++ {
		m := c.Next()
		if m.Body() != strconv.Itoa(i) {
			c.t.Fatalf("message %d is %.300s", i, m.Raw)
		}
		taken = append(taken, m)
	}
	return taken
}

// WantChain checks x-seq and x-prev from one message to the next (I3).
func WantChain(t *testing.T, prev uint64, messages []harness.Message) uint64 {
	t.Helper()
	for _, m := range messages {
		if m.Prev() != prev || m.Seq() <= prev {
			t.Fatalf("after x-seq %d comes %.300s", prev, m.Raw)
		}
		prev = m.Seq()
	}
	return prev
}

// ReadmeCode is [harness.ReadmeCode].
func ReadmeCode(t *testing.T, section, language string) string {
	t.Helper()
	code, err := harness.ReadmeCode(section, language)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// PushesSurvive asks the README's greeter for its ten pushes, kills the client's node
// under them, and checks that all come on the next one, in their order. What the client
// has not confirmed may come again.
func PushesSurvive(t *testing.T, a, b *harness.Node) {
	t.Helper()
	c := Dial(t, a)
	c.Send(harness.Object{"to": "greeter:/", "bdy": "count"})
	seen := 0
	take := func() {
		t.Helper()
		m := c.Next()
		if n := m.At("bdy", "n"); n == float64(seen+1) {
			seen++
		} else if n, ok := n.(float64); !ok || n > float64(seen) {
			t.Fatalf("after push %d comes %.300s", seen, m.Raw)
		}
	}
	for seen < 2 {
		take()
	}
	a.Kill()
	for c = c.Resume(b); seen < 10; {
		take()
	}
}

// PushNumbers stores messages whose bodies are these numbers.
func (w *World) PushNumbers(t *testing.T, sid string, from, to int) {
	t.Helper()
	if err := w.PublishNumbers(t.Context(), sid, from, to); err != nil {
		t.Fatal(err)
	}
}

// PublishNumbers is PushNumbers for goroutines that are not the test's.
func (w *World) PublishNumbers(ctx context.Context, sid string, from, to int) error {
	for i := from; i < to; i++ {
		if _, err := w.Publish(ctx, sid, Pushed(sid, "n"+strconv.Itoa(i), i), nil); err != nil {
			return err
		}
	}
	return nil
}

// Persist is PublishNumbers that tries again until ctx ends.
func (w *World) Persist(ctx context.Context, sid string, from, to int) error {
	for i := from; i < to; i++ {
		mid := "n" + strconv.Itoa(i)
		if err := harness.Until(ctx, func() error {
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, err := w.Publish(attempt, sid, Pushed(sid, mid, i), nats.Header{"Nats-Msg-Id": {"test:" + sid + ":" + mid}})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// WantContinuation reads messages that may begin with some that were read
// before, and continue without a hole. It returns the next number to come.
func (c *Client) WantContinuation(seen, reads int) int {
	c.t.Helper()
	last := -1
	for range reads {
		n := BodyNumber(c.t, c.Next())
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

// Persistent publishes until the store acknowledges, as a careful sender does:
// the message id makes a repetition harmless.
func (w *World) Persistent(t *testing.T, sid string, from, to int) {
	t.Helper()
	if err := w.Persist(Patient(t), sid, from, to); err != nil {
		t.Fatal(err)
	}
}
