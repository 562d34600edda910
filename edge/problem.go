package edge

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/umf"
)

// Codes of the errors that clients get: DESIGN §3.5.
const (
	codeInvalid        = "invalid_message"
	codeUnsigned       = "unsigned"
	codeSignature      = "bad_signature"
	codeAddress        = "bad_address"
	codeUnrecognized   = "unrecognized"
	codeNoInstances    = "no_instances"
	codeUnknownSession = "unknown_session"
	codeUnavailable    = "unavailable"
	codeOverload       = "overload"
	codeTimeout        = "timeout"
	codeTooLarge       = "too_large"
	codeNotRoutable    = "not_routable"
	codeResume         = "bad_resume"
	codeAck            = "bad_ack"
)

// problemCodes lists all of them, for the metric's label.
var problemCodes = [...]string{codeInvalid, codeUnsigned, codeSignature, codeAddress, codeUnrecognized,
	codeNoInstances, codeUnknownSession, codeUnavailable, codeOverload, codeTimeout, codeTooLarge,
	codeNotRoutable, codeResume, codeAck}

// fail tells a client that one message was not taken. The connection stays.
func (c *client) fail(rmid []byte, code, text string) {
	c.w.node.m.errors.with(code).Inc()
	body := umf.AppendString(append(make([]byte, 0, len(text)+64), `{"error":`...), text)
	body = umf.AppendString(append(body, `,"code":`...), code)
	body = append(body, '}')
	c.reply(outError, outgoing{to: "client:/", rmid: rmid, typ: "error", body: body})
}

// refuse tells a client what is wrong and closes the connection.
func (c *client) refuse(rmid []byte, code, text string) {
	c.fail(rmid, code, text)
	c.close(closePolicy, code)
}

// failStore tells a client that NATS did not take its message.
func (c *client) failStore(rmid []byte, err error) {
	switch {
	case errors.Is(err, bus.ErrOverload), errors.Is(err, errBusy):
		c.fail(rmid, codeOverload, "Messaging is overloaded")
	case errors.Is(err, nats.ErrMaxPayload):
		c.fail(rmid, codeTooLarge, "Message is too large")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		c.fail(rmid, codeTimeout, "Message was not confirmed as stored")
	default:
		c.w.node.log.Warn("message not stored", "error", err)
		c.fail(rmid, codeUnavailable, "Message could not be stored")
	}
}

// failCall tells a client that what it asked for is not known now.
func (c *client) failCall(rmid []byte, err error) {
	if errors.Is(err, errBusy) {
		c.fail(rmid, codeOverload, "Messaging is overloaded")
		return
	}
	c.fail(rmid, codeUnavailable, "Not available now")
}

// sanitize makes a part of a client's message fit for an error text and a log
// line: valid UTF-8 without control characters.
func sanitize(p []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(string(p), "."))
}
