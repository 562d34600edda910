package store

import (
	"fmt"
	"slices"
	"testing"

	"hydrant/bus/scheme"
)

// numbered stores messages from to below to.
func numbered(t *testing.T, s *Store, sid scheme.SID, from, to int) (seqs []uint64, texts []string) {
	t.Helper()
	for i := from; i < to; i++ {
		texts = append(texts, fmt.Sprint(i))
		seqs = append(seqs, store1(t, s, sid, Outgoing{Payload: []byte(texts[i-from])}))
	}
	return seqs, texts
}

// TestRoomBehindSeal: a client's own position may be before what was set aside, among it, or
// in the log behind it; what is below the entry's was confirmed.
func TestRoomBehindSeal(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	seqs, texts := numbered(t, s, sid, 0, 4)
	for range 2 { // the second seal repeats the first
		rush(t, s, scheme.NewSID())
		if m, err := round(t, s, url, longAgo()); err != nil || m.Purged != 1 || m.Sealed != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	more, later := numbered(t, s, sid, 4, 7)
	seqs, texts = append(seqs, more...), append(texts, later...)
	for _, c := range []struct {
		name    string
		at      uint64
		settled uint64
		want    []string
	}{
		{"at the floor", floor, floor, texts},
		{"at the floor, inside of what was set aside", seqs[1], seqs[1], texts[2:]},
		{"beyond the floor, inside", seqs[2], seqs[0], texts[3:]},
		{"at the end of what was set aside", seqs[3], floor, texts[4:]},
		{"behind the seal", seqs[4], floor, texts[5:]},
		{"at the end", seqs[6], floor, nil},
		{"below the floor, among what was set aside", seqs[0], seqs[2], append([]string{"gap"}, texts[3:]...)},
		{"below the floor, which is behind the seal", seqs[2], seqs[5], append([]string{"gap"}, texts[4:]...)},
	} {
		if got := whole(t, s, sid, c.at, c.settled, c.at == floor); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestRoomBounds: more than may wait came before a mailbox was sealed, or since.
func TestRoomBounds(t *testing.T) {
	const most, sent = 10, 30
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprint("before ", before), func(t *testing.T) {
			s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true, QueueLimit: most})
			sid := scheme.NewSID()
			floor := parked(t, s, sid)
			var first, last []string
			if before {
				_, last = numbered(t, s, sid, 0, sent)
			} else {
				_, first = numbered(t, s, sid, 0, 3)
			}
			rushUnbounded(t, s)
			if m, err := round(t, s, url, longAgo()); err != nil || m.Purged != 1 {
				t.Fatalf("%+v, %v", m, err)
			}
			if !before {
				_, last = numbered(t, s, sid, 3, sent)
			}
			got := whole(t, s, sid, floor, floor, true)
			gap := slices.Index(got, "gap")
			if gap < 0 || !slices.Equal(got[:gap], first) {
				t.Fatalf("%q, want %q and a gap", got, first)
			}
			if rest := got[gap+1:]; len(rest) < most || !slices.Equal(rest, last[len(last)-len(rest):]) {
				t.Errorf("%q, want a gap and the last of %q", got, last)
			}
		})
	}
}
