package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/coder/websocket"
)

// Next takes the oldest message that nobody took yet, and waits for one.
func (c *Client) Next(ctx context.Context) (Message, error) {
	return c.Find(ctx, func(Message) bool { return true })
}

// Find takes the oldest message that matches, and waits for one. Those that
// do not match stay for later calls.
func (c *Client) Find(ctx context.Context, match func(Message) bool) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		c.mu.Lock()
		at := slices.IndexFunc(c.inbox, match)
		if at >= 0 {
			m := c.inbox[at]
			c.inbox = slices.Delete(c.inbox, at, at+1)
			c.mu.Unlock()
			return m, nil
		}
		end, changed := c.end, c.changed
		c.mu.Unlock()
		if end != nil {
			return Message{}, end
		}
		if c.manual {
			c.readOne(ctx)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("harness: no such message: %w; in the inbox: %s", context.Cause(ctx), c.summary())
		}
	}
}

// Inbox takes everything that came and that nobody took.
func (c *Client) Inbox() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.inbox
	c.inbox = nil
	return all
}

func (c *Client) summary() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strconv.Itoa(len(c.inbox)) + " messages"
	for _, m := range c.inbox[:min(len(c.inbox), 5)] {
		text += fmt.Sprintf("\n\t%.300s", m.Raw)
	}
	return text
}

// read moves messages from the socket to the inbox until the socket ends.
func (c *Client) read() {
	defer close(c.stopped)
	for c.readOne(c.reading) {
	}
}

func (c *Client) readOne(ctx context.Context) bool {
	_, raw, err := c.conn.Read(ctx)
	var m Message
	if err == nil {
		m, err = Parse(raw)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.end = fmt.Errorf("harness: client: %w", err)
	} else {
		c.inbox = append(c.inbox, m)
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return err == nil
}

// Closed waits for the end of the connection and returns the close code and
// reason that the server gave; -1 when it ended without a close frame.
func (c *Client) Closed(ctx context.Context) (code int, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		c.mu.Lock()
		end, changed := c.end, c.changed
		c.mu.Unlock()
		if end != nil {
			code, reason := CloseCode(end)
			return code, reason, nil
		}
		if c.manual {
			c.readOne(ctx)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, "", fmt.Errorf("harness: the server does not close: %w", context.Cause(ctx))
		}
	}
}

// Receive takes the next message of a Manual client, however long it takes:
// only the end of the connection ends it.
func (c *Client) Receive() (Message, error) {
	for {
		c.mu.Lock()
		if len(c.inbox) > 0 {
			m := c.inbox[0]
			c.inbox = slices.Delete(c.inbox, 0, 1)
			c.mu.Unlock()
			return m, nil
		}
		end := c.end
		c.mu.Unlock()
		if end != nil {
			return Message{}, end
		}
		c.readOne(c.reading)
	}
}

// CloseCode returns the code of the close frame that ended the connection,
// with its reason; -1 when there was none.
func CloseCode(err error) (int, string) {
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return int(closed.Code), closed.Reason
	}
	if err == nil {
		return -1, ""
	}
	return -1, err.Error()
}
