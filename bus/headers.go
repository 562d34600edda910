package bus

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers of the scheme. Umf-* headers are set by nodes and by the store's own
// markers, never taken from a client.
const (
	// HeaderSession is the session id of the client that sent a message.
	HeaderSession = "Umf-Session"
	// HeaderMailbox is the subject that reaches that client.
	HeaderMailbox = "Umf-Mailbox"
	// HeaderIdentity is who the client proved to be; absent: nobody.
	HeaderIdentity = "Umf-Identity"
	// HeaderMark marks an empty message that only shows where a mailbox
	// stands; it is never shown to a client.
	HeaderMark = "Umf-Mark"
)

// Headers that NATS defines.
const (
	headerMsgID    = "Nats-Msg-Id"
	headerTTL      = "Nats-TTL"
	headerSeq      = "Nats-Sequence"
	headerLastSeq  = "Nats-Last-Sequence"
	headerTime     = "Nats-Time-Stamp"
	headerSubject  = "Nats-Subject"
	headerPending  = "Nats-Num-Pending"
	headerUpTo     = "Nats-UpTo-Sequence"
	headerExpected = "Nats-Expected-Last-Subject-Sequence"
	headerStatus   = "Status"
	headerKVOp     = "KV-Operation"
)

// headerWrite names one write to the directory.
const headerWrite = "Umf-Write"

// one returns the first value of a header, without the cost of a canonical
// form: NATS headers are case-sensitive.
func one(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// last returns the last value of a header: what the server adds comes behind
// what the publisher may have put there.
func last(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// Copy is a message of a mailbox as it arrives on the live subject.
type Copy struct {
	// Seq is the message's sequence in its stream.
	Seq uint64
	// Prev is the sequence of the message before it in the same mailbox that
	// the stream still had; 0: none.
	Prev uint64
	// Mark is the id of a marker; 0: a message for the client.
	Mark uint64
	// TTL: the message may vanish before the mailbox's other messages do.
	TTL bool
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
	if m.Header == nil {
		return c, false
	}
	seq, err := strconv.ParseUint(last(m.Header, headerSeq), 10, 64)
	if err != nil || seq == 0 {
		return c, false
	}
	c.Seq = seq
	c.Prev, _ = strconv.ParseUint(last(m.Header, headerLastSeq), 10, 64)
	c.Mark = markOf(m.Header)
	c.TTL = one(m.Header, headerTTL) != ""
	c.Time = storedAt(m.Header)
	return c, true
}

// storedAt is when the server says that it stored a message, Unix ns; 0: unknown.
func storedAt(h nats.Header) int64 {
	at, err := time.Parse(time.RFC3339Nano, last(h, headerTime))
	if err != nil {
		return 0
	}
	return at.UnixNano()
}

// markOf is the id of a marker, 0 for a message. A marker that cannot be read
// is somebody's all the same and must not reach a client.
func markOf(h nats.Header) uint64 {
	v := one(h, HeaderMark)
	if v == "" {
		return 0
	}
	id, err := strconv.ParseUint(v, 10, 64)
	if err != nil || id == 0 {
		return math.MaxUint64
	}
	return id
}

// messageID is what the stream deduplicates by: mailbox, sender and mid, so
// that one sender's mid cannot suppress another's message, nor the message for
// one session that for another. A mid that would not fit in a header as it is
// becomes its hash.
func messageID(sid, sender, mid string) string {
	id := sid + ":"
	if sender != "" {
		id += sender + ":"
	}
	if plainID(mid) {
		return id + mid
	}
	sum := sha256.Sum256([]byte(mid))
	return id + "~" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// plainID: visible ASCII without the separators of messageID, not too long.
func plainID(s string) bool {
	if s == "" || len(s) > MaxMid {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == ':' || c == '~' {
			return false
		}
	}
	return true
}

// maxTTL is longer than any mailbox lives. The server adds a message's time to
// live to the time of the day, in nanoseconds.
const maxTTL = 365 * 24 * time.Hour

// ttlSeconds is a Nats-TTL: whole seconds, rounded up, at least one (the
// server refuses less).
func ttlSeconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((min(d, maxTTL)+time.Second-1)/time.Second)), 10)
}
