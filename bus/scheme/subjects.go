package scheme

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Prefixes of the scheme's subjects, which builders and parsers complete. Streams,
// permissions and wildcards are made of them. The version token allows a later
// scheme to run beside this one.
const (
	root           = "umf.v1."
	PrefixService  = root + "svc."
	PrefixInstance = root + "inst."
	PrefixOut      = root + "out."
	PrefixLive     = root + "live."
	PrefixReply    = root + "reply."
	PrefixRequest  = root + "req."
	PrefixNode     = root + "node."
	PrefixWork     = root + "work."
	PrefixEvent    = root + "evt.session."
	PrefixExpiry   = root + "expiry."
	PrefixGone     = root + "gone."
	PrefixCall     = root + "call."
	PrefixExists   = root + "exists."
	PrefixDead     = root + "dead."
)

// ServiceSubject is where a service's queue group listens.
func ServiceSubject(service Service) string { return PrefixService + string(service) }

// CallSubject is where a service takes calls of other services.
func CallSubject(service Service) string { return PrefixCall + string(service) }

// InstanceSubject is where one instance of a service listens.
func InstanceSubject(service Service, instance Instance) string {
	return PrefixInstance + string(service) + "." + string(instance)
}

// AddressSubject is where messages for an address go: to a service, or to one
// instance of it. It fails where a part is no name: [ErrBadService],
// [ErrBadInstance].
func AddressSubject(service, instance string) (string, error) {
	s, err := ParseService(service)
	if err != nil || instance == "" {
		return ServiceSubject(s), err
	}
	i, err := ParseInstance(instance)
	return InstanceSubject(s, i), err
}

// MailboxSubject is the mailbox of a session: what is published there is
// stored and reaches the session's client.
func MailboxSubject(sid SID) string { return sidSubject(PrefixOut, sid) }

// Ends of the subjects that a session's node listens to.
const (
	storedEnd = ".s"
	pushedEnd = ".p"
)

// LiveWildcard is what the node of a session subscribes to: [StoredSubject] and
// [PushedSubject].
func LiveWildcard(sid SID) string { return sidSubject(PrefixLive, sid) + ".*" }

// StoredSubject carries copies of what a mailbox has just stored. The mailbox's
// stream alone publishes there.
func StoredSubject(sid SID) string { return sidSubject(PrefixLive, sid) + storedEnd }

// PushedWildcard matches every [PushedSubject].
const PushedWildcard = PrefixLive + "*.*" + pushedEnd

// PushedSubject carries what services push past the mailbox, at most once.
func PushedSubject(sid SID) string { return sidSubject(PrefixLive, sid) + pushedEnd }

// ExpirySubject is where the message is published that becomes too old when a
// session may have expired. It needs no payload.
func ExpirySubject(sid SID) string { return sidSubject(PrefixExpiry, sid) }

func sidSubject(prefix string, sid SID) string { return prefix + string(sid[:1]) + "." + string(sid) }

// ReplySubject is the NATS reply subject of a client's message: publishing to
// it stores in the session's mailbox. mid is the raw JSON text of the UMF mid
// (with its quotes if it is a string), or empty; it is encoded into the last
// token, so that "no responders", which comes back on this subject and carries
// nothing else, can be answered with the right rmid. ErrMidTooLong: it is over
// MaxMid bytes.
func ReplySubject(node NodeID, sid SID, mid string) (string, error) {
	if len(mid) > MaxMid {
		return "", fmt.Errorf("%w: %d bytes", ErrMidTooLong, len(mid))
	}
	b := make([]byte, 0, len(PrefixReply)+NodeIDLen+SIDLen+6+base64.RawURLEncoding.EncodedLen(len(mid)))
	b = append(b, PrefixReply...)
	b = append(b, node...)
	b = append(b, '.', sid[0], '.')
	b = append(b, sid...)
	b = append(b, '.')
	return string(appendMidToken(b, mid)), nil
}

