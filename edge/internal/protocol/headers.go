package protocol

import (
	"strconv"

	"hydrant/umf"
)

// Headers, members of hdr, that are the node's to say.
const (
	headerFrom     = "x-from" // the session that sent the message
	headerUser     = "x-user" // its identity
	headerSequence = "x-seq"
	headerPrevious = "x-prev"
)

// headerAck asks the node to tell when a message has been taken.
const headerAck = "x-ack"

// WantsAccepted reports whether the sender of a message asks to be told when it has been
// taken: hdr.x-ack is true.
func WantsAccepted(e *umf.Envelope) bool {
	return string(umf.Member(e.Raw(umf.Headers), headerAck)) == "true"
}

// Reserved is a set of headers that a sender may not write, in whatever case:
// receivers that ignore case would take them for the node's, and strict ones refuse
// a key that is there twice.
type Reserved uint8

const (
	// ReservedFromClients are those that only nodes and services may write. A
	// service may act for a user.
	ReservedFromClients Reserved = iota
	// ReservedFromAll are those that only the node may write that delivers.
	ReservedFromAll
)

// has reports whether the inside of a key's string is in the set.
func (r Reserved) has(key []byte) bool {
	if len(key) == 0 || key[0]|0x20 != 'x' && key[0] != '\\' { // nothing but X has the lower case x
		return false
	}
	if umf.EqualFold(key, headerSequence) || umf.EqualFold(key, headerPrevious) {
		return true
	}
	return r == ReservedFromClients && (umf.EqualFold(key, headerFrom) || umf.EqualFold(key, headerUser))
}

// Has reports whether a header of that name is in the set.
func (r Reserved) Has(name string) bool { return r.has([]byte(name)) }

// In reports whether headers, raw JSON or empty, have one of the set.
func (r Reserved) In(headers []byte) bool {
	m := umf.EachMember(headers)
	for m.Next() {
		if r.has(m.Key()) {
			return true
		}
	}
	return false
}

// AppendHeaders appends headers, raw JSON or empty, without those of the set and
// with members added, as [AppendSender] makes them; nil: none. Headers that are no
// object go.
func (r Reserved) AppendHeaders(dst, headers, added []byte) []byte {
	open := len(dst)
	m := umf.EachMember(headers)
	for m.Next() {
		if key := m.Key(); !r.has(key) {
			dst = append(append(append(dst, ',', '"'), key...), '"', ':')
			dst = append(dst, m.Value()...)
		}
	}
	if len(added) > 0 {
		dst = append(append(dst, ','), added...)
	}
	if len(dst) == open {
		return append(dst, '{', '}')
	}
	dst[open] = '{' // in the place of the first comma
	return append(dst, '}')
}

// AppendSender appends the members that tell a client which session sent a message,
// and with which identity; "": it has none.
func AppendSender(dst []byte, sid, identity string) []byte {
	dst = append(dst, `"`+headerFrom+`":"`...)
	dst = append(append(dst, sid...), '"')
	if identity != "" {
		dst = umf.AppendString(append(dst, `,"`+headerUser+`":`...), identity)
	}
	return dst
}

// AppendSequence appends headers, raw JSON or empty, with x-seq and x-prev added.
// Those that a sender put there go.
func AppendSequence(dst, headers []byte, seq, prev uint64) []byte {
	var buf [96]byte
	added := append(buf[:0], `"`+headerSequence+`":"`...)
	added = strconv.AppendUint(added, seq, 10)
	added = append(added, `","`+headerPrevious+`":"`...)
	added = strconv.AppendUint(added, prev, 10)
	return ReservedFromAll.AppendHeaders(dst, headers, append(added, '"'))
}
