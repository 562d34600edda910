package scheme

import (
	"fmt"
	"strconv"
	"strings"
)

// Every parser accepts exactly what its builder writes.

// ParseServiceSubject is the inverse of [ServiceSubject].
func ParseServiceSubject(subject string) (service string, err error) {
	rest, ok := strings.CutPrefix(subject, PrefixService)
	if !ok || !ValidService(rest) {
		return "", BadName(ErrBadSubject, subject)
	}
	return rest, nil
}

// ParseInstanceSubject is the inverse of [InstanceSubject].
func ParseInstanceSubject(subject string) (service, instance string, err error) {
	rest, ok := strings.CutPrefix(subject, PrefixInstance)
	if ok {
		service, instance, ok = strings.Cut(rest, ".")
	}
	if !ok || !ValidService(service) || !ValidInstance(instance) {
		return "", "", BadName(ErrBadSubject, subject)
	}
	return service, instance, nil
}

// ParseMailboxSubject is the inverse of [MailboxSubject].
func ParseMailboxSubject(subject string) (sid string, err error) { return ParseSID(PrefixOut, subject) }

// ParseLiveSubject is the inverse of [LiveSubject].
func ParseLiveSubject(subject string) (sid string, err error) { return ParseSID(PrefixLive, subject) }

// ParseSID reads "<c>.<sid>" after prefix, where c is the first character.
func ParseSID(prefix, subject string) (string, error) {
	rest, ok := strings.CutPrefix(subject, prefix)
	if !ok || len(rest) != SIDLen+2 || rest[1] != '.' || rest[0] != rest[2] || !ValidSID(rest[2:]) {
		return "", BadName(ErrBadSubject, subject)
	}
	return rest[2:], nil
}

// ParseReplySubject is the inverse of [ReplySubject]: mid is raw JSON text.
func ParseReplySubject(subject string) (node, sid, mid string, err error) {
	rest, ok := strings.CutPrefix(subject, PrefixReply)
	const fixed = NodeIDLen + 1 + 2 + SIDLen + 1
	if !ok || len(rest) <= fixed || rest[NodeIDLen] != '.' || rest[fixed-1] != '.' {
		return "", "", "", BadName(ErrBadSubject, subject)
	}
	node = rest[:NodeIDLen]
	sid, err = ParseSID("", rest[NodeIDLen+1:fixed-1])
	mid, ok = parseMidToken(rest[fixed:])
	if !ok || err != nil || !ValidNodeID(node) {
		return "", "", "", BadName(ErrBadSubject, subject)
	}
	return node, sid, mid, nil
}

// ParseRequestSubject is the inverse of [RequestSubject].
func ParseRequestSubject(subject string) (node, id string, err error) {
	rest, ok := strings.CutPrefix(subject, PrefixRequest)
	if ok {
		node, id, ok = strings.Cut(rest, ".")
	}
	if !ok || !ValidNodeID(node) || !ValidName(id) {
		return "", "", BadName(ErrBadSubject, subject)
	}
	return node, id, nil
}

// IsRequestReply reports whether a service should answer on this reply
// subject, rather than into a mailbox: the sender waits for the answer itself.
func IsRequestReply(reply string) bool {
	if !strings.HasPrefix(reply, PrefixRequest) {
		return false // the usual case, without the making of an error
	}
	_, _, err := ParseRequestSubject(reply)
	return err == nil
}

// ParseNodeSubject is the inverse of [NodeSubject].
func ParseNodeSubject(subject string) (node string, err error) {
	rest, ok := strings.CutPrefix(subject, PrefixNode)
	if !ok || !ValidNodeID(rest) {
		return "", BadName(ErrBadSubject, subject)
	}
	return rest, nil
}

// ParseWorkSubject is the inverse of [WorkSubject].
func ParseWorkSubject(subject string) (service string, err error) {
	rest, ok := strings.CutPrefix(subject, PrefixWork)
	if !ok || !ValidService(rest) {
		return "", BadName(ErrBadSubject, subject)
	}
	return rest, nil
}

// ParseEventSubject is the inverse of [EventSubject].
func ParseEventSubject(subject string) (what SessionEvent, sid string, err error) {
	rest, ok := strings.CutPrefix(subject, PrefixEvent)
	if !ok {
		return "", "", BadName(ErrBadSubject, subject)
	}
	kind, rest, _ := strings.Cut(rest, ".")
	sid, err = ParseSID("", rest)
	if err != nil || !SessionEvent(kind).Valid() {
		return "", "", BadName(ErrBadSubject, subject)
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
	if err1 != nil || err2 != nil || !ValidSID(sid) || ConsumerName(sid, fence, n) != name {
		return "", 0, fmt.Errorf("bus: not a consumer name: %w", BadName(ErrBadSubject, name))
	}
	return sid, fence, nil
}
