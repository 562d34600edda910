package scheme

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
)

// Errors of the name rules. Every builder of a subject returns one of them
// instead of a subject when a name does not fit, so that nothing a client
// wrote can become a wildcard, a further token, or another scheme's subject.
var (
	// ErrBadSID: not 26 characters of [a-z2-7].
	ErrBadSID = errors.New("bus: invalid session id")
	// ErrBadNode: not 32 lower-case hex digits.
	ErrBadNode = errors.New("bus: invalid node id")
	// ErrBadService: not [A-Za-z0-9_-]{1,64}.
	ErrBadService = errors.New("bus: invalid service name")
	// ErrBadInstance: not [A-Za-z0-9_-]{1,64}.
	ErrBadInstance = errors.New("bus: invalid instance id")
	// ErrBadEvent: not one of the session events.
	ErrBadEvent = errors.New("bus: invalid session event")
	// ErrBadRequestID: not [A-Za-z0-9_-]{1,64}.
	ErrBadRequestID = errors.New("bus: invalid request id")
	// ErrMidTooLong: the JSON text of a mid is over MaxMid bytes.
	ErrMidTooLong = errors.New("bus: message id too long")
	// ErrBadSubject: a subject that is not of the form a parser asks for.
	ErrBadSubject = errors.New("bus: subject is not of this scheme")
)

const (
	// SIDLen is the length of a session id: 26 × 5 bits.
	SIDLen = 26
	// NodeIDLen is the length of a node id in hex digits.
	NodeIDLen = 32
	// MaxName bounds service names, instance ids and request ids.
	MaxName = 64
	// MaxMid bounds the raw JSON text of a mid that is encoded into a reply
	// subject; with it the longest subject of the scheme stays under 300 bytes.
	MaxMid = 128
)

// sidAlphabet has 32 characters that are all safe in a subject token, a
// consumer name, a URL and an UMF address; it is the lower case of RFC 4648 §6.
const sidAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

// NewSID returns a fresh session id: 130 random bits. The first character
// chooses the mailbox stream, so it is as random as the rest.
func NewSID() string {
	var b [SIDLen]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand since Go 1.24
	for i := range b {
		b[i] = sidAlphabet[b[i]&31]
	}
	return string(b[:])
}

// ValidSID reports whether s is a session id by form.
func ValidSID(s string) bool {
	if len(s) != SIDLen {
		return false
	}
	for i := range len(s) {
		if !sidChar(s[i]) {
			return false
		}
	}
	return true
}

func sidChar(c byte) bool { return c >= 'a' && c <= 'z' || c >= '2' && c <= '7' }

// NewNodeID returns a fresh node id: 128 random bits in hex. A node takes a
// new one at every start, so that an id names one run of one process.
func NewNodeID() string {
	var b [NodeIDLen / 2]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// ValidNodeID reports whether s is a node id by form.
func ValidNodeID(s string) bool {
	if len(s) != NodeIDLen {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// ValidService reports whether s can be the name of a service.
func ValidService(s string) bool { return ValidName(s) }

// ValidInstance reports whether s can be the id of a service instance.
func ValidInstance(s string) bool { return ValidName(s) }

// ValidName is [A-Za-z0-9_-]{1,64}: what NATS micro takes as a name, and a
// subset of what is a single literal token in a subject.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// BadName says which name was refused, quoted and cut: names come from
// clients and may hold anything of any length.
func BadName(err error, s string) error {
	const most = 80
	if len(s) > most {
		s = s[:most]
	}
	return fmt.Errorf("%w: %q", err, s)
}
