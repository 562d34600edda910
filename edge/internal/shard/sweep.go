package shard

import (
	"context"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/stats"
)

// Sweeps over all sessions of a loop.
const (
	sweepEvery    = time.Minute // the longest a lost last copy goes unnoticed
	mendEvery     = time.Second // … if NATS has said that it dropped some
	sweepBatch    = 1024        // sessions of one multi_last request
	reattachBatch = 200         // sessions re-attached by one step
)

// renewal is how often a session's anchor and its entry are renewed. A resumed
// session's is due at once. So an anchor is a quarter of a TTL old when its
// session is parked, at the most, waits for one, and is replaced soon after:
// well within the age that mailboxes keep messages for, one and a half.
// Where another node has made the TTL less than this one's, that counts.
func (s *Shard) renewal() time.Duration { return s.node.Mailboxes.TTL() / 4 }

// renewals is how often a loop looks for those that are due.
func (s *Shard) renewals() time.Duration { return min(time.Minute, s.node.Mailboxes.TTL()/16) }

// renewLater renews again and again, until the node stops.
func (s *Shard) renewLater() {
	s.loop.AfterFunc(s.renewals(), func() {
		if s.node.Stopped.Err() == nil {
			s.renew()
			s.renewLater()
		}
	})
}

// renew stores what resumes can rely on, and rewrites the entries of live
// sessions before they expire, in steps. Checkpoints are no substitute: what
// they tell of may have had a time to live. For new sessions it only sees to it
// that their expiry is told, though this node should die.
func (s *Shard) renew() {
	var due, young []*held
	for _, h := range s.held {
		switch {
		case h.owner.Phase() != ownership.Served:
		case s.uptime()-h.renewed >= s.renewal():
			h.renewed = s.uptime()
			due = append(due, h)
		case !h.resumed && h.renewed > s.looked: // opened since the last time
			young = append(young, h)
		}
	}
	s.looked = s.uptime()
	s.step(young, (*held).expireLater)
	s.step(due, func(h *held) {
		if h.client == nil {
			return
		}
		h.whenServed(checked, func() { h.core.Refresh(h.session()) })
		h.owner.Changed(s.uptime(), h.ownership())
		h.expireLater()
	})
}

// sweep compares the cursors of quiet sessions with the mailboxes: a stream
// leader that died may have stored messages that it never republished.
func (s *Shard) sweep() {
	if !s.node.Connected.Load() {
		return
	}
	s.node.Logs.again()
	sids := make([]scheme.SID, 0, min(len(s.held), sweepBatch))
	for sid, h := range s.held {
		if h.owner.Phase() != ownership.Served {
			continue
		}
		sids = append(sids, sid)
		if len(sids) == sweepBatch {
			s.compare(sids)
			sids = make([]scheme.SID, 0, sweepBatch)
		}
	}
	if len(sids) > 0 {
		s.compare(sids)
	}
}

func (s *Shard) compare(sids []scheme.SID) {
	job := func(ctx context.Context) (map[scheme.SID]uint64, error) { return s.node.Mailboxes.LastSeqs(ctx, sids) }
	submit(s, job, func(last map[scheme.SID]uint64, err error) {
		if err != nil {
			s.node.Metrics.NATSErrors.Inc(stats.OpSweep)
			s.node.Log.Debug("sweep failed; the next one tries again", "error", err)
			return
		}
		for _, sid := range sids {
			if h := s.held[sid]; h != nil && h.served() {
				h.core.Swept(last[sid], h.session())
			}
		}
	})
}

// mend sweeps when copies have been dropped and the rush is over: where none
// follows, nothing else would show before the next sweep that one is missing.
func (s *Shard) mend() {
	if len(s.live) == 0 && s.missed.Swap(false) {
		s.sweep()
	}
}

// Disconnected reports that the connection to NATS is lost, before there is another
// one: what came over it counts no more. Connected follows.
func (s *Shard) Disconnected() {
	s.offline = true
	s.endTails(stats.TailDisconnected, func(*lingering) bool { return true })
	s.node.Crowd.Void()
	s.unanswered()
	s.since = logTime{marks: s.marks}
	for _, h := range s.held {
		if h.listening() {
			h.core.Disconnected(h.session())
		}
	}
}

