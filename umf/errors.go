package umf

import (
	"errors"
	"strconv"
)

// Errors of signatures. The first two mean that the message must not be acted
// upon.
var (
	// ErrUnsigned is returned for a message without a signature.
	ErrUnsigned = errors.New("umf: message is not signed")

	// ErrBadSignature is returned when no key gives the signature that the
	// message carries, and for a message without mid or timestamp, which
	// nothing can sign.
	ErrBadSignature = errors.New("umf: signature does not match")

	// ErrNoSecret is returned when a message is to be signed with an empty
	// secret.
	ErrNoSecret = errors.New("umf: no secret to sign with")
)

// ErrExtra is the error, with the key added, for a member of Message.Extra
// that is not valid JSON or has the key of a field.
var ErrExtra = errors.New("umf: bad extra member")

// SyntaxError says where a text stops being a UMF message: not JSON, not
// UTF-8, not an object, or beyond a limit of this package. Its text never
// quotes the input.
type SyntaxError struct {
	Offset int    // of the first byte that is wrong, or the length of a text that ends too early
	Reason string // one short clause
}

func (e *SyntaxError) Error() string {
	return "umf: " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
}

// FieldError says which field of a message breaks the rules of UMF.
type FieldError struct {
	Field  Field
	Reason string // one short clause
}

func (e *FieldError) Error() string {
	return "umf: " + e.Field.Long() + " " + e.Reason
}

// fault is the reason of a SyntaxError while it is passed up through the
// scanner, where a string would cost a register more on every return.
type fault uint8

const (
	faultNone fault = iota
	faultEnd
	faultUTF8
	faultObject
	faultKey
	faultColon
	faultObjectNext
	faultArrayNext
	faultValue
	faultLiteral
	faultNumber
	faultControl
	faultEscape
	faultDepth
	faultTrailing
	faultLength
)

var faultReasons = [...]string{
	faultEnd:        "text ends too early",
	faultUTF8:       "text is not UTF-8",
	faultObject:     "a message must be a JSON object",
	faultKey:        "a key in quotes is missing",
	faultColon:      "a colon after the key is missing",
	faultObjectNext: "a comma or closing brace is missing",
	faultArrayNext:  "a comma or closing bracket is missing",
	faultValue:      "no value can start like this",
	faultLiteral:    "not true, false or null",
	faultNumber:     "not a JSON number",
	faultControl:    "raw control character in a string",
	faultEscape:     "not a JSON escape",
	faultDepth:      "nested too deep",
	faultTrailing:   "something follows the message",
	faultLength:     "text is too long",
}

func (f fault) at(offset int) error {
	return &SyntaxError{Offset: offset, Reason: faultReasons[f]}
}
