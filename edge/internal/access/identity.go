package access

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Identity is who a client is, and until when that holds.
type Identity struct {
	Name    string    // "" if the client is let in without one
	Expires time.Time // zero: never
	Rules   string    // rule set of its own, as JSON; "": none
}

// ErrUnchecked: who a client is cannot be found out now. That is no refusal: the
// same client may be let in a moment later.
var ErrUnchecked = errors.New("access: cannot be checked now")

// maxName bounds a name: it goes with each message to a service.
const maxName = 1024

// carried reports whether a header of NATS carries a name unchanged, to readers in
// any language: they take white space off both ends, and a line has one end. A
// half of a surrogate pair is U+FFFD by now, and stands for many names.
func carried(name string) bool {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.TrimFunc(name, isBlank) != name {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
	})
}

// isBlank reports whether some language's trim takes a character off, or nobody sees
// it there.
func isBlank(r rune) bool {
	return unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point)
}

// Moments are counted in seconds of Unix time, up to a bound that the arithmetic of
// package time and of timers cannot overflow, however far away a moment is meant
// to be: milliseconds that are taken for seconds are 50,000 years away.
const maxMoment = math.MaxUint32

// moment is the time of a number of seconds of Unix time, as JSON. ok is false for
// another kind of value.
func moment(raw []byte) (at time.Time, ok bool) {
	var number json.Number
	if len(raw) == 0 || raw[0] == '"' || json.Unmarshal(raw, &number) != nil || number == "" {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(number.String(), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond it is infinity, which is only far
		return time.Time{}, false
	}
	return time.Unix(int64(math.Floor(min(max(seconds, -maxMoment), maxMoment))), 0), true
}
