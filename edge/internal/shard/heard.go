package shard

import (
	"hash/maphash"
	"slices"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/policy"
	"hydrant/umf"
)

// clientService is the service in the addresses of sessions.
const clientService = "client"

// maxHeard bounds the messages of a session that its client may answer without a
// right: the last ones from senders that its rules leave out.
const maxHeard = 64

// heard remembers which messages a session was given by senders that its client may
// not write to. An answer to one of them needs no right: it has the message's mid as
// its rmid, and goes to the address that the message came from. What falls out of it
// can be answered no more, nor what came before the session moved to this socket.
//
// It is the receiver's node that remembers. Rejected: a secret in each message that
// the answer brings back, which old clients would not.
type heard struct {
	keys [maxHeard]uint64
	next uint8 // the place of the oldest
}

// heardSeed makes sure that no sender can choose a mid whose key is that of another
// sender's message.
var heardSeed = maphash.MakeSeed()

// heardKey stands for a message with a mid, given as text, from an address. Every
// instance of a service may get the answer.
func heardKey(from umf.Address, mid []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(heardSeed)
	for _, part := range [...]string{from.Service, from.Path} { // neither has a NUL in it
		_, _ = h.WriteString(part) // never fails, see hash/maphash
		_ = h.WriteByte(0)
	}
	if from.Service == clientService {
		_, _ = h.WriteString(from.Instance)
	}
	_ = h.WriteByte(0)
	_, _ = h.Write(mid)
	return h.Sum64()
}

// hear notes a message that the client is given, if its answer could need it.
func (h *held) hear(payload []byte) {
	rights := h.client.rights
	if rights.Open() {
		return
	}
	e := &h.s.inner
	if umf.Scan(payload, e) != nil || e.Falsy(umf.Mid) {
		return
	}
	from, ok := h.s.senderOf(e)
	if !ok {
		return
	}
	if from.Service == clientService {
		if rights.Clients() == policy.Anybody {
			return
		}
	} else if why, ok := rights.Service(from.Service); ok || why != policy.DeniedService {
		return
	}
	var buf [64]byte
	key := heardKey(from, midText(e, umf.Mid, buf[:0]))
	if h.heard == nil {
		h.heard = new(heard)
	}
	if !slices.Contains(h.heard.keys[:], key) {
		h.heard.keys[h.heard.next] = key
		h.heard.next = (h.heard.next + 1) % maxHeard
	}
}

// senderOf returns the address that an answer to a message in a mailbox goes to. If
// the message came through a node, which its via shows, it is of the session that
// the node says it is of, whatever its sender wrote into from: where it says of none,
// it can be answered by right only. Else a service has written it, and says itself.
func (s *Shard) senderOf(e *umf.Envelope) (from umf.Address, ok bool) {
	if !e.Falsy(umf.Via) {
		text, _ := umf.MemberText(e.Raw(umf.Headers), headerFrom)
		sid, err := scheme.ParseSID(text)
		return umf.Address{Instance: string(sid), Service: clientService}, err == nil
	}
	var buf [128]byte
	text, _ := e.Text(umf.From, buf[:0])
	from, err := umf.ParseAddress(text)
	if err != nil || from.Service == s.node.Config.ServiceName {
		return umf.Address{}, false
	}
	if from.Service == clientService {
		from.Path = ""
	}
	return from, true
}

// headerFrom is where a node says which session a message is of.
const headerFrom = "x-from"

// mayAnswer reports whether a message is an answer to one that the session was
// given. A request is none, wherever it goes.
func (h *held) mayAnswer(e *umf.Envelope, to umf.Address) bool {
	if h.heard == nil || to.Method != "" || e.Falsy(umf.Rmid) {
		return false
	}
	var buf [64]byte
	return slices.Contains(h.heard.keys[:], heardKey(to, midText(e, umf.Rmid, buf[:0])))
}

// midText is a mid as text, or as JSON if it is none.
func midText(e *umf.Envelope, field umf.Field, buf []byte) []byte {
	if text, ok := e.Text(field, buf); ok {
		return text
	}
	return e.Raw(field)
}
