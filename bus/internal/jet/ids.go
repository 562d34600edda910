package jet

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"hydrant/bus/scheme"
)

// messageID is what the stream deduplicates by: mailbox, sender, mid and content, so
// that one sender's mid cannot suppress another's message, nor the message for
// one session that for another, nor another message under a mid that was used. A mid
// that would not fit in a header as it is becomes its hash. content is empty for what
// can have but one.
func messageID(sid, sender, mid, content string) string {
	id := sid + ":"
	if sender != "" {
		id += sender + ":"
	}
	if plainID(mid) {
		id += mid
	} else {
		sum := sha256.Sum256([]byte(mid))
		id += "~" + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if content != "" {
		id += "~" + content
	}
	return id
}

// plainID: visible ASCII without the separators of messageID, not too long.
func plainID(s string) bool {
	if s == "" || len(s) > scheme.MaxMid {
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

// TTLSeconds is a Nats-TTL: whole seconds, rounded up, at least one (the
// server refuses less).
func TTLSeconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((min(d, maxTTL)+time.Second-1)/time.Second)), 10)
}
