package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// What the tests know of the store is what DESIGN §2 publishes: the streams'
// names, the mailbox subjects, the marker header, and the directory's bucket.

// mailboxStream finds the stream that holds a session's mailbox.
func (w *world) mailboxStream(t *testing.T, sid string) jetstream.Stream {
	t.Helper()
	name, err := w.js.StreamNameBySubject(t.Context(), mailbox(sid))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := w.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// countStored compares the number of messages in a mailbox that are for the
// client.
func (w *world) countStored(t *testing.T, sid string, count int) error {
	t.Helper()
	stream := w.mailboxStream(t, sid)
	got := 0
	for seq := uint64(1); ; {
		m, err := stream.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(mailbox(sid)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return err
		}
		if m.Header.Get("Umf-Mark") == "" {
			got++
		}
		seq = m.Sequence + 1
	}
	if got != count {
		return fmt.Errorf("the mailbox of %s holds %d messages, want %d", sid, got, count)
	}
	return nil
}

// entry is the directory's word on a session.
func (w *world) entry(t *testing.T, sid string) (bus.Entry, error) {
	t.Helper()
	var entry bus.Entry
	bucket, err := w.js.KeyValue(t.Context(), "UMF_SESSIONS")
	if err != nil {
		return entry, err
	}
	value, err := bucket.Get(t.Context(), sid)
	if err != nil {
		return entry, err
	}
	return entry, json.Unmarshal(value.Value(), &entry)
}

// parked waits until the directory says that nobody holds the session.
func (w *world) parked(t *testing.T, sid string) {
	t.Helper()
	if err := harness.Until(patient(t), func() error {
		entry, err := w.entry(t, sid)
		if err == nil && entry.State != bus.StateParked {
			err = fmt.Errorf("session %s is %v", sid, entry.State)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// bodyNumber reads a body that is a number.
func bodyNumber(t *testing.T, m message) int {
	t.Helper()
	n, err := strconv.Atoi(m.Body())
	if err != nil {
		t.Fatalf("no number: %.300s", m.Raw)
	}
	return n
}

// gap is the body of a gap message (DESIGN §3.4).
type gap struct {
	From json.RawMessage `json:"from"`
	To   json.RawMessage `json:"to"`
	Why  string          `json:"why"`
}

func readGap(t *testing.T, m message) gap {
	t.Helper()
	var g gap
	if m.Type() != "gap" || json.Unmarshal([]byte(m.Body()), &g) != nil || g.From == nil || g.To == nil {
		t.Fatalf("no gap: %.300s", m.Raw)
	}
	return g
}

// patient is a context for waits that should be short.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), harness.Patience) // also in a cleanup
	t.Cleanup(cancel)
	return ctx
}

var errNobody = errors.New("nobody got it")

var errStillReady = errors.New("the node says that it is ready")
