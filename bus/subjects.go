package bus

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Subject prefixes of the scheme. The version token allows a later scheme to
// run beside this one.
const (
	root          = "umf.v1."
	prefixService = root + "svc."
	prefixInst    = root + "inst."
	prefixOut     = root + "out."
	prefixLive    = root + "live."
	prefixReply   = root + "reply."
	prefixRequest = root + "req."
	prefixNode    = root + "node."
	prefixWork    = root + "work."
	prefixEvent   = root + "evt.session."
	prefixExpiry  = root + "expiry."
	prefixGone    = root + "gone."
)

// Stream, bucket and consumer names on the server.
const (
	// OutStreamPrefix is followed by the number of the partition.
	OutStreamPrefix = "UMF_OUT_"
	// WorkStream holds the services' work queues.
	WorkStream = "UMF_WORK"
	// SessionBucket is the key-value bucket of the session directory.
	SessionBucket = "UMF_SESSIONS"

	sessionStream    = "KV_" + SessionBucket
	expiryStream     = "UMF_EXPIRY"
	sessionKeyPrefix = "$KV." + SessionBucket + "."
)

// MaxStreams is the number of first characters of a session id, so of
// partitions that mailboxes can be spread over.
const MaxStreams = len(sidAlphabet)

// ServiceSubject is where a service's queue group listens.
func ServiceSubject(service string) (string, error) {
	if !ValidService(service) {
		return "", badName(ErrBadService, service)
	}
	return prefixService + service, nil
}

// InstanceSubject is where one instance of a service listens.
func InstanceSubject(service, instance string) (string, error) {
	if !ValidService(service) {
		return "", badName(ErrBadService, service)
	}
	if !ValidInstance(instance) {
		return "", badName(ErrBadInstance, instance)
	}
	return prefixInst + service + "." + instance, nil
}

// MailboxSubject is the mailbox of a session: what is published there is
// stored and reaches the session's client.
func MailboxSubject(sid string) (string, error) { return sidSubject(prefixOut, sid) }

// LiveSubject carries copies of what a mailbox has just stored.
func LiveSubject(sid string) (string, error) { return sidSubject(prefixLive, sid) }

func sidSubject(prefix, sid string) (string, error) {
	if !ValidSID(sid) {
		return "", badName(ErrBadSID, sid)
	}
	return prefix + sid[:1] + "." + sid, nil
}

// ReplySubject is the NATS reply subject of a client's message: publishing to
// it stores in the session's mailbox. mid is the raw JSON text of the UMF mid
// (with its quotes if it is a string), or empty; it is encoded into the last
// token, so that "no responders", which comes back on this subject and carries
// nothing else, can be answered with the right rmid.
func ReplySubject(node, sid, mid string) (string, error) {
	if !ValidNodeID(node) {
		return "", badName(ErrBadNode, node)
	}
	if !ValidSID(sid) {
		return "", badName(ErrBadSID, sid)
	}
	if len(mid) > MaxMid {
		return "", fmt.Errorf("%w: %d bytes", ErrMidTooLong, len(mid))
	}
	b := make([]byte, 0, len(prefixReply)+NodeIDLen+SIDLen+6+base64.RawURLEncoding.EncodedLen(len(mid)))
	b = append(b, prefixReply...)
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
	if n := len(mid); n > 2 && mid[0] == '"' && mid[n-1] == '"' && validName(mid[1:n-1]) {
		b = append(b, 'm')
		return append(b, mid[1:n-1]...)
	}
	b = append(b, 'x')
	return base64.RawURLEncoding.AppendEncode(b, []byte(mid))
}

// parseMidToken is the inverse of appendMidToken; it accepts only what that
// function writes.
func parseMidToken(t string) (mid string, ok bool) {
	if t == "" {
		return "", false
	}
	kind, t := t[0], t[1:]
	switch {
	case kind == 'm' && t == "":
		return "", true
	case kind == 'm' && validName(t):
		return `"` + t + `"`, true
	case kind == 'x' && t != "":
		raw, err := base64.RawURLEncoding.Strict().DecodeString(t)
		if err != nil || len(raw) > MaxMid {
			return "", false
		}
		mid = string(raw)
		if n := len(mid); n > 2 && mid[0] == '"' && mid[n-1] == '"' && validName(mid[1:n-1]) {
			return "", false // has the plain form
		}
		return mid, true
	}
	return "", false
}

