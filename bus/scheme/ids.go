package scheme

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Errors of the name rules, which the parsers of names return. A name of one of
// the types below is one token of a subject by form: what a client wrote cannot
// become a wildcard, a further token, or a subject of another scheme.
var (
	// ErrBadSID: not 26 characters of [a-z2-7].
	ErrBadSID = errors.New("bus: invalid session id")
	// ErrBadNode: not 32 lower-case hex digits.
	ErrBadNode = errors.New("bus: invalid node id")
	// ErrBadService: not [A-Za-z0-9_-]{1,64}.
	ErrBadService = errors.New("bus: invalid service name")
	// ErrBadInstance: not [A-Za-z0-9_-]{1,64}.
	ErrBadInstance = errors.New("bus: invalid instance id")
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
	// MaxName bounds service names and instance ids.
	MaxName = 64
	// MaxMid bounds the raw JSON text of a mid that is encoded into a reply
	// subject; with it the longest subject of the scheme stays under 300 bytes.
	MaxMid = 128
)

// sidAlphabet has 32 characters that are all safe in a subject token, a
// consumer name, a URL and an UMF address; it is the lower case of RFC 4648 §6.
const sidAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

// SID is a session id. [ParseSID] and [NewSID] make one; the builders of subjects
// rely on its form. The zero value is no session, and in no subject.
type SID string

// NodeID is the id of a node. [ParseNodeID] and [NewNodeID] make one. The zero
// value is no node.
type NodeID string

// Service is the name of a service. [ParseService] makes one.
type Service string

// ClientService stands for the service in the addresses of sessions,
// <session>@client:/. No service may be called so.
const ClientService = "client"

// RouterService is the name by which nodes go, unless they are told another.
const RouterService = "hydra-router"

// Instance is the id of one instance of a service. [ParseInstance] and
// [NewInstance] make one.
type Instance string

// NewSID returns a fresh session id: 130 random bits. The first character
// chooses the mailbox stream, so it is as random as the rest.
func NewSID() SID {
	var b [SIDLen]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand since Go 1.24
	for i := range b {
		b[i] = sidAlphabet[b[i]&31]
	}
	return SID(b[:])
}

// NewSIDIn is NewSID for a session whose mailbox is in partition i of n.
func NewSIDIn(i, n int) SID {
	sid, chars := NewSID(), PartitionChars(i, n)
	c := strings.IndexByte(sidAlphabet, sid[0]) % len(chars)
	return SID(chars[c:c+1]) + sid[1:]
}

// Short stands for a session where its id must not: in logs, traces and lists. It is
// the first 8 hex digits of the id's SHA-256.
func (s SID) Short() string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// LogValue implements [slog.LogValuer]: a log has the short form, since the id is all
// that it takes to get some sessions.
func (s SID) LogValue() slog.Value { return slog.StringValue(s.Short()) }

// ParseSID checks a session id.
func ParseSID(s string) (SID, error) {
	if !validSID(s) {
		return "", badName(ErrBadSID, s)
	}
	return SID(s), nil
}

func validSID(s string) bool {
	if len(s) != SIDLen {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= '2' && c <= '7') {
			return false
		}
	}
	return true
}

// NewNodeID returns a fresh node id: 128 random bits in hex. A node takes a
// new one at every start, so that an id names one run of one process.
func NewNodeID() NodeID { return NodeID(randomHex()) }

// ParseNodeID checks a node id.
func ParseNodeID(s string) (NodeID, error) {
	if !validNodeID(s) {
		return "", badName(ErrBadNode, s)
	}
	return NodeID(s), nil
}

func validNodeID(s string) bool {
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

// ParseService checks the name of a service.
func ParseService(s string) (Service, error) {
	if !ValidName(s) {
		return "", badName(ErrBadService, s)
	}
	return Service(s), nil
}

// NewInstance returns a fresh id for an instance: 128 random bits in hex.
func NewInstance() Instance { return Instance(randomHex()) }

// ParseInstance checks the id of an instance.
func ParseInstance(s string) (Instance, error) {
	if !ValidName(s) {
		return "", badName(ErrBadInstance, s)
	}
	return Instance(s), nil
}

func randomHex() string {
	var b [NodeIDLen / 2]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

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

// badName says which name was refused, quoted and cut: names come from
// clients and may hold anything of any length.
func badName(err error, s string) error {
	const most = 80
	if len(s) > most {
		s = s[:most]
	}
	return fmt.Errorf("%w: %q", err, s)
}
