package shard

import (
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/tail"
	"hydrant/edge/internal/takeover"
)

// Bounds in time of tails.
const (
	// lingerAfter is how long a session that another holder has is listened for still:
	// that one may be asking.
	lingerAfter = 5 * time.Second
	// lingerWait is how long a question waits for copies that are on their way.
	lingerWait = 50 * time.Millisecond
	// lingerEvery is how often it is looked whose time is over.
	lingerEvery = time.Second
)

// lingering is a session that this shard has parked and still listens for. The next
// holder's node asks for its tail.
type lingering struct {
	key          takeover.Key
	tail         *tail.Tail
	subscription *egress.Subscription // nil: nothing more is listened for
	until        time.Duration        // uptime when it ends
	elsewhere    bool                 // another holder has the session
	asks         []*tailAsk           // that wait
}

// tailAsk is a question that waits for a copy.
type tailAsk struct {
	to     uint64
	timer  Timer
	answer func()
}

// linger goes on listening for a session that is being parked with nothing missing up to
// a sequence, and reports whether it does. known is the position that the directory has,
// if all that is between the two is of no matter; 0: it is.
func (h *held) linger(from, known uint64) bool {
	s := h.s
	long := s.node.Config.Linger
	if long <= 0 || s.offline || h.subscription == nil || s.node.Short.Load() {
		return false
	}
	if l := s.lingering[h.sid]; l != nil {
		s.endTail(l, stats.TailReplaced)
	}
	if !s.node.Tails.Begin(h.sid, s.index) {
		s.node.Metrics.TailsEnded.Inc(stats.TailNoRoom)
		return false
	}
	l := &lingering{key: h.key(), tail: s.beginTail(from, known), subscription: h.detach(), until: s.uptime() + long}
	s.lingering[h.sid] = l
	s.lingerers = append(s.lingerers, l)
	return true
}

// beginTail makes a tail that begins at a sequence. The next holder begins at the
// position that it knows.
func (s *Shard) beginTail(from, known uint64) *tail.Tail {
	if known == 0 || known >= from {
		return tail.New(from)
	}
	t := tail.New(known)
	if t.Add(&tail.Copy{Seq: from, Prev: known, Place: true, TTL: true}, s.loop.Now(), s.node.Tails.Room) != tail.Kept {
		return tail.New(from)
	}
	return t
}

// detach ends the delivery, and leaves the subscription to the caller.
func (h *held) detach() *egress.Subscription {
	if !h.listening() {
		return nil
	}
	h.s.node.Metrics.Sessions.End(h.core.State())
	h.core.Stop()
	stop(&h.deliver)
	subscription := h.subscription
	h.subscription = nil
	return subscription
}

// mayLinger reports whether the session has everything up to its cursor, and listens to
// all that follows.
func (h *held) mayLinger() bool {
	return h.owner.Phase() == ownership.Served && h.core.State() == session.Live
}

// keepCopy takes one live copy of a session that has been parked here.
func (s *Shard) keepCopy(l *lingering, msg *nats.Msg) {
	live, stored := store.ParseCopy(msg)
	if !stored || l.subscription == nil {
		return
	}
	if live.Mark != 0 && live.Holder != 0 && live.Holder != l.key.Holder && !l.elsewhere {
		l.elsewhere = true
		s.loop.AfterFunc(lingerAfter, func() {
			if s.lingering[l.key.SID] == l {
				s.endTail(l, stats.TailTakenOver)
			}
		})
	}
	c := tail.Copy{Seq: live.Seq, Prev: live.Prev, Time: live.Time, Place: live.Mark != 0, Holder: live.Holder,
		TTL: live.TTL, Life: live.Life, Trace: s.node.Tracing.of(msg.Header), Payload: live.Payload}
	switch l.tail.Add(&c, s.loop.Now(), s.node.Tails.Room) {
	case tail.Back:
		s.endTail(l, stats.TailWentBack)
		return
	case tail.Full:
		s.closeTail(l, stats.TailFull)
	case tail.Broken:
		s.closeTail(l, stats.TailBroken)
	}
	s.answerTails(l)
}

