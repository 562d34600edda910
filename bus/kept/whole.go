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
	if b, done := r.shortly(); done {
		return b, nil
	}
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
	if err := r.open(seen.seal); err != nil {
		return Batch[M]{}, err
	}
	return r.fromSeal(seen.seal)
}

// ErrMissing: something of what was set aside is missing, or there is too much of it.
var ErrMissing = errors.New("not all was set aside")

// Aside returns what was set aside before a seal of what is asked for, if that is all that was
// before it, and [ErrMissing] else.
func Aside[M Message](src Reader[M], q Question, seal *Seal) ([]M, error) {
	r := reading[M]{src, &q, new(Memory[M])}
	if err := r.open(seal); err != nil {
		return nil, err
	}
	a, cut := r.shelved(seal)
	if cut || q.Anchor != 0 && !a.There {
		return nil, ErrMissing
	}
	list := make([]M, len(a.Msgs))
	for i := range a.Msgs {
		list[i] = a.Msgs[i].Msg
	}
	return list, nil
}

// open reads what was set aside before a seal.
func (r *reading[M]) open(seal *Seal) error {
	c := collector[M]{from: min(r.q.From, max(r.q.Anchor, 1))}
	there, err := asideSealed(r.src, seal, c.take)
	if err != nil {
		return err
	}
	c.lack(there, seal.Seq)
	*r.mem = Memory[M]{seal: seal, shelf: NewShelf(c.items), end: c.end}
	return nil
}

// fewest is how much of a mailbox is read at least where a seal is looked for.
const fewest = 16

// shortly answers what is asked most, what follows the anchor, with as few questions as that
// takes: it is there, or it was purged and a seal is there. False: it has to be looked at
// closely. One answer of one server has the seal and what follows it, so nothing of that was
// dropped, whenever what the seal names is read.
func (r *reading[M]) shortly() (b Batch[M], done bool) {
	q := r.q
	if q.Anchor == 0 || q.From != q.Anchor+1 {
		return b, false
	}
	if q.Limit <= 0 && !r.purged() { // what is there is for the leader to say
		return b, false
	}
	limit := min(max(q.Limit, fewest), mostMessages)
	list, _, err := r.src.Page(q.Anchor, limit+1, q.MaxBytes)
	if err != nil || len(list) == 0 {
		return b, false
	}
	if first := list[0].Meta(); first.Seq == q.Anchor {
		if q.Limit <= 0 || len(list) == 1 {
			return b, false
		}
		b.Msgs = list[1:min(len(list), 1+min(q.Limit, mostMessages))]
		b.Anchor, b.AnchorTime, b.Next = AnchorPresent, first.Time, b.Msgs[len(b.Msgs)-1].Meta().Seq+1
		return b, true
	}
	i := slices.IndexFunc(list, func(m M) bool { return m.Meta().Seal != nil })
	if i < 0 || q.Limit > 0 && !r.purged() {
		return b, false
	}
	seal := list[i].Meta().Seal
	if r.open(seal) != nil {
		return b, false
	}
	r.mem.start, r.mem.before = q.Anchor, i
	a, cut := r.shelved(seal)
	if len(a.Msgs) == 0 && cut {
		*r.mem = Memory[M]{}
		return b, false
	}
	return r.answer(a, cut, list[i:]), true
}

// purged reports whether the stream is known to begin behind the anchor.
func (r *reading[M]) purged() bool {
	first, _, err := r.src.Bounds()
	return err == nil && first > r.q.Anchor
}

// shelved is what was set aside of what is asked. cut: what follows it is not to be read yet.
func (r *reading[M]) shelved(seal *Seal) (a Answer[M], cut bool) {
	end := seal.Seq
	if r.mem.end != 0 {
		end = r.mem.end
	}
	a = r.mem.shelf.Sealed(*r.q, end)
	return a, a.Cut || r.mem.end != 0
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
	if err == nil && (now.Anchor != AnchorPresent || now.AnchorTime != seal.Time) {
		err = errBehind // or it was dropped since
	}
	if err != nil {
		return Batch[M]{}, err
	}
	now.AnchorTime = 0
	return now, nil
}

// fromSeal answers from what was set aside before a seal, and then from the log behind it.
// One answer of one server has the seal and what follows: nothing was dropped in between.
func (r *reading[M]) fromSeal(seal *Seal) (Batch[M], error) {
	a, cut := r.shelved(seal)
	limit := max(min(r.q.Limit, mostMessages)-len(a.Msgs), 1)
	if cut {
		limit = 1
	}
	log, err := r.behind(seal, limit)
	if err != nil {
		return Batch[M]{}, err
	}
	if len(log) == 0 {
		*r.mem = Memory[M]{}
		return Batch[M]{}, errDropped // or it is not there yet
	}
	if len(a.Msgs) == 0 && r.mem.end != 0 { // the rest of what was set aside has to be read
		*r.mem = Memory[M]{}
		return Batch[M]{}, ErrAgain
	}
	return r.answer(a, cut, log), nil
}

// behind reads a seal and what follows it; nothing, if that is not there.
func (r *reading[M]) behind(seal *Seal, limit int) ([]M, error) {
	from, before := seal.Seq, 0
	if r.mem.start != 0 {
		from, before = r.mem.start, r.mem.before
	}
	for {
		list, _, err := r.src.Page(from, before+limit, r.q.MaxBytes)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(m M) bool { return m.Meta().Seq == seal.Seq })
		if i >= 0 && list[i].Meta().Seal != nil && *list[i].Meta().Seal == *seal {
			return list[i:min(i+limit, len(list))], nil
		}
		if from == seal.Seq {
			return nil, nil
		}
		from, before = seal.Seq, 0 // what is before it has used the answer up
	}
}

// answer is what was set aside, and what follows it in the log.
func (r *reading[M]) answer(a Answer[M], cut bool, log []M) Batch[M] {
	var b Batch[M]
	q := r.q
	switch {
	case q.Anchor != 0 && a.There:
		b.Anchor, b.AnchorTime = AnchorPresent, a.AnchorTime
	case q.Anchor != 0:
		b.Anchor, b.Oldest = AnchorGone, a.Oldest
	}
	if len(a.Msgs) > 0 {
		if b.Next = a.Msgs[0].Seq; cut {
			log = nil
		}
	} else if len(log) > 0 {
		b.Next = log[0].Meta().Seq
	}
	if !a.There {
		b.Oldest = b.Next
	}
	if q.Limit <= 0 {
		return b
	}
	size, most, full := 0, q.MaxBytes, false
	if most <= 0 {
		most = usualBytes
	}
	add := func(m M) {
		size += m.Meta().Size
		if full = full || len(b.Msgs) == min(q.Limit, mostMessages) || size > most && len(b.Msgs) > 0; !full {
			b.Msgs = append(b.Msgs, m)
		}
	}
	for i := range a.Msgs {
		add(a.Msgs[i].Msg)
	}
	for i := range log {
		add(log[i])
	}
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
	if _, err := aside(r.src, 1, 0, "", c.take); err != nil {
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
	return r.answer(a, true, nil), nil
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
