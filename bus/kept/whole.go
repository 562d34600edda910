package kept

import (
	"errors"
	"slices"
)

// Reader is what a mailbox is read by.
type Reader[M Message] interface {
	Source[M]
	// Read returns what the stream itself has; see [Batch]. Limit 0 asks for the anchor only.
	Read(from, anchor uint64, limit, maxBytes int) (Batch[M], error)
	// WentBack reports whether it is known that the stream's log is not the one any more
	// that copies may be of.
	WentBack() (bool, error)
}

// Memory is what a reader remembers of what was set aside of its mailbox, from one question
// to the next. The zero value remembers nothing. It belongs to one reading at a time.
type Memory[M Message] struct {
	seal  *Seal // nil: nothing
	shelf Shelf[M]
	end   uint64 // it has all up to there; 0: up to the seal
}

// Empty reports whether it remembers nothing.
func (m *Memory[M]) Empty() bool { return m.seal == nil }

// reading is one question.
type reading[M Message] struct {
	src Reader[M]
	q   *Question
	mem *Memory[M]
}

// Read answers a question of the mailbox as if nothing of it had been purged.
func Read[M Message](src Reader[M], q Question, mem *Memory[M]) (Batch[M], error) {
	r := reading[M]{src, &q, mem}
	if seal := mem.seal; seal != nil && q.Anchor < seal.Seq && q.From <= seal.Seq {
		if b, err := r.fromSeal(seal); !errors.Is(err, ErrAgain) {
			return b, err
		}
	}
	*mem = Memory[M]{}
	b, err := src.Read(q.From, q.Anchor, q.Limit, q.MaxBytes)
	if err != nil || b.Anchor == AnchorPresent || b.Anchor == AnchorForeign {
		return b, err
	}
	if whole, err := r.whole(); whole || err != nil {
		return b, err
	}
	seen, err := r.find()
	switch {
	case err != nil:
		return Batch[M]{}, err
	case seen.seal == nil:
		return r.unsealed(b)
	case seen.seal.Seq < q.From:
		return r.behindSeal(seen.seal, b)
	}
	c := collector[M]{from: min(q.From, max(q.Anchor, 1))}
	if seen.seal.To != 0 {
		if err := aside(src, seen.seal.From, seen.seal.To, c.take); err != nil {
			return Batch[M]{}, err
		}
	}
	*mem = Memory[M]{seen.seal, NewShelf(c.items), c.end}
	return r.fromSeal(seen.seal)
}

// whole reports whether nothing that the question is about was purged.
func (r *reading[M]) whole() (bool, error) {
	place := max(r.q.Anchor, 1)
	if r.q.Anchor == 0 {
		place = r.q.From
	}
	first, _, err := r.src.Bounds()
	if err != nil || first > place {
		return false, err
	}
	first, _, _, err = proven(r.src)
	return first <= place, err
}

// found is what the log shows from a place on.
type found struct {
	seal *Seal    // the first seal; nil: none
	seqs []uint64 // without a seal: all there are
}

// find looks for the first seal from a place on. A server is behind that has what was purged
// with the anchor.
func (r *reading[M]) find() (f found, err error) {
	q := r.q
	from := max(q.From, 1)
	if q.Anchor != 0 && q.Anchor < from {
		from = q.Anchor
	}
	behind := false
	err = follow(r.src, from, func(it M) (enough bool) {
		switch m := it.Meta(); {
		case m.Seq <= q.Anchor:
			behind = true
		case m.Seal != nil:
			f.seal = m.Seal
		default:
			f.seqs = append(f.seqs, m.Seq)
		}
		return behind || f.seal != nil
	})
	if behind {
		err = errBehind
	}
	return f, err
}

// behindSeal answers where a seal lies between the anchor and what is asked for: as long as
// it is there, it stands for the anchor. b is what the log alone says.
func (r *reading[M]) behindSeal(seal *Seal, b Batch[M]) (Batch[M], error) {
	q := r.q
	if !q.Known || q.Place < q.Settled {
		return b, nil
	}
	now, err := r.src.Read(q.From, seal.Seq, q.Limit, q.MaxBytes)
	if err != nil || now.Anchor != AnchorPresent || now.AnchorTime != seal.Time {
		return b, err
	}
	now.AnchorTime = 0
	return now, nil
}

// fromSeal answers from what was set aside before a seal, and else from the log behind it.
// One answer of one server has the seal and what follows: nothing was dropped in between.
func (r *reading[M]) fromSeal(seal *Seal) (Batch[M], error) {
	limit, end := max(r.q.Limit, 1), seal.Seq
	if r.mem.end != 0 {
		end = r.mem.end
	}
	a := r.mem.shelf.Sealed(*r.q, end)
	if len(a.Msgs) > 0 {
		limit = 1
	}
	list, _, err := r.src.Page(seal.Seq, limit, r.q.MaxBytes)
	if err != nil {
		return Batch[M]{}, err
	}
	if len(list) == 0 || list[0].Meta().Seal == nil || *list[0].Meta().Seal != *seal {
		*r.mem = Memory[M]{}
		return Batch[M]{}, errDropped // or it is not there yet
	}
	if len(a.Msgs) == 0 && r.mem.end != 0 { // the rest of what was set aside has to be read
		*r.mem = Memory[M]{}
		return Batch[M]{}, ErrAgain
	}
	return r.answer(a, list), nil
}

