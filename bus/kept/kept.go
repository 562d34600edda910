package kept

import (
	"cmp"
	"slices"
)

// Item is a copy of a message, or a record of a loss.
type Item[M any] struct {
	Seq  uint64 // of the message in its mailbox's stream; 0: it is a record
	Time int64  // when that stored it, Unix ns
	// Prev is the sequence up to which all had been dealt with before this copy.
	Prev uint64
	Msg  M

	// From and To are what was gone before it could be copied. From 0: what lies up to To
	// was too much, and its copies do not count. To 0: it says nothing.
	From, To uint64

	Round string // which set it aside
}

// Question is what a reader asks for: what follows in the mailbox from a sequence on.
type Question struct {
	From   uint64
	Place  uint64 // up to where it has dealt with all
	Anchor uint64 // the message that its place rests on; 0: none
	// Known: Anchor was met in this mailbox. A client's word may be anything.
	Known bool
	// Settled: up to there all was delivered and confirmed, and may not have been copied.
	Settled uint64

	Limit, MaxBytes int // of the answer, as for [Reader.Read]
}

// Answer is what was set aside of it.
type Answer[M any] struct {
	Msgs []Item[M] // in order, without omission
	// There: the anchor counts as there: behind it nothing is missing up to Msgs, or, if
	// there are none, up to the seal. AnchorTime is when it was stored, 0 if nobody knows.
	There      bool
	AnchorTime int64
	// Oldest is the first message behind what is missing, if the anchor does not count as
	// there. It is the seal, or what the log begins with, if Msgs is empty.
	Oldest uint64
	// Cut: behind Msgs something is missing, or the log is not to be read yet.
	Cut bool
}

// Shelf is what was set aside of one mailbox.
type Shelf[M any] struct {
	items  []Item[M]   // copies by sequence, each once
	losses [][2]uint64 // by their beginning
}

// NewShelf sorts items, which may be there twice and in any order.
func NewShelf[M any](items []Item[M]) Shelf[M] {
	var s Shelf[M]
	over := uint64(0)
	for i := range items {
		if items[i].Seq == 0 && items[i].From == 0 {
			over = max(over, items[i].To)
		}
	}
	if over > 0 {
		s.losses = append(s.losses, [2]uint64{1, over})
	}
	for i := range items {
		switch it := &items[i]; {
		case it.Seq > over:
			s.items = append(s.items, *it)
		case it.Seq == 0 && it.From != 0 && it.To > over:
			s.losses = append(s.losses, [2]uint64{max(it.From, over+1), it.To})
		}
	}
	s.items = latest(s.items)
	slices.SortFunc(s.losses, func(a, b [2]uint64) int { return cmp.Compare(a[0], b[0]) })
	return s
}

// Sealed answers from what lies before a seal.
func (s *Shelf[M]) Sealed(q Question, seal uint64) Answer[M] {
	return s.answer(q, seal, s.losses)
}

// Unsealed answers from what lies before the first message that the log has, where no seal
// says that it is all. Where two copies are not linked something may be missing between
// them, and in any case between the last one and the log. What is not beyond the anchor is
// left out. If there is nothing, what the log says of the anchor stands.
func (s *Shelf[M]) Unsealed(q Question, first uint64) Answer[M] {
	q.From = max(q.From, q.Anchor+1)
	losses, at := slices.Clone(s.losses), max(q.Settled, q.From-1)
	for i := range s.items {
		it := &s.items[i]
		if it.Seq > at && it.Seq < first {
			if it.Prev > at && at+1 < it.Seq {
				losses = append(losses, [2]uint64{at + 1, it.Seq - 1})
			}
			at = it.Seq
		}
	}
	if at+1 < first {
		losses = append(losses, [2]uint64{at + 1, first - 1})
	}
	return s.answer(q, first, losses)
}

