package stats

import (
	"encoding/json"
	"net/netip"
	"sync"
	"time"
)

// Bounds of the clients' log.
const (
	clientLogEntries = 1000
	clientLogBytes   = 4096 // of one body
)

// LogEntry is one message of type log, as the router API shows it.
type LogEntry struct {
	Time     time.Time       `json:"ts"`
	ClientID string          `json:"clientID"`
	IP       string          `json:"ip"`
	Body     json.RawMessage `json:"body"`
}

// ClientLog keeps the last messages of type log that clients sent to the
// router. Safe for concurrent use.
type ClientLog struct {
	full func() // immutable

	// Guarded by mu.
	mu      sync.Mutex
	entries []LogEntry // a ring once it is full
	next    int
}

// NewClientLog returns an empty log. It calls full for each entry that goes for
// a new one.
func NewClientLog(full func()) *ClientLog { return &ClientLog{full: full} }

// Add keeps a copy of body, raw JSON, unless it is too long. session is the short form
// of the session's id.
func (l *ClientLog) Add(session string, addr netip.Addr, body []byte) {
	if len(body) > clientLogBytes {
		body = []byte(`"(too long)"`)
	}
	entry := LogEntry{time.Now().UTC(), session, addr.String(), append(json.RawMessage(nil), body...)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) < clientLogEntries {
		l.entries = append(l.entries, entry)
		return
	}
	l.full()
	l.entries[l.next] = entry
	l.next = (l.next + 1) % clientLogEntries
}

// List returns the entries, oldest first.
func (l *ClientLog) List() []LogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append([]LogEntry{}, l.entries[l.next:]...), l.entries[:l.next]...)
}

// Clear empties the log.
func (l *ClientLog) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.next = nil, 0
}
