package store

import (
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Copy is a message of a mailbox as it arrives on the live subject.
type Copy struct {
	// Seq is the message's sequence in its stream.
	Seq uint64
	// Prev is the sequence of the message before it in the same mailbox that
	// the stream still had; 0: none.
	Prev uint64
	// Mark is the id of a marker; 0: a message for the client.
	Mark uint64
	// Holder and Attempt are of whom the marker is; 0 and 0: it is of no known form.
	Holder, Attempt uint64
	// TTL: the message may vanish before the mailbox's other messages do.
	TTL bool
	// Life is its time to live; 0: it has none, or none that can be read.
	Life time.Duration
	// Time at which the stream stored it, Unix ns; 0: unknown.
	Time int64
	// Payload belongs to the receiver and must not be modified.
	Payload []byte
}

// ParseCopy reads what arrived on a live subject. ok is false if it was not
// republished by the stream but sent there directly: a push that is delivered
// at most once.
func ParseCopy(m *nats.Msg) (c Copy, ok bool) {
	c.Payload = m.Data
	if _, stored, err := scheme.ParseLiveSubject(m.Subject); err != nil || !stored || m.Header == nil {
		return c, false // whoever pushes may write headers of the store
	}
	seq, err := strconv.ParseUint(jet.LastHeader(m.Header, jet.HeaderSeq), 10, 64)
	if err != nil || seq == 0 {
		return c, false
	}
	c.Seq = seq
	c.Prev, _ = strconv.ParseUint(jet.LastHeader(m.Header, jet.HeaderLastSeq), 10, 64)
	c.Mark, c.Holder, c.Attempt = markOf(m.Header)
	if life := m.Header.Get(jet.HeaderTTL); life != "" {
		c.TTL, c.Life = true, lifeOf(life)
	}
	c.Time = storedAt(m.Header)
	return c, true
}

// lifeOf reads a Nats-TTL: seconds, or a duration as Go writes it.
func lifeOf(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if d, err := time.ParseDuration(text); err == nil {
		return max(d, 0)
	}
	return 0
}

// storedAt is when the server says that it stored a message, Unix ns; 0: unknown.
func storedAt(h nats.Header) int64 {
	at, err := time.Parse(time.RFC3339Nano, jet.LastHeader(h, jet.HeaderTime))
	if err != nil {
		return 0
	}
	return at.UnixNano()
}

// markOf is the id of a marker, and whose it is; 0 for a message. A marker that
// cannot be read is one all the same and must not reach a client.
func markOf(h nats.Header) (id, holder, attempt uint64) {
	v := h.Get(scheme.HeaderMark)
	if v == "" {
		return 0, 0, 0
	}
	id, err := strconv.ParseUint(v, 10, 64)
	holder, attempt, ok := scheme.ParseHolder(h.Get(scheme.HeaderHolder))
	if err != nil || id == 0 || !ok {
		return math.MaxUint64, 0, 0
	}
	return id, holder, attempt
}
