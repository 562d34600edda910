package harness

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// sidForm is a session id: 128 bits in base32.
const sidForm = `[a-z2-7]{26}`

// scheme lists every subject that may carry a message, each with why. It is
// written from the documentation, ours and NATS', and not from bus.
var scheme = compile(map[string]string{
	"to services":            `umf\.v1\.svc\.[A-Za-z0-9_-]{1,64}`,
	"to one instance":        `umf\.v1\.inst\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{1,64}`,
	"mailbox":                `umf\.v1\.out\.[a-z2-7]\.` + sidForm,
	"live copy":              `umf\.v1\.live\.[a-z2-7]\.` + sidForm + `\.[sp]`,
	"service to service":     `umf\.v1\.call\.[A-Za-z0-9_-]{1,64}`,
	"edge's part of the API": `JS\.EDGE\.[A-Za-z0-9_.-]+`,
	"reply":                  `umf\.v1\.reply\.[0-9a-f]{32}\.[a-z2-7]\.` + sidForm + `(\.[mx][A-Za-z0-9_-]{0,200})?`,
	"request to a service":   `umf\.v1\.req\.[0-9a-f]{32}\.[A-Za-z0-9_-]{1,64}`,
	"node to node":           `umf\.v1\.node\.[0-9a-f]{32}`,
	"work queue":             `umf\.v1\.work\.[A-Za-z0-9_-]{1,64}`,
	"given up work":          `umf\.v1\.dead\.[A-Za-z0-9_-]{1,64}`,
	"is there a session":     `umf\.v1\.exists\.[a-z2-7]\.` + sidForm,
	"session events":         `umf\.v1\.evt\.session\.(opened|parked|resumed|expired|closed)\.[a-z2-7]\.` + sidForm,
	"expiry":                 `umf\.v1\.(expiry|gone)\.[a-z2-7]\.` + sidForm,
	"directory":              `\$KV\.UMF_SESSIONS\.` + sidForm,
	"a node's own probe":     `\$KV\.UMF_SESSIONS\._probe-[0-9a-f]{32}`,
	"a signed message":       `\$KV\.UMF_SESSIONS\._seen-[A-Za-z0-9_-]{32}`,
	"a log that went back":   `\$KV\.UMF_SESSIONS\._back-[0-9]+`,
	"a turn":                 `\$KV\.UMF_SESSIONS\._turn-work`,
	"JetStream requests":     `\$JS\.API\.[A-Za-z0-9_.$-]+>?`,
	"JetStream acks":         `\$JS\.ACK\.[A-Za-z0-9_.-]+`,
	"JetStream advisories":   `\$JS\.EVENT\.(ADVISORY|METRIC)\.[A-Za-z0-9_.-]+`,
	"NATS micro":             `\$SRV\.(PING|INFO|STATS)(\.[A-Za-z0-9_-]+){0,2}`,
	"inboxes":                `_INBOX(_[A-Za-z0-9_-]{1,64})?\.[A-Za-z0-9_.-]+`,
})

// assets are the only streams that requests to JetStream may name.
var assets = regexp.MustCompile(`^(UMF_OUT_[0-9]{1,2}|UMF_WORK|UMF_EXPIRY|KV_UMF_SESSIONS)$`)

func compile(forms map[string]string) *regexp.Regexp {
	var all []string
	for _, form := range forms {
		all = append(all, form)
	}
	return regexp.MustCompile(`^(` + strings.Join(all, "|") + `)$`)
}

// A Watch sees the subject of every message that any client publishes on a
// server, and keeps those that the scheme does not allow. It is written to by
// the server's process (natsd -watch); its other methods may be called
// concurrently.
type Watch struct {
	log *Log // gets what is no message

	// Owned by the goroutine that copies the process's output.
	rest []byte // an unfinished line

	// Guarded by mu.
	mu       sync.Mutex
	bad      []string
	own      map[string]bool // subjects that the test itself uses
	matching []*Match
	fences   map[string]chan struct{}
}

// A Match collects the subjects that contain a text.
type Match struct {
	Text string
	seen []string // guarded by the watch's mu
}

func newWatch(log *Log) *Watch {
	return &Watch{log: log, own: make(map[string]bool), fences: make(map[string]chan struct{})}
}

// Write takes the output of natsd.
func (w *Watch) Write(p []byte) (int, error) {
	text := append(w.rest, p...)
	for {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			break
		}
		if subject, ok := bytes.CutPrefix(line, []byte("PUB ")); ok {
			w.see(string(subject))
		} else if _, err := w.log.Write(append(line, '\n')); err != nil {
			return 0, err
		}
		text = rest
	}
	w.rest = bytes.Clone(text)
	return len(p), nil
}

// Bounds of what a watch remembers.
const (
	keptViolations = 20
	keptMatches    = 1000
)

func (w *Watch) see(subject string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fence, ok := w.fences[subject]; ok {
		close(fence)
		delete(w.fences, subject)
		return
	}
	for _, match := range w.matching {
		if strings.Contains(subject, match.Text) && len(match.seen) < keptMatches {
			match.seen = append(match.seen, subject)
		}
	}
	if !w.own[subject] && !allowed(subject) && len(w.bad) < keptViolations {
		w.bad = append(w.bad, subject)
	}
}

func allowed(subject string) bool {
	if !scheme.MatchString(subject) {
		return false
	}
	api, isAPI := strings.CutPrefix(subject, "$JS.API.")
	if !isAPI {
		return true
	}
	for token := range strings.SplitSeq(api, ".") {
		if strings.HasPrefix(token, "UMF") || strings.HasPrefix(token, "KV_") {
			return assets.MatchString(token)
		}
	}
	return true // INFO, STREAM.NAMES and the like name none
}

// Allow adds a subject that the test itself publishes to.
func (w *Watch) Allow(subject string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own[subject] = true
}

// Match starts to collect subjects that contain text.
func (w *Watch) Match(text string) *Match {
	w.mu.Lock()
	defer w.mu.Unlock()
	match := &Match{Text: text}
	w.matching = append(w.matching, match)
	return match
}

// Seen returns the subjects that matched so far.
func (w *Watch) Seen(match *Match) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(match.seen)
}

// Fence returns when everything that the server took before has been looked
// at; nc is any connection to it. What an edge does may still be on its way to
// the server: fence the edge first (a ping to the router and its pong).
func (w *Watch) Fence(ctx context.Context, nc *nats.Conn) error {
	subject := nats.NewInbox()
	done := make(chan struct{})
	w.mu.Lock()
	w.fences[subject] = done
	w.mu.Unlock()
	if err := nc.Publish(subject, nil); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Violations returns the subjects outside the scheme.
func (w *Watch) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.bad)
}
