package world

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// A Client is a connection whose failures end its test. The goroutine of the
// test uses it.
type Client struct {
	*harness.Client // its methods of the same name return their errors
	t               *testing.T
}

// Dial connects an old client.
func Dial(t *testing.T, node *harness.Node) *Client {
	t.Helper()
	return DialWith(t, node.URL("/"), harness.DialOptions{})
}

// DialAcked connects a client that confirms.
func DialAcked(t *testing.T, node *harness.Node) *Client {
	t.Helper()
	return DialWith(t, node.URL("/"), harness.DialOptions{Acked: true})
}

// DialWith connects a client of the kind that o says.
func DialWith(t *testing.T, url string, o harness.DialOptions) *Client {
	t.Helper()
	c, err := harness.Enter(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	return Wrap(t, c)
}

// Wrap makes failures of c end the test.
func Wrap(t *testing.T, c *harness.Client) *Client { return &Client{Client: c, t: t} }

// Send sends a message; an object without mid or frm gets them, and the mid is
// returned.
func (c *Client) Send(v any) string {
	c.t.Helper()
	var mid string
	if o, ok := v.(harness.Object); ok {
		if _, ok := o["mid"]; !ok {
			o["mid"] = c.Mid()
		}
		if _, ok := o["frm"]; !ok {
			o["frm"] = c.Address()
		}
		mid, _ = o["mid"].(string)
	}
	if err := c.Client.Send(v); err != nil {
		c.t.Fatal(err)
	}
	return mid
}

// Next takes the next message.
func (c *Client) Next() harness.Message {
	c.t.Helper()
	m, err := c.Client.Next(context.WithoutCancel(c.t.Context()))
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// Find takes the first message that matches.
func (c *Client) Find(match func(harness.Message) bool) harness.Message {
	c.t.Helper()
	m, err := c.Client.Find(context.WithoutCancel(c.t.Context()), match)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// Answer takes the message that answers mid.
func (c *Client) Answer(mid string) harness.Message {
	c.t.Helper()
	return c.Find(func(m harness.Message) bool { return m.Rmid() == mid })
}

// Call sends a message and takes its answer.
func (c *Client) Call(o harness.Object) harness.Message {
	c.t.Helper()
	return c.Answer(c.Send(o))
}

// Fence returns when the node has handled everything that this client sent.
func (c *Client) Fence() {
	c.t.Helper()
	if pong := c.Call(harness.Object{"to": "hydra-router:/", "typ": "ping", "bdy": "p"}); pong.Type() != "pong" {
		c.t.Fatalf("the ping is answered with %s", pong.Raw)
	}
}

// Quiet fails if the node has answered anything that no test took.
func (c *Client) Quiet() {
	c.t.Helper()
	c.Fence()
	for _, m := range c.Inbox() {
		c.t.Errorf("an answer to what needs none: %.300s", m.Raw)
	}
}

// Closed waits for the end and returns the close code.
func (c *Client) Closed() (int, string) {
	c.t.Helper()
	code, reason, err := c.Client.Closed(context.WithoutCancel(c.t.Context()))
	if err != nil {
		c.t.Fatal(err)
	}
	return code, reason
}

// WantErrorAndClose checks that an error comes, whose text starts and ends so, and
// that the connection ends behind it.
func (c *Client) WantErrorAndClose(prefix, suffix string) harness.Message {
	c.t.Helper()
	m := c.Next()
	if text := m.Error(); !strings.HasPrefix(text, prefix) || !strings.HasSuffix(text, suffix) {
		c.t.Errorf("error %q, want %q … %q", text, prefix, suffix)
	}
	if want := c.Router + "@hydra-router:/"; m.To() != "client:/" || m.From() != want {
		c.t.Errorf("the error goes to %q from %q, want client:/ from %s", m.To(), m.From(), want)
	}
	if code, reason := c.Closed(); code < 1000 {
		c.t.Errorf("no close frame after the error: %s", reason)
	}
	return m
}

// WantError checks an answer that is an error, on a connection that stays.
func (c *Client) WantError(m harness.Message, text string) {
	c.t.Helper()
	if m.Error() == "" || text != "" && m.Error() != text {
		c.t.Errorf("answer %s, want the error %q", m.Raw, text)
	}
	c.Fence()
}

// Want compares string fields: names and values in turn.
func Want(t *testing.T, m harness.Message, fields ...string) {
	t.Helper()
	for i := 0; i+1 < len(fields); i += 2 {
		if got := m.Text(fields[i]); got != fields[i+1] {
			t.Errorf("%s is %q, want %q, in %.400s", fields[i], got, fields[i+1], m.Raw)
		}
	}
}

// Unique makes a name that no other test uses.
func Unique(t *testing.T) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	return fmt.Sprintf("%.40s-%04x", name, harness.Rand(t.Name()).IntN(1<<16))
}
