package protocol

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Close is a reason of the node for closing a connection. The set is closed,
// since it is also the label of a metric; the codes that the connection layer
// sends by itself (RFC 6455 is violated, a limit is passed) are not in it.
type Close uint8

const (
	CloseGoingAway   Close = iota // the node stops
	ClosePolicy                   // an error that closes, or too many failed resumes
	CloseRestart                  // the node drains or the connection is old: come back
	CloseOverload                 // no room, or something was not ready in time
	CloseUnauthentic              // no valid token, or it has expired
	CloseRate                     // more from one user or address than is allowed
	CloseSlow                     // the client does not read
	CloseTakenOver                // another connection has the session

	numCloses
)

// NumCloses is the number of Close values.
const NumCloses = int(numCloses)

// closeCodes are the codes on the wire: RFC 6455 §7.4.1 and IANA's registry,
// and from 4000 on our own. From 4500 on a client does not come back by itself.
var closeCodes = [numCloses]int{
	CloseGoingAway:   1001,
	ClosePolicy:      1008,
	CloseRestart:     1012,
	CloseOverload:    1013,
	CloseUnauthentic: 4401,
	CloseRate:        4408,
	CloseSlow:        4409,
	CloseTakenOver:   4501,
}

// Number returns the status code of the close frame.
func (c Close) Number() int { return closeCodes[c] }

// String returns the number as text, which is the metric's label.
func (c Close) String() string {
	if c < numCloses {
		return strconv.Itoa(closeCodes[c])
	}
	return fmt.Sprintf("close_%d", uint8(c))
}

// Returns reports whether the client is to come back to where it is, a little later.
func (c Close) Returns() bool {
	switch c {
	case CloseGoingAway, CloseRestart, CloseOverload, CloseRate, CloseSlow:
		return true
	}
	return false
}

// maxReason is what a close frame has room for (RFC 6455 §5.5).
const maxReason = 123

// Reason adds to the reason beside a close code, for programs, when a client of the
// second edition may come back. What it ends in is never cut.
func Reason(text string, after time.Duration) string {
	end := " retry=" + strconv.FormatInt(after.Milliseconds(), 10)
	for len(text)+len(end) > maxReason {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return text + end
}

// RetryAfter is the reason beside a close code that tells a client when to come
// back. Each client is given another time, or all would return at once.
func RetryAfter(d time.Duration) string {
	return "retry after " + strconv.FormatInt(d.Milliseconds(), 10) + " ms"
}
