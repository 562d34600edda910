package store

import (
	"strconv"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/kept"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
)

// sealOf reads a seal; nil: it is none. One that cannot be read says nothing.
func sealOf(h nats.Header, seq uint64, at int64) *kept.Seal {
	if h.Get(scheme.HeaderMark) != scheme.MarkSeal {
		return nil
	}
	from, to, ok1 := scheme.ParsePair(h.Get(scheme.HeaderKept))
	count, bytes, ok2 := scheme.ParsePair(h.Get(scheme.HeaderKeptSize))
	if !ok1 || !ok2 {
		return nil
	}
	return &kept.Seal{Seq: seq, Time: at, From: from, To: to, Round: h.Get(scheme.HeaderRound), Count: count, Bytes: bytes}
}

// item is a message that was set aside, or a loss.
type item = kept.Item[Stored]

// itemOf reads one; false: it is a probe, or of no known form.
func itemOf(m *nats.Msg) (it item, ok bool) {
	if it.Round = m.Header.Get(scheme.HeaderRound); it.Round == "" {
		return it, false
	}
	if lost := m.Header.Get(scheme.HeaderLost); lost != "" {
		it.From, it.To, ok = scheme.ParsePair(lost)
		return it, ok && it.To > 0
	}
	copied := m.Header.Get(scheme.HeaderCopied)
	if copied == "" {
		return it, true // it holds a place
	}
	seq, before, ok := scheme.ParsePair(copied)
	if !ok || seq == 0 {
		return it, false
	}
	at, err := strconv.ParseInt(m.Header.Get(scheme.HeaderCopiedAt), 10, 64)
	if err != nil {
		return it, false
	}
	life := m.Header.Get(jet.HeaderTTL)
	return item{Seq: seq, Prev: before, Time: at, Round: it.Round, Msg: Stored{
		Seq: seq, TTL: life != "", Life: lifeOf(life), Time: at, Aside: true, Trace: tracectx.Parent(m.Header), Payload: m.Data,
	}}, true
}
