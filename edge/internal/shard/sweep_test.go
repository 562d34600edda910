package shard

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// TestDroppedCopies: nothing shows that copies are missing if no other follows.
// The shard looks when NATS says that it has dropped some.
func TestDroppedCopies(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.deaf = true
	l.store(c.id, 0, 1)
	s.deaf = false
	l.advance(2 * mendEvery)
	c.quiet()
	s.missed.Store(true)
	l.advance(mendEvery)
	c.gets(0, 1)
}

// TestMendWaits: while copies are still coming there is no use in looking.
func TestMendWaits(t *testing.T) {
	l := newLab(t)
	s := l.one()
	sweeps := 0
	l.nats.faults.sweep = func() fault { sweeps++; return fault{} }
	s.dial()
	s.missed.Store(true)
	s.live <- (&stored{sid: scheme.NewSID(), seq: 1}).copy(0)
	l.advance(3 * mendEvery)
	if sweeps != 0 || !s.missed.Load() {
		t.Errorf("%d sweeps with a copy in the queue", sweeps)
	}
	<-s.live
	l.advance(3 * mendEvery)
	if sweeps != 1 {
		t.Errorf("%d sweeps", sweeps)
	}
}

// TestSweepFindsLostCopy: the last copy is lost, and NATS does not know it. The
// next sweep finds it, or the one after that if the store does not answer.
func TestSweepFindsLostCopy(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.deaf = true
	l.store(c.id, 0, 1)
	s.deaf = false
	l.nats.faults.sweep = func() fault { return fails(store.ErrUnavailable) }
	s.node.counts(`hydrant_nats_errors_total{op="sweep"}`, func() { s.do(s.sweep) })
	c.quiet()
	l.nats.faults.sweep = nil
	s.node.Connected.Store(false)
	l.advance(sweepEvery)
	c.quiet()
	s.node.Connected.Store(true)
	l.advance(sweepEvery)
	c.gets(0, 1)
}

// TestSweepInBatches: many sessions are asked about in several requests.
func TestSweepInBatches(t *testing.T) {
	l := newLab(t)
	s := l.one()
	sweeps := 0
	l.nats.faults.sweep = func() fault { sweeps++; return fault{} }
	for range sweepBatch + 1 {
		s.knock(dialOptions{})
	}
	l.run()
	s.do(s.sweep)
	l.run()
	if sweeps != 2 {
		t.Errorf("%d requests", sweeps)
	}
}

// TestSweepFindsNothing: a mailbox that has lost all it had is found as well.
func TestSweepFindsNothing(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.store(c.id, 0, 3)
	c.gets(0, 3)
	b := l.nats
	b.log = slices.DeleteFunc(b.log, func(m *stored) bool { return m.sid == c.id })
	l.store(scheme.NewSID(), 0, 1) // another's: what was between, no one can tell
	s.node.counts(`hydrant_gaps_total{why="expired"}`, func() { s.do(s.sweep) })
	l.store(c.id, 3, 6)
	c.gets(3, 6)
}

// expiries are the sessions for which word of their expiry was left, in order.
func (b *broker) expiries() (sids []string) {
	for _, m := range b.published {
		if strings.HasPrefix(m.Subject, scheme.PrefixExpiry) {
			sids = append(sids, m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
		}
	}
	return sids
}

// TestYoungSession: a node may die before it has had to renew a session. So that
// others tell of its expiry, word is left when it is looked at for the first time.
func TestYoungSession(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.do(s.renew)
	s.do(s.renew)
	l.advance(3 * s.renewals())
	if got := l.nats.expiries(); !slices.Equal(got, []string{string(c.id)}) {
		t.Errorf("word is left for %v", got)
	}
}

// TestRenewal: the entry of a session is written again long before it expires, and
// word of its expiry is left again. That of a session which was resumed is written
// at once.
func TestRenewal(t *testing.T) {
	l := newLab(t)
	s := l.one(func(n *Node) { n.Config.SessionTTL = time.Hour })
	c := s.dial()
	first := l.nats.entries[c.id].rev
	l.advance(s.renewal() - s.renewals())
	if rev := l.nats.entries[c.id].rev; rev != first {
		t.Errorf("written before it is due")
	}
	l.advance(3 * s.renewals())
	if rev := l.nats.entries[c.id].rev; rev == first {
		t.Error("not written")
	}
	if n := len(l.nats.expiries()); n != 2 {
		t.Errorf("word of the expiry was left %d times", n)
	}
	other := s.dial()
	other.resumes(object{"id": string(c.id)})
	l.run()
	first = l.nats.entries[c.id].rev
	l.advance(s.renewals())
	if rev := l.nats.entries[c.id].rev; rev == first {
		t.Error("not written after a resume")
	}
}

// TestAnchorIsRenewed: a session that is sent only messages with a time to live
// has nothing of them to rely on.
func TestAnchorIsRenewed(t *testing.T) {
	l := newLab(t)
	s := l.one(func(n *Node) { n.Config.SessionTTL = 8 * time.Second })
	c := s.dial()
	begin := l.nats.last(c.id)
	for i := range 30 {
		l.nats.append(&stored{sid: c.id, data: numbered(c.id, i), ttl: true, expires: l.now + time.Minute})
		c.gets(i, i+1)
		l.advance(100 * time.Millisecond)
	}
	if !slices.ContainsFunc(l.nats.log, func(m *stored) bool { return m.sid == c.id && m.seq > begin && m.mark != 0 && !m.ttl }) {
		t.Error("there is no marker that stays")
	}
}

// TestLeaderChanged: what the old leader has stored, and never published, comes
// when there is a new one; other partitions are left alone.
func TestLeaderChanged(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.deaf = true
	l.store(c.id, 0, 2)
	s.deaf = false
	mine := s.node.Mailboxes.PartitionOf(c.id)
	s.do(func() { s.LeaderChanged(1 - mine) })
	c.quiet()
	s.do(func() { s.LeaderChanged(mine) })
	c.gets(0, 2)
}

// TestLeaderChangedInSteps: NATS does not meet all sessions at once.
func TestLeaderChangedInSteps(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.node.Mailboxes = onePartition{s.node.Mailboxes}
	for range 2*reattachBatch + 1 {
		s.knock(dialOptions{})
	}
	l.run()
	before := len(l.nats.log)
	s.do(func() { s.LeaderChanged(0) })
	for _, want := range []int{reattachBatch, 2 * reattachBatch, 2*reattachBatch + 1} {
		l.run()
		if n := len(l.nats.log) - before; n != want {
			t.Errorf("%d markers, want %d", n, want)
		}
		l.advance(20 * time.Millisecond)
	}
}

// onePartition has all mailboxes in one stream.
type onePartition struct{ Mailboxes }

func (onePartition) PartitionOf(scheme.SID) int { return 0 }

// TestSurvey: what acked clients have not confirmed is added up.
func TestSurvey(t *testing.T) {
	l := newLab(t)
	s := l.one(func(n *Node) { n.Config.Window = 2 })
	full, other := s.dialAcked(), s.dialAcked()
	s.dial()
	l.store(full.id, 0, 3)
	l.store(other.id, 0, 1)
	l.advance(surveyEvery)
	if unacked, windowed := s.tally.Unacked.Load(), s.tally.Windowed.Load(); unacked != 3 || windowed != 1 {
		t.Errorf("%d unconfirmed, %d full windows", unacked, windowed)
	}
}
