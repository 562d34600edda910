package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// object is a message to send.
type object = harness.Object

// message is one that came.
type message = harness.Message

// A client is a connection whose failures end its test. The goroutine of the
// test uses it.
type client struct {
	*harness.Client
	t *testing.T
}

// dial connects an old client.
func dial(t *testing.T, node *harness.Node) *client {
	t.Helper()
	return dialWith(t, node.URL("/"), harness.DialOptions{})
}

// dialAcked connects a client that confirms.
func dialAcked(t *testing.T, node *harness.Node) *client {
	t.Helper()
	return dialWith(t, node.URL("/"), harness.DialOptions{Acked: true})
}

func dialWith(t *testing.T, url string, o harness.DialOptions) *client {
	t.Helper()
	c, err := harness.Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	return &client{Client: c, t: t}
}

// send sends a message; an object without mid or frm gets them, and the mid is
// returned.
func (c *client) send(v any) string {
	c.t.Helper()
	var mid string
	if o, ok := v.(object); ok {
		if _, ok := o["mid"]; !ok {
			o["mid"] = c.Mid()
		}
		if _, ok := o["frm"]; !ok {
			o["frm"] = c.Address()
		}
		mid, _ = o["mid"].(string)
	}
	if err := c.Send(v); err != nil {
		c.t.Fatal(err)
	}
	return mid
}

// next takes the next message.
func (c *client) next() message {
	c.t.Helper()
	m, err := c.Next(context.WithoutCancel(c.t.Context()))
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// find takes the first message that matches.
func (c *client) find(match func(message) bool) message {
	c.t.Helper()
	m, err := c.Find(context.WithoutCancel(c.t.Context()), match)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// answer takes the message that answers mid.
func (c *client) answer(mid string) message {
	c.t.Helper()
	return c.find(func(m message) bool { return m.Rmid() == mid })
}

// call sends a message and takes its answer.
func (c *client) call(o object) message {
	c.t.Helper()
	return c.answer(c.send(o))
}

// fence returns when the node has handled everything that this client sent.
func (c *client) fence() {
	c.t.Helper()
	if pong := c.call(object{"to": "hydra-router:/", "typ": "ping", "bdy": "p"}); pong.Type() != "pong" {
		c.t.Fatalf("the ping is answered with %s", pong.Raw)
	}
}

// quiet fails if the node has answered anything that no test took.
func (c *client) quiet() {
	c.t.Helper()
	c.fence()
	for _, m := range c.Inbox() {
		c.t.Errorf("an answer to what needs none: %.300s", m.Raw)
	}
}

// closed waits for the end and returns the close code.
func (c *client) closed() (int, string) {
	c.t.Helper()
	code, reason, err := c.Closed(context.WithoutCancel(c.t.Context()))
	if err != nil {
		c.t.Fatal(err)
	}
	return code, reason
}

// wantErrorAndClose checks HYDRA's "error, close".
func (c *client) wantErrorAndClose(prefix, suffix string) message {
	c.t.Helper()
	m := c.next()
	if text := m.Error(); !strings.HasPrefix(text, prefix) || !strings.HasSuffix(text, suffix) {
		c.t.Errorf("error %q, want %q … %q", text, prefix, suffix)
	}
	if want := c.Router + "@hydra-router:/"; m.To() != "client:/" || m.From() != want {
		c.t.Errorf("the error goes to %q from %q, want client:/ from %s", m.To(), m.From(), want)
	}
	if code, reason := c.closed(); code < 1000 {
		c.t.Errorf("no close frame after the error: %s", reason)
	}
	return m
}

// wantError checks an answer that is an error, on a connection that stays.
func (c *client) wantError(m message, text string) {
	c.t.Helper()
	if m.Error() == "" || text != "" && m.Error() != text {
		c.t.Errorf("answer %s, want the error %q", m.Raw, text)
	}
	c.fence()
}

// want compares string fields: names and values in turn.
func want(t *testing.T, m message, fields ...string) {
	t.Helper()
	for i := 0; i+1 < len(fields); i += 2 {
		if got := m.Text(fields[i]); got != fields[i+1] {
			t.Errorf("%s is %q, want %q, in %.400s", fields[i], got, fields[i+1], m.Raw)
		}
	}
}

// unique makes a name that no other test uses.
func unique(t *testing.T) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	return fmt.Sprintf("%.40s-%04x", name, harness.Rand(t.Name()).IntN(1<<16))
}
