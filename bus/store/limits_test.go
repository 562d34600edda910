package store

import (
	"errors"
	"testing"
	"time"

	"hydrant/bus/embedded"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestStoreFull: when there is no room, the sender is told; when there is again,
// it goes on.
func TestStoreFull(t *testing.T) {
	ns, err := embedded.Start(embedded.Options{Open: true, DataDir: t.TempDir(), MaxMemory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Shutdown(natstest.Context(t)); err != nil {
			t.Error(err)
		}
	})
	s := openStore(t, connect(t, ns.URL()), Config{Streams: 1})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	big := Outgoing{Payload: make([]byte, 100<<10)}
	stored := 0
	for err = nil; err == nil && stored < 100; stored++ {
		_, err = s.Publish(ctx, sid, big)
	}
	if !errors.Is(err, ErrRefused) || errors.Is(err, ErrUnconfirmed) {
		t.Fatalf("after %d: %v", stored, err)
	}
	st, err := s.js.Stream(ctx, "UMF_OUT_0")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(ctx, sid, big); err != nil {
		t.Error(err)
	}
}

// TestStreamFull: with a bound on all mailboxes together the oldest message of
// any goes, and its reader finds its anchor gone.
func TestStreamFull(t *testing.T) {
	s := newStore(t, Config{Streams: 1, Bytes: 200 << 10 * 10 / 7})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, 3)
	for range 4 {
		if _, err := s.Publish(ctx, other(sid), Outgoing{Payload: make([]byte, 60<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.Read(ctx, sid, seqs[0]+1, seqs[0], 10, 0)
	if err != nil || len(b.Msgs) != 0 || b.Anchor != AnchorGone || b.Next != 0 || b.Oldest != 0 || b.Last < seqs[2] {
		t.Fatalf("%+v, %v", b, err)
	}
}

// TestExpiry: a message with a TTL, a marker that is not kept, and a session that
// nobody refreshes are gone after their time.
func TestExpiry(t *testing.T) {
	t.Parallel() // a second is the least that the server knows
	s := newStore(t, Config{Streams: 1, TTL: time.Second})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	if _, err := s.Publish(ctx, sid, Outgoing{Payload: []byte("x"), TTL: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Directory().Create(ctx, sid, testEntry()); err != nil {
		t.Fatal(err)
	}
	natstest.WaitFor(t, func() bool {
		b, err := s.Read(ctx, sid, 1, 0, 10, 0)
		return err == nil && len(b.Msgs) == 0 && b.Next == 0
	})
	natstest.WaitFor(t, func() bool {
		_, _, err := s.Directory().Get(ctx, sid)
		return errors.Is(err, ErrNoSession)
	})
}