// Connected reports a connection to NATS, and its epoch, in the order in which
// connections come and go. What came over it may have been here before this word, and
// even before that of the connection's loss, which then has to be made good.
func (s *Shard) Connected(epoch uint64) {
	if s.offline {
		s.reconnected(max(s.epoch, epoch))
		return
	}
	s.met(epoch)
}

// met notes the epoch of something that came from NATS, before that is looked at.
func (s *Shard) met(epoch uint64) {
	if epoch > s.epoch {
		s.reconnected(epoch)
	}
}

// reconnected has every session prove that it is still this node's after a new
// connection to NATS, in steps, and re-attaches it: while the node was cut off,
// others may have taken it. No session writes before its turn.
func (s *Shard) reconnected(epoch uint64) {
	if another(s.epoch, epoch) {
		s.resubscribe()
	}
	s.epoch = epoch
	s.node.Logs.meet(s.index, epoch, &s.seen)
	clear(s.seen[:])
	s.Disconnected() // the word of it may come later
	s.offline = false
	now := s.uptime()
	for _, h := range s.claims {
		h.owner.Reconnected(now, h.ownership())
	}
	s.doubtAll(func(h *held) { h.owner.Reconnected(now, h.ownership()) })
}

// Stalled reports that the process did not run for a while, so that another node
// may have taken sessions over. Until the directory has confirmed that a session
// is still this node's, nothing is written for it.
func (s *Shard) Stalled(gap time.Duration) {
	s.expireStalled()
	if len(s.held)+len(s.claims) == 0 {
		return
	}
	s.node.Log.Warn("the process did not run; verifying its sessions", "gap", gap, "sessions", len(s.held))
	now := s.uptime()
	for _, h := range s.claims {
		h.owner.Stalled(now, h.ownership())
	}
	s.doubtAll(func(h *held) { h.owner.Stalled(now, h.ownership()) })
}

// doubtAll tells every session of something that puts it in doubt. A session may
// end by it.
func (s *Shard) doubtAll(tell func(*held)) {
	list := make([]*held, 0, len(s.held))
	for _, h := range s.held {
		list = append(list, h)
	}
	for _, h := range list {
		tell(h)
	}
}

// LeaderChanged re-attaches the sessions of a mailbox stream with a new leader:
// the old one may have stored messages that it never republished.
func (s *Shard) LeaderChanged(partition int) {
	s.endTails(stats.TailLeader, func(l *lingering) bool { return s.node.Mailboxes.PartitionOf(l.key.SID) == partition })
	s.node.Crowd.VoidPartition(partition)
	var list []*held
	for _, h := range s.held {
		if h.listening() && s.node.Mailboxes.PartitionOf(h.sid) == partition {
			list = append(list, h)
		}
	}
	s.step(list, func(h *held) { h.whenServed(checked, func() { h.core.Reattach(false, h.session()) }) })
}

// step applies do to a bounded number of sessions at a time, so that NATS is not met by
// all of them at once.
func (s *Shard) step(list []*held, do func(*held)) {
	n := min(len(list), reattachBatch)
	for _, h := range list[:n] {
		if s.held[h.sid] == h {
			do(h)
		}
	}
	if n < len(list) {
		s.loop.AfterFunc(20*time.Millisecond, func() { s.step(list[n:], do) })
	}
}

// surveyEvery is how often the windows of acked clients are added up.
const surveyEvery = 2 * time.Second

// survey adds up what the clients of this shard have not confirmed: about 20 ns a
// session.
func (s *Shard) survey() {
	unacked, full := 0, 0
	for _, h := range s.held {
		n := h.core.Unconfirmed()
		unacked += n
		if n >= s.node.Config.Window {
			full++
		}
	}
	s.tally.Unacked.Store(int64(unacked))
	s.tally.Windowed.Store(int64(full))
}
