package shard

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/nats-io/nats.go"

	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// fail tells a client that one message was not taken. The connection stays.
func (c *Client) fail(rmid []byte, code protocol.Code, text string) {
	c.s.node.Metrics.Errors.Inc(code)
	body := protocol.AppendError(make([]byte, 0, len(text)+64), code, text)
	if c.second && code.Passes() {
		body = protocol.AppendRetry(body, rand.N(retrySpread))
	}
	c.reply(stats.OutError, protocol.Message{To: protocol.AnyClient, RMid: rmid, Type: protocol.TypeError, Body: body})
}

// refuse tells a client what is wrong and closes the connection.
func (c *Client) refuse(rmid []byte, code protocol.Code, text string) {
	c.fail(rmid, code, text)
	c.close(protocol.ClosePolicy, code.String())
}

// failStore tells a client that NATS did not take its message, or may have: what was
// not confirmed can be stored, and delivered, at any time.
func (c *Client) failStore(rmid []byte, err error) {
	switch {
	case errors.Is(err, store.ErrOverload), errors.Is(err, errBusy):
		c.fail(rmid, protocol.CodeOverload, "Messaging is overloaded")
	case errors.Is(err, nats.ErrMaxPayload):
		c.fail(rmid, protocol.CodeTooLarge, "Message is too large")
	case errors.Is(err, egress.ErrUnproved):
		c.fail(rmid, protocol.CodeTimeout, "It is not known whether the message was taken")
	case errors.Is(err, store.ErrUnconfirmed), errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		c.fail(rmid, protocol.CodeTimeout, "Message was not confirmed as stored")
	default:
		c.s.node.Log.Warn("message not stored", "error", err)
		c.fail(rmid, protocol.CodeUnavailable, "Message could not be stored")
	}
}

// failCall tells a client that an answer cannot be had now.
func (c *Client) failCall(rmid []byte, err error) {
	if errors.Is(err, errBusy) {
		c.fail(rmid, protocol.CodeOverload, "Messaging is overloaded")
		return
	}
	c.fail(rmid, protocol.CodeUnavailable, "Not available now")
}