// answer is what was set aside, and else what follows in the log.
func (r *reading[M]) answer(a Answer[M], log []M) Batch[M] {
	var b Batch[M]
	q := r.q
	switch {
	case q.Anchor != 0 && a.There:
		b.Anchor, b.AnchorTime = AnchorPresent, a.AnchorTime
	case q.Anchor != 0:
		b.Anchor, b.Oldest = AnchorGone, a.Oldest
	}
	if len(a.Msgs) > 0 {
		log, b.Next = nil, a.Msgs[0].Seq
	} else if len(log) > 0 {
		b.Next = log[0].Meta().Seq
	}
	if !a.There {
		b.Oldest = b.Next
	}
	if q.Limit <= 0 {
		return b
	}
	size, most := 0, q.MaxBytes
	if most <= 0 {
		most = usualBytes
	}
	for _, it := range a.Msgs {
		if size += it.Msg.Meta().Size; len(b.Msgs) == min(q.Limit, mostMessages) || size > most && len(b.Msgs) > 0 {
			break
		}
		b.Msgs = append(b.Msgs, it.Msg)
	}
	b.Msgs = append(b.Msgs, log...)
	b.Next = b.Msgs[len(b.Msgs)-1].Meta().Seq + 1
	return b
}

const (
	// mostMessages bounds one answer, and usualBytes one whose question gives no bound.
	mostMessages = 1024
	usualBytes   = 1 << 20
)

// unsealed answers where no seal is there any more, so that the stream itself has dropped
// what came after it. What was set aside is compared with a log that has all that was
// stored before it was read. b is what the log alone says.
func (r *reading[M]) unsealed(b Batch[M]) (Batch[M], error) {
	q := r.q
	back, err := r.src.WentBack()
	if err != nil {
		return Batch[M]{}, err
	}
	if back { // copies may be of a log that is gone
		return b, nil
	}
	c := collector[M]{from: min(q.From, max(q.Anchor, 1))}
	if err := aside(r.src, 1, 0, c.take); err != nil {
		return Batch[M]{}, err
	}
	seqs, last, err := r.rest()
	if err != nil {
		return Batch[M]{}, err
	}
	if len(c.items) == 0 {
		return b, nil
	}
	shelf, first := NewShelf(c.items), last+1
	if len(seqs) > 0 {
		first = seqs[0]
	}
	lasting := NewShelf(slices.DeleteFunc(slices.Clone(c.items), func(it Item[M]) bool { return it.Seq != 0 && it.Msg.Meta().TTL }))
	if lasting.Strange(max(q.Anchor, q.Settled), seqs, last) {
		if q.Anchor != 0 { // else the copies are of a log that is known to be gone
			b = Batch[M]{Anchor: AnchorForeign, Oldest: b.Oldest, Last: last, HasLast: true}
		}
		return b, nil
	}
	if c.end != 0 {
		first = min(first, c.end)
	}
	a := shelf.Unsealed(*q, first)
	if len(a.Msgs) == 0 {
		return b, nil
	}
	return r.answer(a, nil), nil
}

// rest is all that the log has, and the last sequence of its stream.
func (r *reading[M]) rest() (seqs []uint64, last uint64, err error) {
	_, last, probe, err := proven(r.src)
	if err != nil {
		return nil, 0, err
	}
	seen, err := r.find()
	switch n := len(seen.seqs); {
	case err != nil:
	case seen.seal != nil:
		err = errBehind
	case n == 0:
		err = upToDate(r.src, probe, r.q.From, 0)
	default:
		err = upToDate(r.src, probe, r.q.From, seen.seqs[n-1])
	}
	return seen.seqs, last, err
}

const (
	// shelfBytes bounds what of it is in memory for one session: the beginning.
	shelfBytes = 4 << 20
)

// collector keeps the beginning of what was set aside.
type collector[M Message] struct {
	from  uint64
	items []Item[M]
	bytes int
	end   uint64 // what is from there on was not kept; 0: all was
}

func (c *collector[M]) take(_ uint64, it Item[M]) {
	if it.Seq != 0 && (it.Seq < c.from || c.end != 0 && it.Seq >= c.end) {
		return
	}
	c.items = append(c.items, it)
	if it.Seq == 0 {
		return
	}
	if c.bytes += it.Msg.Meta().Size; c.bytes <= 2*shelfBytes {
		return
	}
	c.items, c.end = Beginning(c.items, itemSize[M], shelfBytes)
	c.bytes = 0
	for i := range c.items {
		c.bytes += itemSize(&c.items[i])
	}
}

func itemSize[M Message](it *Item[M]) int {
	if it.Seq == 0 {
		return 0
	}
	return it.Msg.Meta().Size
}