// ReplyWildcard is what a node subscribes to in order to be told that nobody
// listens where a client's message went. Replies that a service sends there
// arrive too (they are stored by the mailbox's stream); only messages with a
// status header matter to the node.
func ReplyWildcard(node string) (string, error) {
	if !ValidNodeID(node) {
		return "", badName(ErrBadNode, node)
	}
	return prefixReply + node + ".>", nil
}

// RequestSubject is the reply subject of a request that the node answers
// itself, in particular of [METHOD] requests. id is the node's own.
func RequestSubject(node, id string) (string, error) {
	if !ValidNodeID(node) {
		return "", badName(ErrBadNode, node)
	}
	if !validName(id) {
		return "", badName(ErrBadRequestID, id)
	}
	return prefixRequest + node + "." + id, nil
}

// RequestWildcard matches every RequestSubject of a node.
func RequestWildcard(node string) (string, error) {
	if !ValidNodeID(node) {
		return "", badName(ErrBadNode, node)
	}
	return prefixRequest + node + ".*", nil
}

// NodeSubject is where a node takes orders of other nodes.
func NodeSubject(node string) (string, error) {
	if !ValidNodeID(node) {
		return "", badName(ErrBadNode, node)
	}
	return prefixNode + node, nil
}

// WorkSubject is a service's work queue.
func WorkSubject(service string) (string, error) {
	if !ValidService(service) {
		return "", badName(ErrBadService, service)
	}
	return prefixWork + service, nil
}

// SessionEvent says what happened to a session.
type SessionEvent string

// The session events, published at most once, for services that care.
const (
	SessionOpened  SessionEvent = "opened"
	SessionParked  SessionEvent = "parked"
	SessionResumed SessionEvent = "resumed"
	// SessionExpired: nobody came back in time, or the store has lost the session.
	// One whose node died in the session's first minute ends without a word.
	SessionExpired SessionEvent = "expired"
	// SessionClosed: the client resumed another session instead, before anybody
	// could hear of this one.
	SessionClosed SessionEvent = "closed"
)

// Valid reports whether e is one of the session events.
func (e SessionEvent) Valid() bool {
	switch e {
	case SessionOpened, SessionParked, SessionResumed, SessionExpired, SessionClosed:
		return true
	}
	return false
}

// EventSubject carries one kind of event of one session.
func EventSubject(what SessionEvent, sid string) (string, error) {
	if !what.Valid() {
		return "", badName(ErrBadEvent, string(what))
	}
	return sidSubject(prefixEvent+string(what)+".", sid)
}

// EventWildcard matches the events of one kind of all sessions, or, with an
// empty kind, all events.
func EventWildcard(what SessionEvent) (string, error) {
	if what == "" {
		return prefixEvent + ">", nil
	}
	if !what.Valid() {
		return "", badName(ErrBadEvent, string(what))
	}
	return prefixEvent + string(what) + ".*.*", nil
}

// ValidStreams reports whether mailboxes can be partitioned over n streams:
// 1, 2, 4, 8, 16 or 32.
func ValidStreams(n int) bool { return n >= 1 && n <= MaxStreams && n&(n-1) == 0 }

// StreamIndexOf is the number of the partition, of n, that holds a session's
// mailbox. The partition is decided by the first character of the id alone:
// each partition owns 32/n neighbouring characters of the alphabet.
func StreamIndexOf(sid string, n int) (int, error) {
	if !ValidSID(sid) {
		return 0, badName(ErrBadSID, sid)
	}
	if !ValidStreams(n) {
		return 0, fmt.Errorf("bus: %d is not a number of mailbox streams (1, 2, 4, 8, 16, 32)", n)
	}
	return strings.IndexByte(sidAlphabet, sid[0]) * n / MaxStreams, nil
}

// StreamOf is the name of the stream, of n, that holds a session's mailbox.
func StreamOf(sid string, n int) (string, error) {
	i, err := StreamIndexOf(sid, n)
	if err != nil {
		return "", err
	}
	return outStream(i), nil
}

func outStream(i int) string { return OutStreamPrefix + strconv.Itoa(i) }

// partitionChars is the part of the alphabet that partition i of n owns.
func partitionChars(i, n int) string {
	w := MaxStreams / n
	return sidAlphabet[i*w : (i+1)*w]
}

// consumerName names one consumer of a session's reconnection queue: the
// session's id, the fence under which its reader owns the session, and a number
// that the owner does not use twice.
func consumerName(sid string, fence, n uint64) string {
	b := make([]byte, 0, SIDLen+42)
	b = append(b, sid...)
	b = strconv.AppendUint(append(b, '_'), fence, 10)
	return string(strconv.AppendUint(append(b, '_'), n, 10))
}