// appendMidToken writes "m" and the text of a mid that is a plain string of
// token characters, else "x" and the base64url of its JSON text. An absent
// mid is "m" alone.
func appendMidToken(b []byte, mid string) []byte {
	if mid == "" {
		return append(b, 'm')
	}
	if n := len(mid); n > 2 && mid[0] == '"' && mid[n-1] == '"' && ValidName(mid[1:n-1]) {
		b = append(b, 'm')
		return append(b, mid[1:n-1]...)
	}
	b = append(b, 'x')
	return base64.RawURLEncoding.AppendEncode(b, []byte(mid))
}

// ReplyWildcard is what a node subscribes to in order to be told that no
// service listens where a client's message went. Replies that a service sends
// there arrive too (they are stored by the mailbox's stream); only messages with
// a status header matter to the node.
func ReplyWildcard(node NodeID) string { return PrefixReply + string(node) + ".>" }

// RequestSubject is the reply subject of a request that the node answers
// itself, in particular of [METHOD] requests: the nth of one of the node's
// loops, so that loops need not agree on numbers. It ends in 128 random bits, so
// that only who was asked can answer.
func RequestSubject(node NodeID, loop int, n uint64) string {
	b := make([]byte, 0, len(PrefixRequest)+NodeIDLen+24+2*requestSecret)
	b = append(b, PrefixRequest...)
	b = append(b, node...)
	b = strconv.AppendInt(append(b, '.'), int64(loop), 10)
	b = strconv.AppendUint(append(b, '_'), n, 36)
	var secret [requestSecret]byte
	_, _ = rand.Read(secret[:]) // never fails, crypto/rand since Go 1.24
	return string(hex.AppendEncode(append(b, '_'), secret[:]))
}

// requestSecret is how many bytes of a request's subject cannot be guessed.
const requestSecret = 16

// ParseRequestSubject reads loop and number from what [RequestSubject] has made. Whose
// answer it is only the whole subject tells.
func ParseRequestSubject(subject string) (loop int, n uint64, ok bool) {
	if !IsRequestReply(subject) {
		return 0, 0, false
	}
	parts := strings.Split(subject[strings.LastIndexByte(subject, '.')+1:], "_")
	if len(parts) != 3 || len(parts[2]) != 2*requestSecret {
		return 0, 0, false
	}
	index, err1 := strconv.ParseUint(parts[0], 10, 16)
	n, err2 := strconv.ParseUint(parts[1], 36, 64)
	return int(index), n, err1 == nil && err2 == nil
}

// RequestWildcard matches every RequestSubject of a node.
func RequestWildcard(node NodeID) string { return PrefixRequest + string(node) + ".*" }

// NodeSubject is where a node takes orders of other nodes.
func NodeSubject(node NodeID) string { return PrefixNode + string(node) }

// WorkSubject is a service's work queue.
func WorkSubject(service Service) string { return PrefixWork + string(service) }

// DeadSubject gets what was given up of a service's work queue: the message as it was,
// with [HeaderReason] and [HeaderAttempts].
func DeadSubject(service Service) string { return PrefixDead + string(service) }

// ExistsSubject is where a node is asked whether there is a session.
func ExistsSubject(sid SID) string { return sidSubject(PrefixExists, sid) }

// QueueExistsSubject is where a node is asked whether a service has registered a work
// queue.
func QueueExistsSubject(service Service) string { return queueExists + string(service) }

const queueExists = PrefixExists + "queue."

// ExistsWildcard matches every [ExistsSubject] and [QueueExistsSubject]. Nodes share the
// questions, in the queue group [ExistsGroup].
const (
	ExistsWildcard = PrefixExists + "*.*"
	ExistsGroup    = "nodes"
)

// The answers to such a question. To who answers neither, nothing is known.
const (
	ExistsYes = "yes"
	ExistsNo  = "no"
)

// EventSubject carries one kind of event of one session.
func EventSubject(what SessionEvent, sid SID) string {
	return sidSubject(PrefixEvent+string(what)+".", sid)
}

// EventWildcard matches the events of one kind of all sessions, or, with an
// empty kind, all events.
func EventWildcard(what SessionEvent) string {
	if what == "" {
		return PrefixEvent + ">"
	}
	return PrefixEvent + string(what) + ".*.*"
}
