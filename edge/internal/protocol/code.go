package protocol

import "fmt"

// Code says what is wrong in an error message: bdy.code. The set is closed; its
// words are also the values of a metric's label.
type Code uint8

const (
	CodeInvalid        Code = iota // no UMF message, or mid or from is too long
	CodeUnsigned                   // no signature where one is required
	CodeSignature                  // a wrong one, or one that is too old or was seen before
	CodeAddress                    // to or forward is no address
	CodeUnrecognized               // nothing that the router knows
	CodeNoInstances                // no instance of the service runs
	CodeUnknownSession             // no session has that id
	CodeUnavailable                // the node has no connection to NATS, or NATS said no
	CodeOverload                   // too much is under way
	CodeTimeout                    // no answer in time; the work may have been done
	CodeTooLarge                   // NATS takes no message of that size
	CodeNotRoutable                // no route of the router API
	CodeResume                     // reconnect without an id, or with a bad seq
	CodeAck                        // ack of what was never sent, or without umf.ack.v1
	CodeDenied                     // the client may not do that

	numCodes
)

// NumCodes is the number of codes.
const NumCodes = int(numCodes)

var codeWords = [numCodes]string{
	CodeInvalid:        "invalid_message",
	CodeUnsigned:       "unsigned",
	CodeSignature:      "bad_signature",
	CodeAddress:        "bad_address",
	CodeUnrecognized:   "unrecognized",
	CodeNoInstances:    "no_instances",
	CodeUnknownSession: "unknown_session",
	CodeUnavailable:    "unavailable",
	CodeOverload:       "overload",
	CodeTimeout:        "timeout",
	CodeTooLarge:       "too_large",
	CodeNotRoutable:    "not_routable",
	CodeResume:         "bad_resume",
	CodeAck:            "bad_ack",
	CodeDenied:         "denied",
}

// String returns the word on the wire.
func (c Code) String() string {
	if c < numCodes {
		return codeWords[c]
	}
	return fmt.Sprintf("code_%d", uint8(c))
}
