package edge

import (
	"encoding/json"
	"net/netip"
	"sync"
	"time"
)

// Bounds of what the clients' log keeps.
const (
	clientLogEntries = 1000
	clientLogBytes   = 4096
)

// logEntry is one message of type log.
type logEntry struct {
	Time     time.Time       `json:"ts"`
	ClientID string          `json:"clientID"`
	IP       string          `json:"ip"`
	Body     json.RawMessage `json:"body"`
}

// clientLog keeps the last messages of type log that clients sent to the
// router. Safe for concurrent use.
type clientLog struct {
	mu      sync.Mutex
	entries []logEntry // a ring once it is full
	next    int
	full    func() // called for each entry that goes for a new one
}

func (l *clientLog) add(sid string, addr netip.Addr, body []byte) {
	if len(body) > clientLogBytes {
		body = []byte(`"(too long)"`)
	}
	entry := logEntry{time.Now().UTC(), sid, addr.String(), append(json.RawMessage(nil), body...)}
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

// list returns the entries, oldest first.
func (l *clientLog) list() []logEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append([]logEntry{}, l.entries[l.next:]...), l.entries[:l.next]...)
}

func (l *clientLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.next = nil, 0
}