// answer puts together what lies before end.
func (s *Shelf[M]) answer(q Question, end uint64, losses [][2]uint64) Answer[M] {
	low := max(q.From, q.Settled+1)
	if q.Anchor == 0 { // what was told as missing may have been copied all the same
		low = max(low, q.Place+1)
	}
	var a Answer[M]
	if anchor := s.at(q.Anchor); anchor != nil && q.Anchor < end {
		a.There, a.AnchorTime = true, anchor.Time
	} else {
		a.There = q.Known
	}
	// What is missing right behind the anchor, or the place, counts, wherever it is asked from.
	pivot := max(low, q.Anchor+1)
	next, behind := s.next(pivot, end), max(pivot, q.Place+1)
	lost := missing(losses, pivot, next-1)
	if !lost && behind > pivot {
		next = s.next(behind, end)
		lost = missing(losses, behind, next-1)
	}
	if q.Place < q.Settled || lost {
		a.There, a.AnchorTime = false, 0
		low = next
	}
	i, _ := slices.BinarySearchFunc(s.items, low, bySeq[M])
	if !a.There {
		a.Oldest = s.next(low, end)
	}
	for at := uint64(0); i < len(s.items) && s.items[i].Seq < end; i++ {
		if seq := s.items[i].Seq; at != 0 && missing(losses, max(at+1, pivot), seq-1) {
			a.Cut = true
			return a
		}
		at = s.items[i].Seq
		a.Msgs = append(a.Msgs, s.items[i])
	}
	if n := len(a.Msgs); n > 0 {
		a.Cut = missing(losses, a.Msgs[n-1].Seq+1, end-1)
	}
	return a
}

// next is the first copy from a sequence on, or end.
func (s *Shelf[M]) next(from, end uint64) uint64 {
	if i, _ := slices.BinarySearchFunc(s.items, from, bySeq[M]); i < len(s.items) {
		return min(s.items[i].Seq, end)
	}
	return end
}

// at is the copy of a message; nil: there is none.
func (s *Shelf[M]) at(seq uint64) *Item[M] {
	i, found := slices.BinarySearchFunc(s.items, seq, bySeq[M])
	if !found {
		return nil
	}
	return &s.items[i]
}

func bySeq[M any](it Item[M], seq uint64) int { return cmp.Compare(it.Seq, seq) }

// missing reports whether a loss lies between two sequences, both included.
func missing(losses [][2]uint64, from, to uint64) bool {
	return slices.ContainsFunc(losses, func(l [2]uint64) bool { return from <= to && l[0] <= to && from <= l[1] })
}

// Strange reports whether copies beyond a position are of what the log should still have
// and has not: it went back, and has lost its seals. has are the sequences that were read
// of the mailbox, in order and without omission, and last the stream's last one.
func (s *Shelf[M]) Strange(after uint64, has []uint64, last uint64) bool {
	return slices.ContainsFunc(s.items, func(it Item[M]) bool {
		switch {
		case it.Seq > last:
			return true
		case it.Seq <= after || len(has) == 0 || it.Seq < has[0] || it.Seq > has[len(has)-1]:
			return false
		}
		_, found := slices.BinarySearch(has, it.Seq)
		return !found
	})
}

// Beginning keeps the items of the lowest sequences that have so many bytes together, and
// all records of losses. end is the lowest sequence that was left out.
func Beginning[M any](items []Item[M], size func(*Item[M]) int, bytes int) (begin []Item[M], end uint64) {
	items = latest(items)
	for i := range items {
		if bytes -= size(&items[i]); bytes < 0 && items[i].Seq != 0 && i > 0 {
			end = items[i].Seq
			clear(items[i:])
			return items[:i], end
		}
	}
	return items, 0
}

// latest sorts items by sequence. Of copies of one sequence it leaves the last that was made:
// they are the same, unless the log went back in between.
func latest[M any](items []Item[M]) []Item[M] {
	slices.SortStableFunc(items, func(a, b Item[M]) int { return cmp.Compare(a.Seq, b.Seq) })
	kept := items[:0]
	for i := range items {
		if i+1 < len(items) && items[i].Seq != 0 && items[i].Seq == items[i+1].Seq {
			continue
		}
		kept = append(kept, items[i])
	}
	clear(items[len(kept):])
	return kept
}
