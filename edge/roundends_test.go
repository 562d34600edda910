package edge

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

// TestRounds: a node makes room when a stream of mailboxes is too full, and says by its
// metrics what it did, or what stopped it.
func TestRounds(t *testing.T) {
	t.Parallel()
	nc := connected(t)
	n, _ := begin(t, nc.ConnectedUrl(), func(cfg *Config) { cfg.StoreBytes, cfg.RoomWait = 8<<20, 0 })
	r := &running{Node: n, t: t}
	own := rounds{node: n, since: time.Now()}
	own.look()
	sid, payload := scheme.NewSID(), make([]byte, 64<<10)
	for range 40 { // of 4 MiB
		if _, err := nc.Request(scheme.MailboxSubject(sid), payload, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	ends := func(end stats.RoundEnd) {
		t.Helper()
		r.until(func() error {
			own.look()
			if r.metric(fmt.Sprintf("hydrant_rounds_total{end=%q}", end)) == 0 {
				return errNotYet
			}
			return nil
		})
	}
	ends(stats.RoundOlder) // a new store begins with the form that they know
	own.wait = time.Hour
	ends(stats.RoundYoung)
	own.wait = 0
	if err := n.nats.link.Load().store.Raise(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.lookAtRoom(true)
	if full := r.metric(`hydrant_stream_bytes{stream="UMF_OUT_0"}`); full < 40*64<<10 {
		t.Errorf("%g bytes in the stream", full)
	}
	ends(stats.RoundPurged)
	if gone := r.metric(`hydrant_set_aside_total{what="purged"}`); gone < 30 {
		t.Errorf("%g messages are gone", gone)
	}
	n.lookAtRoom(true)
	if left, age := r.metric(`hydrant_stream_bytes{stream="UMF_OUT_0"}`), r.metric(`hydrant_stream_oldest_seconds{stream="UMF_OUT_0"}`); left > 10*64<<10 || age <= 0 || age > 3600 {
		t.Errorf("%g bytes are left, of the last %g seconds", left, age)
	}
}

// TestRoundsOfOldStreams: a node looks now and then whether streams are old.
func TestRoundsOfOldStreams(t *testing.T) {
	t.Parallel()
	nc := connected(t)
	n, _ := begin(t, nc.ConnectedUrl(), func(cfg *Config) { cfg.StoreBytes, cfg.LogAge = 64<<20, 0 })
	r := &running{Node: n, t: t}
	if err := n.nats.link.Load().store.Raise(t.Context()); err != nil {
		t.Fatal(err)
	}
	sid, payload := scheme.NewSID(), make([]byte, 6<<10)
	for range 1500 { // 9 MiB of 32, of which 3.2 stay
		if _, err := nc.Request(scheme.MailboxSubject(sid), payload, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	own := rounds{node: n, age: time.Nanosecond, since: time.Now()}
	own.look()
	if own.looked.IsZero() || r.metric(`hydrant_rounds_total{end="purged"}`) == 0 {
		t.Error("no room was made")
	}
	if before := own.looked; own.old(t.Context(), n.nats.link.Load().store) != nil || own.looked != before {
		t.Error("it looks again at once")
	}
}

// TestRoundEnds: how rounds end.
func TestRoundEnds(t *testing.T) {
	for want, err := range map[stats.RoundEnd]error{
		stats.RoundFull: fmt.Errorf("%w: more", store.ErrNoRoom), stats.RoundWentBack: errors.Join(store.ErrWentBack, errNotYet),
		stats.RoundOlder: store.ErrOlderNodes, stats.RoundOthers: store.ErrOthersTurn, stats.RoundYoung: errYoung,
		stats.RoundFailed: store.ErrUnconfirmed, stats.RoundNothing: nil,
	} {
		if got := endOf(store.Made{}, err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
	if got := endOf(store.Made{Purged: 1}, nil); got != stats.RoundPurged {
		t.Error(got)
	}
}
