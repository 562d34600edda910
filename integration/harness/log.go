package harness

import (
	"bytes"
	"sync"
)

// logBound is how much of a process's output is kept: the newest bytes.
const logBound = 4 << 20

// A Log keeps what a process wrote to its standard output and error. All of
// its methods may be called concurrently.
type Log struct {
	mu      sync.Mutex
	text    []byte // the newest bytes, at most logBound
	dropped int64  // bytes before text
}

// Write appends p; it never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if over := len(l.text) - logBound; over > 0 {
		l.text = append(l.text[:0], l.text[over:]...)
		l.dropped += int64(over)
	}
	return len(p), nil
}

// Mark returns the present end of the log, for Since.
func (l *Log) Mark() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped + int64(len(l.text))
}

// Since returns what was written after mark, as far as it is kept.
func (l *Log) Since(mark int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := min(max(mark-l.dropped, 0), int64(len(l.text)))
	return bytes.Clone(l.text[from:])
}

// Tail returns at most n of the newest bytes.
func (l *Log) Tail(n int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text[max(0, len(l.text)-n):])
}
