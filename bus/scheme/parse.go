package scheme

import (
	"encoding/base64"
	"strings"
)

// Every parser accepts exactly what its builder writes.

// ParseServiceSubject is the inverse of [ServiceSubject].
func ParseServiceSubject(subject string) (Service, error) {
	rest, ok := strings.CutPrefix(subject, PrefixService)
	if !ok || !ValidName(rest) {
		return "", badName(ErrBadSubject, subject)
	}
	return Service(rest), nil
}

// ParseInstanceSubject is the inverse of [InstanceSubject].
func ParseInstanceSubject(subject string) (Service, Instance, error) {
	rest, ok := strings.CutPrefix(subject, PrefixInstance)
	service, instance, _ := strings.Cut(rest, ".")
	if !ok || !ValidName(service) || !ValidName(instance) {
		return "", "", badName(ErrBadSubject, subject)
	}
	return Service(service), Instance(instance), nil
}

// ParseMailboxSubject is the inverse of [MailboxSubject].
func ParseMailboxSubject(subject string) (SID, error) { return parseSIDSubject(PrefixOut, subject) }

// ParseLiveSubject is the inverse of [StoredSubject], and of [PushedSubject]: then
// stored is false, and nothing of the message is the store's.
func ParseLiveSubject(subject string) (sid SID, stored bool, err error) {
	rest, stored := strings.CutSuffix(subject, storedEnd)
	if !stored {
		var pushed bool
		if rest, pushed = strings.CutSuffix(subject, pushedEnd); !pushed {
			return "", false, badName(ErrBadSubject, subject)
		}
	}
	if sid, err = parseSIDSubject(PrefixLive, rest); err != nil {
		return "", false, err
	}
	return sid, stored, nil
}

// ParseGoneSubject reads where the server tells that a session's message of
// [ExpirySubject] has become too old.
func ParseGoneSubject(subject string) (SID, error) { return parseSIDSubject(PrefixGone, subject) }

// ParseExistsSubject is the inverse of [ExistsSubject].
func ParseExistsSubject(subject string) (SID, error) { return parseSIDSubject(PrefixExists, subject) }

// ParseQueueExistsSubject is the inverse of [QueueExistsSubject].
func ParseQueueExistsSubject(subject string) (Service, error) {
	rest, ok := strings.CutPrefix(subject, queueExists)
	if !ok {
		return "", badName(ErrBadSubject, subject)
	}
	return ParseService(rest)
}

func parseSIDSubject(prefix, subject string) (SID, error) {
	rest, ok := strings.CutPrefix(subject, prefix)
	if !ok || !validSIDTail(rest) {
		return "", badName(ErrBadSubject, subject)
	}
	return SID(rest[2:]), nil
}

// validSIDTail is "<c>.<sid>", where c is the first character.
func validSIDTail(s string) bool {
	return len(s) == SIDLen+2 && s[1] == '.' && s[0] == s[2] && validSID(s[2:])
}

// ParseReplySubject is the inverse of [ReplySubject]: mid is raw JSON text.
func ParseReplySubject(subject string) (node NodeID, sid SID, mid string, err error) {
	rest, ok := strings.CutPrefix(subject, PrefixReply)
	const fixed = NodeIDLen + 1 + 2 + SIDLen + 1
	if !ok || len(rest) <= fixed || rest[NodeIDLen] != '.' || rest[fixed-1] != '.' {
		return "", "", "", badName(ErrBadSubject, subject)
	}
	tail := rest[NodeIDLen+1 : fixed-1]
	mid, ok = parseMidToken(rest[fixed:])
	if !ok || !validNodeID(rest[:NodeIDLen]) || !validSIDTail(tail) {
		return "", "", "", badName(ErrBadSubject, subject)
	}
	return NodeID(rest[:NodeIDLen]), SID(tail[2:]), mid, nil
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

// IsRequestReply reports whether a service should answer on this reply
// subject, rather than into a mailbox: the sender waits for the answer itself.
func IsRequestReply(reply string) bool {
	rest, ok := strings.CutPrefix(reply, PrefixRequest)
	node, id, _ := strings.Cut(rest, ".")
	return ok && validNodeID(node) && ValidName(id)
}

// ParseEventSubject is the inverse of [EventSubject].
func ParseEventSubject(subject string) (SessionEvent, SID, error) {
	rest, ok := strings.CutPrefix(subject, PrefixEvent)
	kind, tail, _ := strings.Cut(rest, ".")
	if !ok || !SessionEvent(kind).Valid() || !validSIDTail(tail) {
		return "", "", badName(ErrBadSubject, subject)
	}
	return SessionEvent(kind), SID(tail[2:]), nil
}
