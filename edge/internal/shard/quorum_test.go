package shard

import (
	"context"
	"fmt"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/stats"
)

// quorumRig is what a session's owner asks for, of a shard without a loop, a
// socket, or NATS.
type quorumRig struct {
	Loop
	Directory
	ownership.Effects // of the machine, until it is where a test begins

	t      *testing.T
	timers int
	idle   int // jobs that keep no worker
	reads  []string
}

func (r *quorumRig) Now() time.Time { return time.Unix(1_700_000_000, 0) }

func (r *quorumRig) AfterFunc(time.Duration, func()) Timer {
	r.timers++
	return time.NewTimer(time.Hour)
}

func (r *quorumRig) PostWait(context.Context, func()) error { return nil }

func (r *quorumRig) Submit(job func()) bool {
	job()
	return true
}

func (r *quorumRig) SubmitIdle(job func()) bool {
	r.idle++
	return r.Submit(job)
}

func (r *quorumRig) Get(context.Context, scheme.SID) (scheme.Entry, uint64, error) {
	r.reads = append(r.reads, "get")
	return scheme.Entry{}, 0, store.ErrNoSession
}

func (r *quorumRig) Sure(context.Context, scheme.SID) (scheme.Entry, uint64, time.Duration, error) {
	r.reads = append(r.reads, "sure")
	return scheme.Entry{}, 0, 0, store.ErrNoSession
}

func (r *quorumRig) Attach(scheme.Position, bool)          {}
func (r *quorumRig) Position() scheme.Position             { return scheme.Position{Floor: 1, Seen: 1} }
func (r *quorumRig) Read(uint32, bool)                     {}
func (r *quorumRig) Write(uint32, *scheme.Entry, uint64)   {}
func (r *quorumRig) Timer(uint32, time.Duration)           {}
func (r *quorumRig) Admit(*scheme.Entry) ownership.Refusal { return ownership.Allowed }

// held is a session of holder 7 whose first entry is on its way, as write 1.
func newQuorumRig(t *testing.T) (*quorumRig, *held) {
	r := &quorumRig{t: t}
	node := &Node{Metrics: stats.New(), Calls: r, Directory: r, Stopped: context.Background(), Config: new(config.Config), Started: r.Now()}
	h := &held{s: &Shard{node: node, loop: r}, sid: scheme.NewSID()}
	h.owner.Open(scheme.Entry{Holder: 7}, r)
	h.owner.Placed(0, r)
	return r, h
}

// TestWriteInFlight: a write that met another on its way is written again after a
// pause. Only one that met another entry says that somebody else may have it.
func TestWriteInFlight(t *testing.T) {
	r, h := newQuorumRig(t)
	h.wrote(1, 0, fmt.Errorf("not stored: %w", store.ErrBusy))
	if r.timers != 1 || len(r.reads) != 0 {
		t.Errorf("busy: %d timers, reads %v", r.timers, r.reads)
	}
	r, h = newQuorumRig(t)
	h.wrote(1, 0, fmt.Errorf("not stored: %w", store.ErrFenced))
	if r.timers != 0 || fmt.Sprint(r.reads) != "[sure]" {
		t.Errorf("fenced: %d timers, reads %v", r.timers, r.reads)
	}
}

// TestReadSure: what must be proved is asked of a quorum, and nothing else is. Who
// waits for that keeps no worker from others.
func TestReadSure(t *testing.T) {
	r, h := newQuorumRig(t)
	h.ownership().Read(5, false)
	h.ownership().Read(6, true)
	if fmt.Sprint(r.reads) != "[get sure]" || r.idle != 1 {
		t.Errorf("%v, %d without a worker", r.reads, r.idle)
	}
}

// TestForeignMarkers: a rival's marker is told from one's own, and from those of
// the holder before, by its holder alone, and counts once.
func TestForeignMarkers(t *testing.T) {
	_, h := newQuorumRig(t)
	for i, c := range []struct {
		holder, seq uint64
		want        bool
	}{
		{7, 1, false}, // its own
		{0, 2, false}, // of no known form
		{8, 3, true},
		{8, 3, false}, // read back
		{8, 2, false},
		{9, 4, true},
	} {
		if got := h.foreign(c.holder, c.seq); got != c.want {
			t.Errorf("%d: holder %d at %d: %v", i, c.holder, c.seq, got)
		}
	}
	r, h := newQuorumRig(t)
	h.owner = ownership.Machine{}
	h.owner.Claim("", 7, 0, false, r)
	h.owner.Found(1, &scheme.Entry{Holder: 6, State: scheme.StateParked}, 3, 0, 0, r)
	h.owner.Stored(2, 4, 0, claimed{r})
	if h.owner.Former() != 6 || h.foreign(6, 1) || !h.foreign(5, 1) {
		t.Errorf("former holder %d", h.owner.Former())
	}
}

// claimed lets a claim succeed.
type claimed struct{ *quorumRig }

func (claimed) Claimed(*scheme.Entry) bool { return true }
