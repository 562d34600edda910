package protocol

import "fmt"

// Code says what is wrong in an error message: bdy.code. The set is closed; its
// words are also the values of a metric's label.
type Code uint8

const (
	CodeInvalid        Code = iota // no UMF message, or mid or from is too long
	CodeUnsigned                   // no signature where one is required
	CodeSignature                  // a wrong one, or one that is too old or was seen before
	CodeForbidden                  // the sender may not say that: from is the router's
	CodeAddress                    // to or forward is no address
	CodeUnrecognized               // nothing that the router knows
	CodeNoInstances                // no instance of the service runs
	CodeNoQueue                    // the service has registered no work queue
	CodeUnknownSession             // no session has that id
	CodeUnavailable                // the node has no connection to NATS, or NATS said no
	CodeOverload                   // too much is under way
	CodeTimeout                    // no answer in time; the work may have been done
	CodeTooLarge                   // NATS takes no message of that size
	CodeNotRoutable                // no route of the router API
	CodeResume                     // reconnect without an id, or with a bad seq
	CodeAck                        // ack of what was never sent, or without umf.ack.v1
	CodeDenied                     // the client may not do that
	CodeService                    // the service refuses; its own code, if it has one, is told instead

	numCodes
)

// NumCodes is the number of codes.
const NumCodes = int(numCodes)

var codeWords = [numCodes]string{
	CodeInvalid:        "invalid_message",
	CodeUnsigned:       "unsigned",
	CodeSignature:      "bad_signature",
	CodeForbidden:      "forbidden",
	CodeAddress:        "bad_address",
	CodeUnrecognized:   "unrecognized",
	CodeNoInstances:    "no_instances",
	CodeNoQueue:        "no_queue",
	CodeUnknownSession: "unknown_session",
	CodeUnavailable:    "unavailable",
	CodeOverload:       "overload",
	CodeTimeout:        "timeout",
	CodeTooLarge:       "too_large",
	CodeNotRoutable:    "not_routable",
	CodeResume:         "bad_resume",
	CodeAck:            "bad_ack",
	CodeDenied:         "denied",
	CodeService:        "service",
}

// String returns the word on the wire.
func (c Code) String() string {
	if c < numCodes {
		return codeWords[c]
	}
	return fmt.Sprintf("code_%d", uint8(c))
}

// Passes reports whether the same message may be taken a moment later.
func (c Code) Passes() bool { return c == CodeUnavailable || c == CodeOverload }
