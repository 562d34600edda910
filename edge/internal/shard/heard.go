package shard

import (
	"hash/maphash"
	"slices"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/policy"
	"hydrant/umf"
)

// ofClients is [scheme.ClientService], and never changed.
var ofClients = []byte(scheme.ClientService)

// maxHeard bounds the messages of a session that its client may answer without a
// right: the last ones from senders that its rules leave out. They take half a KiB of
// a session that has had such a message.
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

// origin is where a message came from, and its answer goes to.
type origin[T ~string | ~[]byte] struct{ service, instance, path T }

// key stands for a message from there with a mid, given as text. Every instance of
// a service may get the answer, and a session has no paths.
func (f origin[T]) key(mid []byte) uint64 {
	var buf [512]byte
	text := append(append(buf[:0], f.service...), ':') // no name has one
	if string(f.service) == scheme.ClientService {
		text = append(text, f.instance...)
	} else {
		text = append(text, f.path...)
	}
	return maphash.Bytes(heardSeed, append(append(text, 0), mid...)) // nor has a path a NUL in it
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
	var address [128]byte
	from, ok := senderOf(e, address[:0])
	if !ok {
		return
	}
	if string(from.service) == scheme.ClientService {
		if rights.Clients() == policy.Anybody {
			return
		}
	} else if _, ok := rights.Service(string(from.service)); ok {
		return
	}
	var buf [64]byte
	key := from.key(midText(e, umf.Mid, buf[:0]))
	w := h.talks()
	if w.heard == nil {
		w.heard = new(heard)
	}
	if !slices.Contains(w.heard.keys[:], key) {
		w.heard.keys[w.heard.next] = key
		w.heard.next = (w.heard.next + 1) % maxHeard
	}
}

// senderOf returns who sent a message in a mailbox. If the message came through a
// node, which its via shows, that is the session that the node names, whatever its
// sender wrote into from: where it names none, there is no way to answer without a
// right. Else a service has written it, and says itself. buf is for the text.
func senderOf(e *umf.Envelope, buf []byte) (from origin[[]byte], ok bool) {
	if !e.Falsy(umf.Via) {
		sid := umf.Member(e.Raw(umf.Headers), headerFrom)
		if len(sid) != scheme.SIDLen+len(`""`) {
			return from, false
		}
		return origin[[]byte]{service: ofClients, instance: sid[1 : len(sid)-1]}, true
	}
	text, _ := e.Text(umf.From, buf)
	view, err := umf.ViewAddress(text)
	if err != nil {
		return from, false
	}
	return origin[[]byte]{view.Service, view.Instance, view.Path}, true
}

// headerFrom is where a node says which session a message is of.
const headerFrom = "x-from"

// mayAnswer reports whether a message is an answer to one that the session was
// given. A request is none, wherever it goes.
func (h *held) mayAnswer(e *umf.Envelope, to umf.Address) bool {
	if h.talk == nil || h.talk.heard == nil || to.Method != "" || e.Falsy(umf.Rmid) {
		return false
	}
	var buf [64]byte
	return slices.Contains(h.talk.heard.keys[:], origin[string]{to.Service, to.Instance, to.Path}.key(midText(e, umf.Rmid, buf[:0])))
}

// midText is a mid as text, or as JSON if it is none.
func midText(e *umf.Envelope, field umf.Field, buf []byte) []byte {
	if text, ok := e.Text(field, buf); ok {
		return text
	}
	return e.Raw(field)
}
