package jet

import "github.com/nats-io/nats.go"

// Headers that NATS defines.
const (
	HeaderMsgID    = "Nats-Msg-Id"
	HeaderTTL      = "Nats-TTL"
	HeaderSeq      = "Nats-Sequence"
	HeaderLastSeq  = "Nats-Last-Sequence"
	HeaderTime     = "Nats-Time-Stamp"
	HeaderSubject  = "Nats-Subject"
	HeaderPending  = "Nats-Num-Pending"
	HeaderUpTo     = "Nats-UpTo-Sequence"
	HeaderExpected = "Nats-Expected-Last-Subject-Sequence"
	// HeaderExpectedStream names the stream that is to take a message.
	HeaderExpectedStream = "Nats-Expected-Stream"
	headerStatus         = "Status"
	HeaderKVOp           = "KV-Operation"
)

// LastHeader returns the last value of a header: what the server adds comes behind
// what the publisher may have put there.
func LastHeader(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}
