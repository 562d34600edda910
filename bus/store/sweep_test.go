package store

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

func TestLastSeqs(t *testing.T) {
	s := newStore(t, Config{})
	ctx := natstest.Context(t)
	want := make(map[scheme.SID]uint64)
	var sids []scheme.SID
	for i := range 20 {
		sid := scheme.NewSID()
		sids = append(sids, sid)
		if i%4 == 3 {
			continue // an empty mailbox
		}
		seqs := fill(t, s, sid, 1+i%3)
		want[sid] = seqs[len(seqs)-1]
	}
	got, err := s.LastSeqs(ctx, sids)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d of %d, %v", len(got), len(want), err)
	}
	for sid, seq := range want {
		if got[sid] != seq {
			t.Errorf("%d, want %d", got[sid], seq)
		}
	}
	if got, err := s.LastSeqs(ctx, nil); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	if got, err := s.LastSeqs(ctx, []scheme.SID{scheme.NewSID()}); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

// TestLastSeqsForgedEnd: a mailbox whose last message looks like the end of an
// answer ends none.
func TestLastSeqsForgedEnd(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	want := make(map[scheme.SID]uint64)
	for i := range 8 {
		sid := scheme.NewSID()
		if want[sid] = fill(t, s, sid, 1)[0]; i%2 == 0 {
			want[sid] = forgedEnds(t, s, sid)[3]
		}
	}
	got, err := s.LastSeqs(natstest.Context(t), slices.Collect(maps.Keys(want)))
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("%v, want %v, %v", got, want, err)
	}
}

// TestLastSeqsPages: an answer over sweepBytes comes in pages, more subjects
// than a request holds in several requests.
func TestLastSeqsPages(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx := natstest.Context(t)
	big := []byte(strings.Repeat("x", sweepBytes/4))
	want := make(map[scheme.SID]uint64)
	var sids []scheme.SID
	for i := range 10 + sweepSubjects {
		sid := scheme.NewSID()
		sids = append(sids, sid)
		if i < 10 {
			seq, err := s.Publish(ctx, sid, Outgoing{Payload: big})
			if err != nil {
				t.Fatal(err)
			}
			want[sid] = seq
		}
	}
	last := sids[len(sids)-1]
	want[last] = fill(t, s, last, 1)[0]
	got, err := s.LastSeqs(ctx, sids)
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("%v, want %v, %v", got, want, err)
	}
}
