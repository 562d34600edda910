package store

import (
	"fmt"
	"testing"
	"time"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// diskStore is roomStore, on disk.
func diskStore(b *testing.B, cfg Config) (*Store, string) {
	b.Helper()
	url := natstest.Start(b).URL()
	cfg.Streams = 1
	s, err := Open(natstest.Context(b), connect(b, url), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	if err := s.Raise(natstest.Context(b)); err != nil {
		b.Fatal(err)
	}
	return s, url
}

// fillUp stores messages for others until room is to be made, and returns how many.
func fillUp(b *testing.B, s *Store) (n int) {
	b.Helper()
	ctx := natstest.Context(b)
	payload := make([]byte, 200)
	var others []scheme.SID
	for range 2000 {
		others = append(others, scheme.NewSID())
	}
	for {
		if crowded, err := s.Crowded(ctx); err != nil {
			b.Fatal(err)
		} else if len(crowded) > 0 {
			return n
		}
		done := make(chan error, 2000)
		for i := range 2000 {
			if err := s.PublishAsync(others[i], Outgoing{Payload: payload}, func(_ uint64, err error) { done <- err }); err != nil {
				b.Fatal(err)
			}
		}
		for range 2000 {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		n += 2000
	}
}

// BenchmarkRoom makes room beside parked sessions, one in twenty of which has got mail. A
// hundred messages were stored for each since the last round.
func BenchmarkRoom(b *testing.B) {
	const sessions = 2000
	s, url := diskStore(b, Config{Bytes: 2 * 2 * 100 * sessions * 260})
	var sids []scheme.SID
	for range sessions {
		sids = append(sids, scheme.NewSID())
		parked(b, s, sids[len(sids)-1])
	}
	var each, spent time.Duration
	messages := 0
	for b.Loop() {
		b.StopTimer()
		for i := 0; i < sessions; i += 20 {
			store1(b, s, sids[i], Outgoing{Payload: []byte("one")})
		}
		messages += fillUp(b, s)
		b.StartTimer()
		begun, before := time.Now(), processTime(b)
		if m, err := round(b, s, url, longAgo()); err != nil || m.Purged != 1 {
			b.Fatalf("%+v, %v", m, err)
		}
		each, spent = each+time.Since(begun), spent+processTime(b)-before
	}
	b.ReportMetric(float64(each.Microseconds())/float64(b.N)/sessions, "µs/session")
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N)/sessions, "cpu-µs/session")
	b.ReportMetric(float64(messages)/float64(b.N)/sessions, "messages/session")
}

// BenchmarkReadWhole reads what was set aside of mailboxes, beside others' messages.
func BenchmarkReadWhole(b *testing.B) {
	const sessions = 500
	s, url := diskStore(b, Config{Bytes: 256 << 20})
	var sids []scheme.SID
	floors := make(map[scheme.SID]uint64)
	for range sessions {
		sid := scheme.NewSID()
		sids, floors[sid] = append(sids, sid), parked(b, s, sid)
		for n := range 10 {
			store1(b, s, sid, Outgoing{Payload: fmt.Append(nil, n)})
		}
	}
	fillUp(b, s)
	if m, err := round(b, s, url, longAgo()); err != nil || m.Purged != 1 {
		b.Fatalf("%+v, %v", m, err)
	}
	fillUp(b, s)
	n, before := 0, processTime(b)
	for b.Loop() {
		sid := sids[n%sessions]
		n++
		var shelf Shelf
		at := floors[sid]
		got, err := s.ReadWhole(natstest.Context(b), sid, Question{From: at + 1, Anchor: at, Limit: 100, Place: at, Known: true, Settled: at, Shelf: &shelf})
		if err != nil || len(got.Msgs) < 10 || got.Anchor != AnchorPresent {
			b.Fatalf("%+v, %v", got, err)
		}
	}
	b.ReportMetric(float64((processTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/session")
}