// closeTail listens no more: what there is stays.
func (s *Shard) closeTail(l *lingering, why stats.TailEnd) {
	if l.subscription != nil {
		s.node.Metrics.TailsEnded.Inc(why)
		s.out.Push(egress.Op{Kind: stats.OpUnsubscribe, Subject: scheme.LiveWildcard(l.key.SID), Subscription: l.subscription})
		l.subscription = nil
	}
}

// endTail drops a tail.
func (s *Shard) endTail(l *lingering, why stats.TailEnd) {
	s.closeTail(l, why)
	delete(s.lingering, l.key.SID)
	s.node.Tails.End(l.key.SID, s.index, l.tail.Bytes())
	l.tail.Close()
	s.answerTails(l)
	l.tail = tail.New(l.tail.End()) // lingerers knows it for a while
}

// emptyTail drops the copies of which the next holder has got all up to its own marker.
// Should the answer be lost, it reads the store. The subscription stays: to end it costs
// NATS as much as the question did, while there are perhaps many.
func (s *Shard) emptyTail(l *lingering) {
	s.node.Tails.Return(l.tail.Bytes())
	l.tail = tail.New(l.tail.End())
}

// endTails drops all tails that are of a kind.
func (s *Shard) endTails(why stats.TailEnd, of func(*lingering) bool) {
	for _, l := range s.lingering {
		if of(l) {
			s.endTail(l, why)
		}
	}
}

// DropTails drops all tails, for lack of memory.
func (s *Shard) DropTails() {
	s.endTails(stats.TailMemory, func(*lingering) bool { return true })
}

// expireTails drops those whose time is over, oldest first.
func (s *Shard) expireTails() {
	n := 0
	for _, l := range s.lingerers {
		gone := s.lingering[l.key.SID] != l
		if !gone && l.until > s.uptime() {
			break
		}
		if n++; !gone {
			s.endTail(l, stats.TailOver)
		}
	}
	clear(s.lingerers[:n])
	if s.lingerers = s.lingerers[n:]; len(s.lingerers) == 0 {
		s.lingerers = nil
	}
}

// GiveTail answers a node that asks for the tail of a session that it has taken over.
func (s *Shard) GiveTail(r *takeover.Request, reply string) {
	l := s.lingering[r.SID]
	if l == nil || l.key != r.Key() {
		s.Reply(reply, tail.None)
		return
	}
	give := func() {
		most := int(min(s.node.MaxPayload.Load()/2, tail.MaxPart))
		part := l.tail.Part(l.key.Holder, r.From, most, s.loop.Now())
		s.node.Metrics.TailParts.Inc()
		s.Reply(reply, part)
		if l.elsewhere && r.To <= l.tail.End() && l.tail.Fits(most) {
			s.emptyTail(l)
		}
	}
	if r.To <= l.tail.End() || l.tail.Closed() {
		give()
		return
	}
	ask := &tailAsk{to: r.To, answer: give}
	l.asks = append(l.asks, ask)
	ask.timer = s.loop.AfterFunc(lingerWait, func() { l.resolve(ask) })
}

// resolve answers a question that has waited.
func (l *lingering) resolve(ask *tailAsk) {
	for i, other := range l.asks {
		if other == ask {
			l.asks = append(l.asks[:i:i], l.asks[i+1:]...)
			ask.answer()
			return
		}
	}
}

// answerTails answers the questions that need not wait any more.
func (s *Shard) answerTails(l *lingering) {
	for _, ask := range append([]*tailAsk(nil), l.asks...) {
		if ask.to <= l.tail.End() || l.tail.Closed() {
			ask.timer.Stop()
			l.resolve(ask)
		}
	}
}
