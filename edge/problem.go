package edge

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// Conditions that clients are told about; protocol.Code has their words.
var (
	errTooLarge = errors.New("edge: message too large")
	errNotUMF   = errors.New("edge: to, frm or bdy is missing")
	errBusy     = errors.New("edge: too many operations under way")
)

// fail tells a client that one message was not taken. The connection stays.
func (c *client) fail(rmid []byte, code protocol.Code, text string) {
	c.w.node.m.Errors.Inc(code)
	body := protocol.AppendError(make([]byte, 0, len(text)+64), code, text)
	c.reply(stats.OutError, protocol.Message{To: protocol.AnyClient, RMid: rmid, Type: protocol.TypeError, Body: body})
}

// refuse tells a client what is wrong and closes the connection.
func (c *client) refuse(rmid []byte, code protocol.Code, text string) {
	c.fail(rmid, code, text)
	c.close(protocol.ClosePolicy, code.String())
}

// failStore tells a client that NATS did not take its message.
func (c *client) failStore(rmid []byte, err error) {
	switch {
	case errors.Is(err, bus.ErrOverload), errors.Is(err, errBusy):
		c.fail(rmid, protocol.CodeOverload, "Messaging is overloaded")
	case errors.Is(err, nats.ErrMaxPayload):
		c.fail(rmid, protocol.CodeTooLarge, "Message is too large")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		c.fail(rmid, protocol.CodeTimeout, "Message was not confirmed as stored")
	default:
		c.w.node.log.Warn("message not stored", "error", err)
		c.fail(rmid, protocol.CodeUnavailable, "Message could not be stored")
	}
}

// failCall tells a client that an answer cannot be had now.
func (c *client) failCall(rmid []byte, err error) {
	if errors.Is(err, errBusy) {
		c.fail(rmid, protocol.CodeOverload, "Messaging is overloaded")
		return
	}
	c.fail(rmid, protocol.CodeUnavailable, "Not available now")
}
