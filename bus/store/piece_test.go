package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestReadPiece: a piece has all that is in a partition, of whichever mailbox, and says
// what each message is.
func TestReadPiece(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	beside := other(sid)
	var elsewhere scheme.SID
	for elsewhere = scheme.NewSID(); s.PartitionOf(elsewhere) == s.PartitionOf(sid); {
		elsewhere = scheme.NewSID()
	}
	fill(t, s, elsewhere, 3)
	first := fill(t, s, sid, 2)
	fill(t, s, beside, 2)
	if _, err := s.Publish(ctx, sid, Outgoing{Payload: []byte("short"), TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if err := s.PublishMarker(sid, Marker{ID: 7, Holder: 8, Attempt: 9, Keep: true}); err != nil {
		t.Fatal(err)
	}
	last := fill(t, s, beside, 1)[0]
	read := func(from uint64, limit, bytes int) (Piece, string) {
		t.Helper()
		p, err := s.ReadPiece(ctx, s.PartitionOf(sid), from, limit, bytes)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, m := range p.Msgs {
			who := map[scheme.SID]string{sid: "a", beside: "b"}[m.SID]
			text += fmt.Sprintf("%s%d%s ", who, m.Seq-first[0], m.Payload)
			if m.Time == 0 || (m.Seq == first[1]+3) != (m.TTL && m.Life == time.Minute) || (m.Seq == first[1]+4) != (m.Mark && m.Holder == 8 && m.Attempt == 9) {
				t.Errorf("%+v", m)
			}
		}
		return p, text
	}
	const all = "a00 a11 b20 b31 a4short a5 b60 "
	if p, text := read(first[0], 100, 0); text != all || p.Last != last || p.More {
		t.Errorf("%q, last %d, more %v", text, p.Last, p.More)
	}
	if p, text := read(first[1], 2, 0); text != "a11 b20 " || p.Last != first[1]+1 || !p.More {
		t.Errorf("%q, last %d, more %v", text, p.Last, p.More)
	}
	if p, text := read(first[1], 100, 1); text != "a11 " || !p.More {
		t.Errorf("%q, more %v", text, p.More)
	}
	if p, text := read(last+1, 100, 0); text != "" || p.Last != 0 || p.More {
		t.Errorf("%q, last %d, more %v", text, p.Last, p.More)
	}
}

// TestReadPieceFails: what is not whole is none.
func TestReadPieceFails(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	fill(t, s, sid, 1)
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.ReadPiece(over, s.PartitionOf(sid), 1, 10, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := s.ReadPiece(ctx, 4711, 1, 10, 0); err == nil {
		t.Error("there is no such partition")
	}
	s.Close()
	if p, err := s.ReadPiece(ctx, s.PartitionOf(sid), 1, 10, 0); !errors.Is(err, ErrClosed) || len(p.Msgs) != 0 {
		t.Error(err)
	}
}
