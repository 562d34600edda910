package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/coder/websocket"

	"hydrant/umf"
)

// clientInbox bounds the messages that a tool's client has not looked at yet.
// Beyond it the client stops reading, and its session falls behind.
const clientInbox = 1024

// client is a small UMF client for the tools: what an application would write.
type client struct {
	conn  *websocket.Conn
	inbox chan *umf.Message
	done  chan struct{} // closed when reading has ended
	err   error         // why; set before done is closed

	router string // address of the node's own messages, as the first one has it
	id     string // session id
	token  string // resume secret
	secret string // signs what is sent, if not empty
}

// welcome is the body of the connection message.
type welcome struct {
	ID      string `json:"id"`
	Token   string `json:"token"`
	Resumed *bool  `json:"resumed"`
	Why     string `json:"why"`
}

// dial connects and waits for the welcome.
func dial(ctx context.Context, url, secret string) (*client, error) {
	conn, refusal, err := websocket.Dial(ctx, url, nil)
	if err != nil && refusal != nil {
		text, _ := io.ReadAll(refusal.Body) // the library has read it, up to 1 KiB
		return nil, fmt.Errorf("%s refuses: %s: %s", url, refusal.Status, bytes.TrimSpace(text))
	}
	if err != nil {
		return nil, fmt.Errorf("no node at %s: %w", url, err)
	}
	conn.SetReadLimit(64 << 20)
	c := &client{conn: conn, secret: secret, inbox: make(chan *umf.Message, clientInbox), done: make(chan struct{})}
	go c.read()
	if _, err := c.welcomed(ctx); err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

func (c *client) read() {
	defer close(c.done)
	for {
		_, text, err := c.conn.Read(context.Background())
		if err != nil {
			c.err = err
			return
		}
		msg := new(umf.Message)
		if err := json.Unmarshal(text, msg); err != nil {
			c.err = fmt.Errorf("the node sent no UMF: %w", err)
			return
		}
		c.inbox <- msg
	}
}

// next returns the next message.
func (c *client) next(ctx context.Context) (*umf.Message, error) {
	select {
	case msg := <-c.inbox:
		return msg, nil
	default:
	}
	select {
	case msg := <-c.inbox:
		return msg, nil
	case <-c.done:
		return nil, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// welcomed waits for a connection message and takes id and token from it.
func (c *client) welcomed(ctx context.Context) (welcome, error) {
	var w welcome
	msg, err := c.next(ctx)
	if err != nil && ctx.Err() == nil {
		return w, whyClosed(err)
	}
	if err != nil {
		return w, err
	}
	if c.router == "" {
		c.router = msg.From
	}
	if msg.Type != "connection" || msg.From != c.router { // others may say what they like
		return w, fmt.Errorf("expected a connection message of the node, got type %q from %s: %s", msg.Type, msg.From, msg.Body)
	}
	if err := json.Unmarshal(msg.Body, &w); err != nil {
		return w, err
	}
	c.id = w.ID
	if w.Token != "" {
		c.token = w.Token
	}
	return w, nil
}

// address is how others reach this client.
func (c *client) address() string { return c.id + "@client:/" }

// send writes one message, signed if there is a secret.
func (c *client) send(ctx context.Context, msg *umf.Message) error {
	if c.secret != "" {
		if err := msg.Sign(c.secret); err != nil {
			return err
		}
	}
	text, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	return c.conn.Write(ctx, websocket.MessageText, text)
}

// compose makes a message from this client.
func (c *client) compose(to string, body any) (*umf.Message, error) {
	return umf.New(to, c.address(), body)
}

// post composes and sends.
func (c *client) post(ctx context.Context, to string, body any) (*umf.Message, error) {
	msg, err := c.compose(to, body)
	if err != nil {
		return nil, err
	}
	return msg, c.send(ctx, msg)
}

// resume asks for an older session on this connection. Its attempt is the time, so
// that it grows from one process to the next.
func (c *client) resume(ctx context.Context, id, token string) (welcome, error) {
	body := map[string]any{"id": id, "attempt": time.Now().UnixMilli()}
	if token != "" {
		body["token"] = token
	}
	msg, err := c.compose("hydra-router:/", body)
	if err != nil {
		return welcome{}, err
	}
	msg.Type = "reconnect"
	if err := c.send(ctx, msg); err != nil {
		return welcome{}, err
	}
	return c.welcomed(ctx)
}

// await waits for a message that accept takes, and drops those before it.
func (c *client) await(ctx context.Context, accept func(*umf.Message) bool) (*umf.Message, error) {
	for {
		msg, err := c.next(ctx)
		if err != nil || accept(msg) {
			return msg, err
		}
	}
}

// close ends the connection properly.
func (c *client) close() {
	if err := c.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		c.drop()
	}
	c.drainInbox()
}

// drop cuts the connection, as a lost network does.
func (c *client) drop() {
	_ = c.conn.CloseNow() // it is to be gone either way
	c.drainInbox()
}

// drainInbox lets the reader end even if nobody looks at its messages.
func (c *client) drainInbox() {
	for {
		select {
		case <-c.inbox:
		case <-c.done:
			return
		}
	}
}

// closedBy returns the close code that ended the connection, 0 if none did.
func closedBy(err error) int {
	var e websocket.CloseError
	if errors.As(err, &e) {
		return int(e.Code)
	}
	return 0
}

// whyClosed is what the node said when it closed the connection, or else err.
func whyClosed(err error) error {
	var e websocket.CloseError
	if errors.As(err, &e) {
		return fmt.Errorf("the node closed the connection: %d %s", int(e.Code), e.Reason)
	}
	return fmt.Errorf("connection lost: %w", err)
}

// patience bounds a step that should take milliseconds.
const patience = 10 * time.Second
