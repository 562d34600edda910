package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"

	"hydrant/edge/client"
	"hydrant/umf"
)

// tour is the two clients that walk through the demo.
type tour struct {
	d       *demo
	first   *client.Client
	second  *client.Client
	cable   cable               // of the first
	resumed chan client.Session // of the first
}

// cable is a network that can be pulled out, and put in elsewhere.
type cable struct {
	mu    sync.Mutex
	ports []string // that it leads to
	conn  net.Conn
}

var errNoNetwork = errors.New("the network is gone")

func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, port, _ := net.SplitHostPort(address); !slices.Contains(c.ports, port) {
		return nil, errNoNetwork
	}
	var err error
	c.conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
	return c.conn, err
}

func (c *cable) plug(nodes ...*demoNode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ports = nil
	for _, n := range nodes {
		c.ports = append(c.ports, n.port)
	}
}

func (c *cable) pull() {
	c.plug()
	_ = c.conn.Close() // gone already is gone, too
}

func (t *tour) close() {
	for _, c := range []*client.Client{t.first, t.second} {
		if c != nil {
			c.Close()
		}
	}
}

func (t *tour) connect(ctx context.Context) (_ string, err error) {
	t.resumed = make(chan client.Session, 16)
	t.cable.plug(t.d.nodes[0])
	t.first, err = client.Dial(ctx, client.Options{
		URLs:       []string{t.d.nodes[0].url, t.d.nodes[1].url}, // in turn
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: t.cable.dial, DisableKeepAlives: true}},
		OnSession: func(s client.Session) {
			if s.Resumed {
				t.resumed <- s
			}
		},
	})
	if err != nil {
		return "", err
	}
	return "session " + t.first.Session().ID, nil
}

func address(c *client.Client) string { return c.Session().ID + "@client:/" }

// exchange asks for something, and wants it back.
func exchange(ctx context.Context, c *client.Client, to string, body any, want string) (string, error) {
	answer, err := c.Request(ctx, client.Message{To: to, Body: body})
	if err != nil {
		return "", err
	}
	if string(answer.Body) != want {
		return "", fmt.Errorf("answer %s", answer.Body)
	}
	return "answer from " + answer.From + ": " + want, nil
}

func (t *tour) ask(ctx context.Context) (string, error) {
	return exchange(ctx, t.first, "echo:/", map[string]string{"hello": "service"}, `{"hello":"service"}`)
}

func (t *tour) call(ctx context.Context) (string, error) {
	return exchange(ctx, t.first, "echo:[GET]/v1/echo", map[string]int{"n": 1}, `{"n":1}`)
}

func (t *tour) across(ctx context.Context) (_ string, err error) {
	if t.second, err = client.Dial(ctx, client.Options{URLs: []string{t.d.nodes[1].url, t.d.nodes[0].url}}); err != nil {
		return "", err
	}
	return pass(ctx, t.first, t.second, "hello, other node")
}

func (t *tour) back(ctx context.Context) (string, error) {
	return pass(ctx, t.second, t.first, "hello to you")
}

// pass sends a text from one client to another.
func pass(ctx context.Context, from, to *client.Client, text string) (string, error) {
	if err := from.Send(ctx, client.Message{To: address(to), Body: text}); err != nil {
		return "", err
	}
	got, err := to.Receive(ctx)
	if err != nil {
		return "", err
	}
	got.Done()
	if string(got.Body) != `"`+text+`"` {
		return "", fmt.Errorf("got %s", got.Body)
	}
	return "received " + string(got.Body), nil
}

func (t *tour) signed(context.Context) (string, error) {
	msg, err := umf.New("echo:/", address(t.first), map[string]int{"amount": 10})
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
	msg.Body = []byte(`{"amount":1000}`)
	if msg.Verify(demoSecret) == nil {
		return "", errors.New("a changed body was not noticed")
	}
	return "sig " + signature[:16] + "… (nodes demand it with EDGE_SIGNATURE=required)", nil
}

func (t *tour) missing(ctx context.Context) (string, error) {
	err := t.first.Send(ctx, client.Message{To: "nobody:/", Body: map[string]int{"n": 1}})
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Text != "No nobody instances available" {
		return "", fmt.Errorf("answer %w", err)
	}
	return refused.Text, nil
}

func (t *tour) away(ctx context.Context) (string, error) {
	t.cable.pull()
	for n := 1; n <= 100; n++ {
		if err := t.second.Send(ctx, client.Message{To: address(t.first), Body: n}); err != nil {
			return "", err
		}
	}
	return "sent to " + t.first.Session().ID, nil
}

func (t *tour) resume(ctx context.Context) (string, error) {
	t.cable.plug(t.d.nodes[1])
	if err := t.again(ctx); err != nil {
		return "", err
	}
	for n := 1; n <= 100; n++ {
		got, err := t.first.Receive(ctx)
		if err != nil {
			return "", fmt.Errorf("instead of message %d: %w", n, err)
		}
		got.Done()
		if string(got.Body) != fmt.Sprint(n) {
			return "", fmt.Errorf("message %d has body %s", n, got.Body)
		}
	}
	return "100 messages", nil
}

// again waits until the first client has its session again, which needs nobody's help.
func (t *tour) again(ctx context.Context) error {
	select {
	case <-t.resumed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// failover kills the node that both clients are on.
func (t *tour) failover(ctx context.Context) (string, error) {
	t.cable.plug(t.d.nodes...)
	t.d.nodes[1].kill()
	if err := t.again(ctx); err != nil {
		return "", err
	}
	answer, err := exchange(ctx, t.first, "echo:/", map[string]string{"still": "here"}, `{"still":"here"}`)
	if err != nil {
		return "", err
	}
	return "resumed " + t.first.Session().ID + "\n    " + answer, nil
}
