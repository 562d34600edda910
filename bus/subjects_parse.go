package bus

import (
	"fmt"
	"strconv"
	"strings"
)

// Every parser accepts exactly what its builder writes.

// ParseService is the inverse of [ServiceSubject].
func ParseService(subject string) (service string, err error) {
	rest, ok := strings.CutPrefix(subject, prefixService)
	if !ok || !ValidService(rest) {
		return "", badName(ErrBadSubject, subject)
	}
	return rest, nil
}

// ParseInstance is the inverse of [InstanceSubject].
func ParseInstance(subject string) (service, instance string, err error) {
	rest, ok := strings.CutPrefix(subject, prefixInst)
	if ok {
		service, instance, ok = strings.Cut(rest, ".")
	}
	if !ok || !ValidService(service) || !ValidInstance(instance) {
		return "", "", badName(ErrBadSubject, subject)
	}
	return service, instance, nil
}

// ParseMailbox is the inverse of [MailboxSubject].
func ParseMailbox(subject string) (sid string, err error) { return parseSID(prefixOut, subject) }

// ParseLiveSubject is the inverse of [LiveSubject].
func ParseLiveSubject(subject string) (sid string, err error) { return parseSID(prefixLive, subject) }

// parseSID reads "<c>.<sid>" after prefix, where c is the first character.
func parseSID(prefix, subject string) (string, error) {
	rest, ok := strings.CutPrefix(subject, prefix)
	if !ok || len(rest) != SIDLen+2 || rest[1] != '.' || rest[0] != rest[2] || !ValidSID(rest[2:]) {
		return "", badName(ErrBadSubject, subject)
	}
	return rest[2:], nil
}

// ParseReply is the inverse of [ReplySubject]: mid is raw JSON text.
func ParseReply(subject string) (node, sid, mid string, err error) {
	rest, ok := strings.CutPrefix(subject, prefixReply)
	const fixed = NodeIDLen + 1 + 2 + SIDLen + 1
	if !ok || len(rest) <= fixed || rest[NodeIDLen] != '.' || rest[fixed-1] != '.' {
		return "", "", "", badName(ErrBadSubject, subject)
	}
	node = rest[:NodeIDLen]
	sid, err = parseSID("", rest[NodeIDLen+1:fixed-1])
	mid, ok = parseMidToken(rest[fixed:])
	if !ok || err != nil || !ValidNodeID(node) {
		return "", "", "", badName(ErrBadSubject, subject)
	}
	return node, sid, mid, nil
}

// ParseRequest is the inverse of [RequestSubject].
func ParseRequest(subject string) (node, id string, err error) {
	rest, ok := strings.CutPrefix(subject, prefixRequest)
	if ok {
		node, id, ok = strings.Cut(rest, ".")
	}
	if !ok || !ValidNodeID(node) || !validName(id) {
		return "", "", badName(ErrBadSubject, subject)
	}
	return node, id, nil
}

// IsRequestReply reports whether a service should answer on this reply
// subject, rather than into a mailbox: the sender waits for the answer itself.
func IsRequestReply(reply string) bool {
	if !strings.HasPrefix(reply, prefixRequest) {
		return false // the usual case, without the making of an error
	}
	_, _, err := ParseRequest(reply)
	return err == nil
}

// ParseNode is the inverse of [NodeSubject].
func ParseNode(subject string) (node string, err error) {
	rest, ok := strings.CutPrefix(subject, prefixNode)
	if !ok || !ValidNodeID(rest) {
		return "", badName(ErrBadSubject, subject)
	}
	return rest, nil
}

// ParseWork is the inverse of [WorkSubject].
func ParseWork(subject string) (service string, err error) {
	rest, ok := strings.CutPrefix(subject, prefixWork)
	if !ok || !ValidService(rest) {
		return "", badName(ErrBadSubject, subject)
	}
	return rest, nil
}

// ParseEvent is the inverse of [EventSubject].
func ParseEvent(subject string) (what SessionEvent, sid string, err error) {
	rest, ok := strings.CutPrefix(subject, prefixEvent)
	if !ok {
		return "", "", badName(ErrBadSubject, subject)
	}
	kind, rest, _ := strings.Cut(rest, ".")
	sid, err = parseSID("", rest)
	if err != nil || !SessionEvent(kind).Valid() {
		return "", "", badName(ErrBadSubject, subject)
	}
	return SessionEvent(kind), sid, nil
}

// ParseConsumerName tells whose reconnection queue a consumer of a mailbox
// stream is, and under which fence it was made.
func ParseConsumerName(name string) (sid string, fence uint64, err error) {
	sid, rest, _ := strings.Cut(name, "_")
	num, seq, _ := strings.Cut(rest, "_")
	fence, err1 := strconv.ParseUint(num, 10, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	if err1 != nil || err2 != nil || !ValidSID(sid) || consumerName(sid, fence, n) != name {
		return "", 0, fmt.Errorf("bus: not a consumer name: %w", badName(ErrBadSubject, name))
	}
	return sid, fence, nil
}
