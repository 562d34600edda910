package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// roomStore is a store in the form in which room is made, with small streams.
func roomStore(t testing.TB, cfg Config) (*Store, string) {
	t.Helper()
	url := natstest.Start(t).URL()
	cfg.Streams = 1
	s := openStore(t, connect(t, url), cfg)
	if err := s.Raise(natstest.Context(t)); err != nil {
		t.Fatal(err)
	}
	return s, url
}

// round makes room once, on a connection of its own.
func round(t testing.TB, s *Store, url string, since time.Time) (Made, error) {
	t.Helper()
	nc := connect(t, url, nats.NoReconnect())
	defer nc.Close()
	return s.MakeRoom(natstest.Context(t), Round{Conn: nc, Since: since, Lasts: func() bool { return true }}, []int{0})
}

// longAgo is a connection's beginning since which all was stored.
func longAgo() time.Time { return time.Now().Add(-time.Hour) }

// parked opens a session whose first marker is stored.
func parked(t testing.TB, s *Store, sid scheme.SID) uint64 {
	t.Helper()
	seq, at := lasting(t, s, sid)
	e := testEntry()
	e.State, e.Start = scheme.StateParked, seq
	e.Position = scheme.Position{Floor: seq, FloorTime: at, Seen: seq, SeenTime: at}
	if _, err := s.Directory().Create(natstest.Context(t), sid, e); err != nil {
		t.Fatal(err)
	}
	return seq
}

