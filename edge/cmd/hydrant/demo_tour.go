package main

import (
	"context"
	"encoding/json"
	"fmt"

	"hydrant/umf"
)

// tour is the two clients that walk through the demo.
type tour struct {
	d      *demo
	first  *client
	second *client
	lost   *client // how the first client was known before its connection dropped
}

func (t *tour) close() {
	for _, c := range []*client{t.first, t.second} {
		if c != nil {
			c.close()
		}
	}
}

func (t *tour) connect(ctx context.Context) (string, error) {
	c, err := dial(ctx, t.d.nodes[0].url, "")
	if err != nil {
		return "", err
	}
	t.first = c
	return "session " + c.id, nil
}

// exchange sends a message and waits for its answer.
func exchange(ctx context.Context, c *client, to string, body any) (*umf.Message, error) {
	msg, err := c.post(ctx, to, body)
	if err != nil {
		return nil, err
	}
	return c.await(ctx, func(m *umf.Message) bool { return m.Rmid == msg.Mid })
}

func (t *tour) ask(ctx context.Context) (string, error) {
	answer, err := exchange(ctx, t.first, "echo:/", map[string]string{"hello": "service"})
	if err != nil {
		return "", err
	}
	if string(answer.Body) != `{"hello":"service"}` {
		return "", fmt.Errorf("answer %s", answer.Body)
	}
	return "answer from " + answer.From + ": " + string(answer.Body), nil
}

func (t *tour) call(ctx context.Context) (string, error) {
	answer, err := exchange(ctx, t.first, "echo:[GET]/v1/echo", map[string]int{"n": 1})
	if err != nil {
		return "", err
	}
	if string(answer.Body) != `{"n":1}` {
		return "", fmt.Errorf("answer %s", answer.Body)
	}
	return "answer from " + answer.From + ": " + string(answer.Body), nil
}

func (t *tour) across(ctx context.Context) (string, error) {
	c, err := dial(ctx, t.d.nodes[1].url, "")
	if err != nil {
		return "", err
	}
	t.second = c
	return t.pass(ctx, t.first, t.second, `"hello, other node"`)
}

func (t *tour) back(ctx context.Context) (string, error) {
	return t.pass(ctx, t.second, t.first, `"hello to you"`)
}

// pass sends a message from one client to another.
func (t *tour) pass(ctx context.Context, from, to *client, body string) (string, error) {
	msg, err := from.compose("hydra-router:/", json.RawMessage(body))
	if err != nil {
		return "", err
	}
	msg.Forward = to.address()
	if err := from.send(ctx, msg); err != nil {
		return "", err
	}
	got, err := to.next(ctx)
	if err != nil {
		return "", err
	}
	if got.Mid != msg.Mid || string(got.Body) != body {
		return "", fmt.Errorf("got mid %s with %s", got.Mid, got.Body)
	}
	return "received " + string(got.Body), nil
}

func (t *tour) signed(context.Context) (string, error) {
	msg, err := t.first.compose("echo:/", map[string]int{"amount": 10})
	if err != nil {
		return "", err
	}
	if err := msg.Sign(demoSecret); err != nil {
		return "", err
	}
	if err := msg.Verify(demoSecret); err != nil {
		return "", fmt.Errorf("own signature: %w", err)
	}
	signature := msg.Signature
	msg.Body = json.RawMessage(`{"amount":1000}`)
	if msg.Verify(demoSecret) == nil {
		return "", fmt.Errorf("a changed body was not noticed")
	}
	return "sig " + signature[:16] + "… (nodes demand it with EDGE_SIGNATURE=required)", nil
}

func (t *tour) missing(ctx context.Context) (string, error) {
	answer, err := exchange(ctx, t.first, "nobody:/", map[string]int{"n": 1})
	if err != nil {
		return "", err
	}
	var body struct{ Error string }
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return "", err
	}
	if body.Error != "No nobody instances available" {
		return "", fmt.Errorf("answer %s", answer.Body)
	}
	return body.Error, nil
}

func (t *tour) away(ctx context.Context) (string, error) {
	t.lost, t.first = t.first, nil
	t.lost.drop()
	for n := 1; n <= 100; n++ {
		msg, err := t.second.compose("hydra-router:/", n)
		if err != nil {
			return "", err
		}
		msg.Forward = t.lost.address()
		if err := t.second.send(ctx, msg); err != nil {
			return "", err
		}
	}
	// The node answers in order: when this comes back it has taken all of them.
	if _, err := exchange(ctx, t.second, "echo:/", map[string]int{"n": 100}); err != nil {
		return "", err
	}
	return "sent to " + t.lost.id, nil
}

func (t *tour) resume(ctx context.Context) (string, error) {
	c, err := t.reconnect(ctx, t.d.nodes[1])
	if err != nil {
		return "", err
	}
	for n := 1; n <= 100; n++ {
		msg, err := c.next(ctx)
		if err != nil {
			return "", fmt.Errorf("instead of message %d: %w", n, err)
		}
		if string(msg.Body) != fmt.Sprint(n) {
			return "", fmt.Errorf("message %d has body %s", n, msg.Body)
		}
	}
	return "100 messages", nil
}

// reconnect brings the lost client back on a node.
func (t *tour) reconnect(ctx context.Context, n *demoNode) (*client, error) {
	c, err := dial(ctx, n.url, "")
	if err != nil {
		return nil, err
	}
	t.first = c
	w, err := c.resume(ctx, t.lost.id, t.lost.token)
	if err != nil {
		return nil, err
	}
	if w.Resumed == nil || !*w.Resumed || w.ID != t.lost.id {
		return nil, fmt.Errorf("not resumed: %+v", w)
	}
	c.token = t.lost.token
	return c, nil
}

// failover kills the node that both clients are on.
func (t *tour) failover(ctx context.Context) (string, error) {
	t.d.nodes[1].kill()
	var err error
	for err == nil {
		_, err = t.first.next(ctx)
	}
	if code := closedBy(err); code != 0 {
		return "", fmt.Errorf("connection ended with close %d, as if the node had been alive", code)
	}
	t.lost = t.first
	if _, err := t.reconnect(ctx, t.d.nodes[0]); err != nil {
		return "", err
	}
	answer, err := exchange(ctx, t.first, "echo:/", map[string]string{"still": "here"})
	if err != nil {
		return "", err
	}
	return "resumed " + t.first.id + ", answer: " + string(answer.Body), nil
}
