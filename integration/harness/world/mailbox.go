package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
)

// The tests know of the store what any NATS client can: the streams' names, the
// mailbox subjects, the marker header, and the directory's bucket.

// Entry is what the directory says of a session, as far as the tests ask: a
// reading of its own, as all of the harness.
type Entry struct {
	Node  string `json:"n"`
	State State  `json:"s"`
}

// State says whether a session has a socket.
type State int

// The states that the directory knows, in the second form of its entries.
const (
	Live   State = 3
	Parked State = 4
)

// mailboxStream finds the stream that holds a session's mailbox.
func (w *World) mailboxStream(t *testing.T, sid string) jetstream.Stream {
	t.Helper()
	name, err := w.JS.StreamNameBySubject(t.Context(), Mailbox(sid))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := w.JS.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// count is how many messages for the client a mailbox holds, markers not counted.
func (w *World) count(t *testing.T, sid string) (int, error) {
	t.Helper()
	stream := w.mailboxStream(t, sid)
	n := 0
	for seq := uint64(1); ; {
		m, err := stream.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(Mailbox(sid)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		if m.Header.Get("Umf-Mark") == "" {
			n++
		}
		seq = m.Sequence + 1
	}
}

// CountStored compares the number of messages for the client in a mailbox.
func (w *World) CountStored(t *testing.T, sid string, want int) error {
	t.Helper()
	got, err := w.count(t, sid)
	if err == nil && got != want {
		err = fmt.Errorf("the mailbox of %s holds %d messages, want %d", sid, got, want)
	}
	return err
}

// LookUp is the directory's word on a session.
func (w *World) LookUp(t *testing.T, sid string) (Entry, error) {
	t.Helper()
	var e Entry
	bucket, err := w.JS.KeyValue(t.Context(), "UMF_SESSIONS")
	if err != nil {
		return e, err
	}
	value, err := bucket.Get(t.Context(), sid)
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(value.Value(), &e)
}

// WaitParked waits until no node holds the session, says the directory.
func (w *World) WaitParked(t *testing.T, sid string) {
	t.Helper()
	if err := harness.Until(Patient(t), func() error {
		entry, err := w.LookUp(t, sid)
		if err == nil && entry.State != Parked {
			err = fmt.Errorf("session %s is in state %d", sid, entry.State)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// BodyNumber reads a body that is a number.
func BodyNumber(t *testing.T, m harness.Message) int {
	t.Helper()
	n, err := strconv.Atoi(m.Body())
	if err != nil {
		t.Fatalf("no number: %.300s", m.Raw)
	}
	return n
}

// Gap is the body of a gap message: the first and the last sequence that are
// missing, and why.
type Gap struct {
	From json.RawMessage `json:"from"`
	To   json.RawMessage `json:"to"`
	Why  string          `json:"why"`
}

// ReadGap reads a message that has to be a gap.
func ReadGap(t *testing.T, m harness.Message) Gap {
	t.Helper()
	var g Gap
	if m.Type() != "gap" || json.Unmarshal([]byte(m.Body()), &g) != nil || g.From == nil || g.To == nil {
		t.Fatalf("no gap: %.300s", m.Raw)
	}
	return g
}

// Patient is a context for waits that should be short.
func Patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), harness.Patience) // also in a cleanup
	t.Cleanup(cancel)
	return ctx
}

// Stored waits until the mailbox of a session holds that many messages,
// markers not counted.
func (w *World) Stored(t *testing.T, sid string, count int) {
	t.Helper()
	if err := harness.Until(Patient(t), func() error { return w.CountStored(t, sid, count) }); err != nil {
		t.Fatal(err)
	}
}

// Total is how many messages for the client a mailbox holds.
func (w *World) Total(t *testing.T, sid string) int {
	t.Helper()
	n, err := w.count(t, sid)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