// lasting stores a marker without a time to live, and says where and when.
func lasting(t testing.TB, s *Store, sid scheme.SID) (seq uint64, at int64) {
	t.Helper()
	ctx := natstest.Context(t)
	seq, err := s.publish(ctx, &nats.Msg{Subject: scheme.MailboxSubject(sid), Header: nats.Header{scheme.HeaderMark: []string{"7"}}}, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Read(ctx, sid, seq, seq, 0, 0)
	if err != nil || b.Anchor != AnchorPresent {
		t.Fatalf("%v, %v", b.Anchor, err)
	}
	return seq, b.AnchorTime
}

// store1 stores a message.
func store1(t testing.TB, s *Store, sid scheme.SID, out Outgoing) uint64 {
	t.Helper()
	seq, err := s.Publish(natstest.Context(t), sid, out)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// whole reads a mailbox as a session does, from a position on, and returns its payloads,
// with "gap" where messages may be missing.
func whole(t testing.TB, s *Store, sid scheme.SID, floor, settled uint64, known bool) (got []string) {
	t.Helper()
	ctx := natstest.Context(t)
	place, anchor := floor, floor
	var shelf Shelf
	for range 10_000 {
		b, err := s.ReadWhole(ctx, sid, Question{From: place + 1, Anchor: anchor, Limit: 7, Place: place, Known: known || anchor != floor, Settled: settled, Shelf: &shelf})
		if err != nil {
			t.Fatal(err)
		}
		if b.Anchor == AnchorForeign {
			return append(got, "foreign")
		}
		if len(b.Msgs) == 0 {
			return got
		}
		for i, m := range b.Msgs {
			if b.Anchor == AnchorGone && (i == 0 || m.Seq <= b.Oldest) || b.Anchor == AnchorUnchecked && i == 0 {
				got = append(got, "gap")
			}
			if place = m.Seq; !m.TTL {
				anchor = m.Seq
			}
			if !m.Mark {
				got = append(got, string(m.Payload))
			}
		}
	}
	t.Fatal("it has no end")
	return nil
}

// rush stores messages for somebody who takes each at once, until the stream is so full
// that room is to be made.
func rush(t testing.TB, s *Store, sid scheme.SID) {
	t.Helper()
	ctx := natstest.Context(t)
	payload := make([]byte, 4<<10)
	for i := 0; ; i++ {
		if i%64 == 0 {
			crowded, err := s.Crowded(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(crowded) > 0 {
				return
			}
		}
		store1(t, s, sid, Outgoing{Payload: payload})
	}
}

// TestRoomWaits: what waits is there, once and in order, however much was stored for
// others.
func TestRoomWaits(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	var sids []scheme.SID
	floors := map[scheme.SID]uint64{}
	want := map[scheme.SID][]string{}
	for i := range 20 {
		sid := scheme.NewSID()
		sids = append(sids, sid)
		floors[sid] = parked(t, s, sid)
		for j := range i % 5 {
			text := fmt.Sprint(i, ".", j)
			store1(t, s, sid, Outgoing{Payload: []byte(text)})
			want[sid] = append(want[sid], text)
		}
	}
	busy := scheme.NewSID() // has no entry
	var made Made
	for n := range 12 {
		rush(t, s, busy)
		m, err := round(t, s, url, longAgo())
		if err != nil || m.Purged != 1 || m.Messages == 0 {
			t.Fatalf("round %d: %+v, %v", n, m, err)
		}
		made.Sealed, made.Refused, made.Copied = made.Sealed+m.Sealed, made.Refused+m.Refused, made.Copied+m.Copied
		sid := sids[n] // goes on getting mail
		text := fmt.Sprint("late ", n)
		store1(t, s, sid, Outgoing{Payload: []byte(text)})
		want[sid] = append(want[sid], text)
	}
	t.Logf("%+v", made)
	for i, sid := range sids {
		if got := whole(t, s, sid, floors[sid], floors[sid], true); !slices.Equal(got, want[sid]) {
			t.Errorf("session %d: %q, want %q", i, got, want[sid])
		}
	}
	if made.Copied != 51 { // each but the one that came after the last round, once
		t.Errorf("%d copies", made.Copied)
	}
}

// TestRoomPositions: a client's own position is looked for where it was set aside; below
// what was confirmed something is missing.
func TestRoomPositions(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	var seqs []uint64
	for i := range 4 {
		seqs = append(seqs, store1(t, s, sid, Outgoing{Payload: []byte(fmt.Sprint(i))}))
	}
	rush(t, s, scheme.NewSID())
	if m, err := round(t, s, url, longAgo()); err != nil || m.Purged != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, c := range []struct {
		name    string
		at      uint64
		settled uint64
		known   bool
		want    []string
	}{
		{"the entry's", floor, floor, true, []string{"0", "1", "2", "3"}},
		{"a copy", seqs[1], floor, false, []string{"2", "3"}},
		{"the last copy", seqs[3], floor, false, nil},
		{"nothing that was ever there", seqs[3] + 1, floor, false, []string{"gap"}},
		{"below what was confirmed", seqs[0], seqs[2], false, []string{"gap", "3"}},
	} {
		if got := whole(t, s, sid, c.at, c.settled, c.known); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestRoomLives: what has a time to live has the rest of it where it is set aside.
func TestRoomLives(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	store1(t, s, sid, Outgoing{Payload: []byte("stays")})
	store1(t, s, sid, Outgoing{Payload: []byte("goes"), TTL: 3 * time.Second})
	store1(t, s, sid, Outgoing{Payload: []byte("lives"), TTL: time.Hour})
	rush(t, s, scheme.NewSID())
	if m, err := round(t, s, url, longAgo()); err != nil || m.Purged != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	natstest.WaitFor(t, func() bool {
		return slices.Equal(whole(t, s, sid, floor, floor, true), []string{"stays", "lives"})
	})
}

// TestRoomTooMuch: more than may wait for a session is told as missing.
func TestRoomTooMuch(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true, QueueLimit: 10})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	var want []string
	for i := range 3 {
		for j := range 6 {
			text := fmt.Sprint(i, ".", j)
			store1(t, s, sid, Outgoing{Payload: []byte(text)})
			want = append(want, text)
		}
		rushUnbounded(t, s)
		if m, err := round(t, s, url, longAgo()); err != nil || m.Purged != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	want = append([]string{"gap"}, want[len(want)-10:]...)
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// rushUnbounded is rush, where one mailbox holds few messages.
func rushUnbounded(t testing.TB, s *Store) {
	t.Helper()
	for {
		crowded, err := s.Crowded(natstest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		if len(crowded) > 0 {
			return
		}
		for range 16 {
			store1(t, s, scheme.NewSID(), Outgoing{Payload: make([]byte, 4<<10)})
		}
	}
}

// TestRoomFull: where what is set aside is full nothing is purged, and the stream drops
// its oldest itself, which is told.
func TestRoomFull(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	for range 4 {
		store1(t, s, sid, Outgoing{Payload: make([]byte, 700<<10)})
	}
	if _, err := round(t, s, url, longAgo()); !errors.Is(err, ErrNoRoom) {
		t.Fatalf("%v", err)
	}
	if got := whole(t, s, sid, floor, floor, true); len(got) != 4 || slices.Contains(got, "gap") {
		t.Errorf("%d messages", len(got))
	}
	for range 6 {
		store1(t, s, scheme.NewSID(), Outgoing{Payload: make([]byte, 700<<10)})
	}
	store1(t, s, sid, Outgoing{Payload: []byte("the last")})
	got := whole(t, s, sid, floor, floor, true)
	if len(got) == 0 || got[len(got)-1] != "the last" || !slices.Contains(got, "gap") {
		t.Errorf("%d messages, and no gap", len(got))
	}
}

// TestRoomFullRead: however much was to be set aside, what is there can be read, also where
// the stream has dropped the seals.
func TestRoomFullRead(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	store1(t, s, sid, Outgoing{Payload: []byte("the first")})
	rush(t, s, scheme.NewSID())
	if m, err := round(t, s, url, longAgo()); err != nil || m.Copied != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	for range 4 {
		other := scheme.NewSID()
		parked(t, s, other)
		for range 300 {
			store1(t, s, other, Outgoing{Payload: make([]byte, 1<<10)})
		}
	}
	full := false
	for range 10 {
		for range 100 {
			other := scheme.NewSID()
			parked(t, s, other)
			for range 10 {
				store1(t, s, other, Outgoing{Payload: make([]byte, 2<<10)})
			}
		}
		_, err := round(t, s, url, longAgo())
		full = full || errors.Is(err, ErrNoRoom)
	}
	if !full {
		t.Fatal("it is never full")
	}
	for range 5 {
		store1(t, s, scheme.NewSID(), Outgoing{Payload: make([]byte, 900<<10)})
	}
	if got := whole(t, s, sid, floor, floor, true); len(got) == 0 || got[0] != "the first" {
		t.Errorf("%q", got)
	}
}

// TestRoomFullElsewhere: where one stream has no room for what is to be set aside, the others
// are purged all the same.
func TestRoomFullElsewhere(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	ctx := natstest.Context(t)
	s := openStore(t, nc, Config{Streams: 2, Bytes: 8 << 20, Memory: true})
	if err := s.Raise(ctx); err != nil {
		t.Fatal(err)
	}
	for i, waits := range []bool{true, false} {
		sid := scheme.NewSIDIn(i, 2)
		if waits {
			parked(t, s, sid)
		}
		for range 90 {
			store1(t, s, sid, Outgoing{Payload: make([]byte, 16<<10)})
		}
	}
	on := connect(t, nc.ConnectedUrl(), nats.NoReconnect())
	m, err := s.MakeRoom(ctx, Round{Conn: on, Since: longAgo(), Lasts: func() bool { return true }}, []int{0, 1})
	if !errors.Is(err, ErrNoRoom) || m.Purged != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestRoomOtherLog: a position that is another log's ends the round, and is noted: then no
// room is made.
func TestRoomOtherLog(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	ctx := natstest.Context(t)
	sid := scheme.NewSID()
	seq, at := lasting(t, s, sid)
	e := testEntry()
	e.Position = scheme.Position{Floor: seq, FloorTime: at - 1, Seen: seq, SeenTime: at - 1}
	if _, err := s.Directory().Create(ctx, sid, e); err != nil {
		t.Fatal(err)
	}
	rush(t, s, scheme.NewSID())
	if m, err := round(t, s, url, time.Now()); err == nil || m.Purged != 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if note, err := s.Directory().LastBack(ctx, 0); err != nil || note.Rev == 0 {
		t.Fatalf("%+v, %v", note, err)
	}
	if m, err := round(t, s, url, longAgo()); !errors.Is(err, ErrWentBack) || m != (Made{}) {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestRoomConnectionLost: a round ends with its connection, and with the node's.
func TestRoomConnectionLost(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	parked(t, s, scheme.NewSID())
	rush(t, s, scheme.NewSID())
	nc := connect(t, url, nats.NoReconnect())
	defer nc.Close()
	asked := 0
	lasts := func() bool { asked++; return asked < 2 } // until the purge
	m, err := s.MakeRoom(natstest.Context(t), Round{Conn: nc, Since: longAgo(), Lasts: lasts}, []int{0})
	if err == nil || m.Purged != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	nc.Close()
	ctx, cancel := context.WithTimeout(natstest.Context(t), 5*time.Second)
	defer cancel()
	if m, err := s.MakeRoom(ctx, Round{Conn: nc, Since: longAgo(), Lasts: func() bool { return true }}, []int{0}); err == nil || m.Purged != 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestRoomOlderForm: no room is made while nodes may run that do not read seals.
func TestRoomOlderForm(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	parked(t, s, scheme.NewSID())
	rush(t, s, scheme.NewSID())
	s.form.stream.Store(scheme.RoomForm - 1)
	if m, err := round(t, s, url, longAgo()); !errors.Is(err, ErrOlderNodes) || m != (Made{}) {
		t.Errorf("%+v, %v", m, err)
	}
	s.form.stream.Store(scheme.RoomForm)
	if m, err := round(t, s, url, longAgo()); err != nil || m.Purged != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestRoomAged: room is made in a stream that is not full, but old, where that removes enough
// for each session.
func TestRoomAged(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	aged := func(age time.Duration) int {
		t.Helper()
		partitions, err := s.Aged(natstest.Context(t), age)
		if err != nil {
			t.Fatal(err)
		}
		return len(partitions)
	}
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	want := waiting(t, s, sid, "a", 3)
	if aged(0) != 0 {
		t.Error("a few messages are worth a round")
	}
	for range 1000 {
		store1(t, s, scheme.NewSID(), Outgoing{Payload: make([]byte, 1<<10)})
	}
	if crowded, err := s.Crowded(natstest.Context(t)); err != nil || len(crowded) > 0 {
		t.Fatal(crowded, err)
	}
	if aged(time.Hour) != 0 || aged(0) != 1 {
		t.Errorf("%d, %d", aged(time.Hour), aged(0))
	}
	if m, err := round(t, s, url, longAgo()); err != nil || m.Messages < 500 {
		t.Errorf("%+v, %v", m, err)
	}
	if aged(0) != 0 {
		t.Error("a round follows the other")
	}
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range 1000 {
		store1(t, s, scheme.NewSID(), Outgoing{Payload: make([]byte, 1<<10)})
	}
	for range 10 {
		parked(t, s, scheme.NewSID())
	}
	if aged(0) != 0 {
		t.Error("it is worth a round, beside as many sessions")
	}
}

// TestRoomTurn: one node at a time makes room.
func TestRoomTurn(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	parked(t, s, scheme.NewSID())
	rush(t, s, scheme.NewSID())
	end, err := s.longTurn(natstest.Context(t), roomTurn, turnTime, turnPatience)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := round(t, s, url, longAgo()); !errors.Is(err, ErrOthersTurn) || m != (Made{}) {
		t.Errorf("%+v, %v", m, err)
	}
	end()
	if m, err := round(t, s, url, longAgo()); err != nil || m.Purged != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}
