package client

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"hydrant/umf"
)

// An Error is what a node or a service says of a message, or why the client has ended.
// [errors.Is] compares codes.
type Error struct {
	Code  string        // PROTOCOL.md has those of nodes; else that of the close, or one of the errors below
	Text  string        // for people
	Retry time.Duration // after which it may be tried again, if the node said so
}

func (e *Error) Error() string {
	if _, err := strconv.Atoi(e.Code); err == nil {
		return fmt.Sprintf("the node closed the connection: %s %s", e.Code, e.Text)
	}
	if e.Text == "" {
		return e.Code
	}
	return fmt.Sprintf("%s (%s)", e.Text, e.Code)
}

// Is reports whether target is an [Error] of the same code.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

var (
	// ErrClosed: Close was called before the message was written.
	ErrClosed error = &Error{Code: "closed", Text: "the client is closed"}
	// ErrDuplicate: a message with this mid has no outcome yet.
	ErrDuplicate error = &Error{Code: "duplicate", Text: "a message with this mid is under way"}
	// ErrFull: as much as [Options] allow has no outcome yet.
	ErrFull error = &Error{Code: "full", Text: "too much has no outcome yet"}
	// ErrInvalid: the message cannot be one, or the client's signature failed.
	ErrInvalid error = &Error{Code: "invalid", Text: "not a message"}
	// ErrUnknown: it was written, and whether it arrived will not be known.
	ErrUnknown error = &Error{Code: "unknown", Text: "the connection was lost before it was accepted"}
)

// failure reads the body of an error. A node of the first edition gives no code.
func failure(m *umf.Message) (e *Error, whole bool) {
	var body struct {
		Error any    `json:"error"`
		Code  string `json:"code"`
		Retry float64
	}
	whole = json.Unmarshal(m.Body, &body) == nil && body.Code != ""
	e = &Error{Code: body.Code, Retry: milliseconds(body.Retry)}
	if e.Code == "" {
		e.Code = "error"
	}
	if text, ok := body.Error.(string); ok {
		e.Text = text
	}
	return e, whole
}

// milliseconds is a duration, of at most some weeks.
func milliseconds(n float64) time.Duration {
	const most = 1 << 31
	return time.Duration(min(max(n, 0), most)) * time.Millisecond
}
