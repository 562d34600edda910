package scheme

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// ExpirySubject is where the message is published that becomes too old when a
// session may have expired. It needs no payload.
func ExpirySubject(sid string) (string, error) { return sidSubject(PrefixExpiry, sid) }

// StreamNames are the streams of a store.
func StreamNames(streams int) []string {
	var names []string
	for i := range streams {
		names = append(names, OutStream(i))
	}
	return append(names, SessionStream, ExpiryStream, WorkStream)
}

// Subject prefixes of the scheme. The version token allows a later scheme to
// run beside this one.
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
)

// Stream, bucket and consumer names on the server.
const (
	// OutStreamPrefix is followed by the number of the partition.
	OutStreamPrefix = "UMF_OUT_"
	// WorkStream holds the services' work queues.
	WorkStream = "UMF_WORK"
	// SessionBucket is the key-value bucket of the session directory.
	SessionBucket = "UMF_SESSIONS"

	SessionStream    = "KV_" + SessionBucket
	ExpiryStream     = "UMF_EXPIRY"
	SessionKeyPrefix = "$KV." + SessionBucket + "."
)

// MaxStreams is the number of first characters of a session id, so of
// partitions that mailboxes can be spread over.
const MaxStreams = len(sidAlphabet)

// ServiceSubject is where a service's queue group listens.
func ServiceSubject(service string) (string, error) {
	if !ValidService(service) {
		return "", BadName(ErrBadService, service)
	}
	return PrefixService + service, nil
}

// InstanceSubject is where one instance of a service listens.
func InstanceSubject(service, instance string) (string, error) {
	if !ValidService(service) {
		return "", BadName(ErrBadService, service)
	}
	if !ValidInstance(instance) {
		return "", BadName(ErrBadInstance, instance)
	}
	return PrefixInstance + service + "." + instance, nil
}

// MailboxSubject is the mailbox of a session: what is published there is
// stored and reaches the session's client.
func MailboxSubject(sid string) (string, error) { return sidSubject(PrefixOut, sid) }

// LiveSubject carries copies of what a mailbox has just stored.
func LiveSubject(sid string) (string, error) { return sidSubject(PrefixLive, sid) }

func sidSubject(prefix, sid string) (string, error) {
	if !ValidSID(sid) {
		return "", BadName(ErrBadSID, sid)
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
		return "", BadName(ErrBadNode, node)
	}
	if !ValidSID(sid) {
		return "", BadName(ErrBadSID, sid)
	}
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
	case kind == 'm' && ValidName(t):
		return `"` + t + `"`, true
	case kind == 'x' && t != "":
		raw, err := base64.RawURLEncoding.Strict().DecodeString(t)
		if err != nil || len(raw) > MaxMid {
			return "", false
		}
		mid = string(raw)
		if n := len(mid); n > 2 && mid[0] == '"' && mid[n-1] == '"' && ValidName(mid[1:n-1]) {
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
		return "", BadName(ErrBadNode, node)
	}
	return PrefixReply + node + ".>", nil
}

// RequestSubject is the reply subject of a request that the node answers
// itself, in particular of [METHOD] requests. id is the node's own.
func RequestSubject(node, id string) (string, error) {
	if !ValidNodeID(node) {
		return "", BadName(ErrBadNode, node)
	}
	if !ValidName(id) {
		return "", BadName(ErrBadRequestID, id)
	}
	return PrefixRequest + node + "." + id, nil
}

// RequestWildcard matches every RequestSubject of a node.
func RequestWildcard(node string) (string, error) {
	if !ValidNodeID(node) {
		return "", BadName(ErrBadNode, node)
	}
	return PrefixRequest + node + ".*", nil
}

// NodeSubject is where a node takes orders of other nodes.
func NodeSubject(node string) (string, error) {
	if !ValidNodeID(node) {
		return "", BadName(ErrBadNode, node)
	}
	return PrefixNode + node, nil
}

// WorkSubject is a service's work queue.
func WorkSubject(service string) (string, error) {
	if !ValidService(service) {
		return "", BadName(ErrBadService, service)
	}
	return PrefixWork + service, nil
}

// EventSubject carries one kind of event of one session.
func EventSubject(what SessionEvent, sid string) (string, error) {
	if !what.Valid() {
		return "", BadName(ErrBadEvent, string(what))
	}
	return sidSubject(PrefixEvent+string(what)+".", sid)
}

// EventWildcard matches the events of one kind of all sessions, or, with an
// empty kind, all events.
func EventWildcard(what SessionEvent) (string, error) {
	if what == "" {
		return PrefixEvent + ">", nil
	}
	if !what.Valid() {
		return "", BadName(ErrBadEvent, string(what))
	}
	return PrefixEvent + string(what) + ".*.*", nil
}

// ValidStreams reports whether mailboxes can be partitioned over n streams:
// 1, 2, 4, 8, 16 or 32.
func ValidStreams(n int) bool { return n >= 1 && n <= MaxStreams && n&(n-1) == 0 }

// StreamIndexOf is the number of the partition, of n, that holds a session's
// mailbox. The partition is decided by the first character of the id alone:
// each partition owns 32/n neighbouring characters of the alphabet.
func StreamIndexOf(sid string, n int) (int, error) {
	if !ValidSID(sid) {
		return 0, BadName(ErrBadSID, sid)
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
	return OutStream(i), nil
}

func OutStream(i int) string { return OutStreamPrefix + strconv.Itoa(i) }

// PartitionChars is the part of the alphabet that partition i of n owns.
func PartitionChars(i, n int) string {
	w := MaxStreams / n
	return sidAlphabet[i*w : (i+1)*w]
}

// ConsumerName names one consumer of a session's reconnection queue: the
// session's id, the fence under which its reader owns the session, and a number
// that the owner does not use twice.
func ConsumerName(sid string, fence, n uint64) string {
	b := make([]byte, 0, SIDLen+42)
	b = append(b, sid...)
	b = strconv.AppendUint(append(b, '_'), fence, 10)
	return string(strconv.AppendUint(append(b, '_'), n, 10))
}
