package kept

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of a [Box].
var (
	// ErrMoved: something was stored in the mailbox since it was read.
	ErrMoved = errors.New("the mailbox's last message is another one")
	// ErrTooLarge: a message cannot be stored together with what says where it is from.
	ErrTooLarge = errors.New("too large to be set aside")
	// ErrRestless: a mailbox takes messages all the time.
	ErrRestless = fmt.Errorf("%w: the mailbox is never at rest", ErrAgain)
)

// WentBack is the error that the log of a mailbox is not the one that its session's entry
// is of.
type WentBack struct {
	Seq  uint64
	Time int64
}

func (e *WentBack) Error() string { return fmt.Sprintf("%d was another message", e.Seq) }

// Box is a mailbox that a round makes sure of.
type Box[M Message] interface {
	Source[M]
	// Look asks the leader for the message at a sequence. mine: it is of this mailbox.
	Look(seq uint64) (at int64, found, mine bool, err error)
	// Seal stores a seal if the mailbox's last message is the given one; else [ErrMoved].
	// [ErrAgain]: nobody knows whether it is there.
	Seal(s Seal, last uint64) error
	// Mark stores a marker that has no time to live.
	Mark() error
	// Copy sets messages aside, and tells of each when that is acknowledged, in any order;
	// place 0: its time to live is over. [ErrTooLarge]: it cannot. before is up to where all had
	// been dealt with before the first; each of the others comes after the one before it.
	Copy(list []M, before uint64, told func(i int, place uint64, err error) error) error
	// Lose sets aside the word that what lay between two sequences is gone; see [Item].
	Lose(from, to uint64) (place uint64, err error)
	// Hold sets aside something without a time to live that says nothing.
	Hold() (place uint64, err error)
	// Round is the name of the round that all of this is of.
	Round() string
}

// Position is what a session's entry says of its mailbox.
type Position struct {
	Floor     uint64 // up to there all was delivered
	FloorTime int64
	Seen      uint64 // a message without a time to live up to the floor, or behind it with markers only between
	SeenTime  int64
	Back      bool // they are of another log
	Unsure    bool // they may be
	Moved     bool // the mailbox has more than that
}

// Limits is how much may wait of what was set aside for a session.
type Limits struct{ Count, Bytes uint64 }

// move makes sure of one mailbox.
type move[M Message] struct {
	box   Box[M]
	most  Limits
	floor uint64 // up to there all was delivered

	last   uint64 // the mailbox's, up to which all is made sure
	anchor uint64 // one up to there that has no time to live: as long as it is there, nothing behind it was dropped
	at     int64  // when that was stored, Unix ns; 0: unknown
	link   uint64 // the last one that was dealt with, for the next copy
	read   bool   // what is beyond the anchor has to be read

	from, to     uint64 // what the seal will name
	lasts        bool   // what is there, at to, has no time to live
	round        string // of what is there
	count, bytes uint64
}

// sealTries bounds how often a mailbox that takes messages all the time is tried.
const sealTries = 50

// Settle sees to it that a mailbox says by a seal that all before it is delivered or set
// aside, unless it has nothing up to the horizon. Positions that were stored since a time
// are of the log that there is.
func Settle[M Message](box Box[M], p Position, horizon uint64, since int64, most Limits) error {
	m := &move[M]{box: box, most: most}
	m.last, m.at = p.Last()
	m.floor, m.anchor = p.delivered(), m.last
	m.link = m.floor
	if p.old(since) {
		there, err := m.look()
		if err != nil {
			return err
		}
		m.read = !there
	}
	m.read = m.read || p.Moved
	if m.last > horizon {
		return nil
	}
	for range sealTries {
		switch err := m.try(); {
		case errors.Is(err, ErrMoved):
		case errors.Is(err, ErrAgain):
			if err := box.Pause(); err != nil {
				return err
			}
		default:
			return err
		}
		m.read = true
	}
	return ErrRestless
}

// try seals the mailbox, if it is as it was read.
func (m *move[M]) try() error {
	if m.read || m.last == 0 {
		if err := m.readBox(); err != nil {
			return err
		}
	}
	if m.last == 0 { // nothing is ever compared with an empty mailbox
		if err := m.box.Mark(); err != nil {
			return err
		}
		return ErrMoved
	}
	if m.to != 0 && !m.lasts { // whoever reads must be able to tell that nothing is lost
		if err := m.hold(); err != nil {
			return err
		}
	}
	return m.box.Seal(Seal{From: m.from, To: m.to, Round: m.round, Count: m.count, Bytes: m.bytes}, m.last)
}

// look asks for the message at a position that may be of another log, and reports whether
// it is there.
func (m *move[M]) look() (there bool, err error) {
	at, found, mine, err := m.box.Look(m.last)
	switch {
	case err != nil:
		return false, err
	case found && mine && at == m.at:
		return true, nil
	case found:
		return false, &WentBack{m.last, m.at}
	}
	_, last, _, err := proven(m.box)
	if err == nil && last < m.last {
		err = &WentBack{m.last, m.at}
	}
	return false, err
}

// readBox reads all that the mailbox has beyond what is sure, and sets it aside. What is
// sure changes only when all of it is.
func (m *move[M]) readBox() error {
	list, there, err := m.beyond()
	if err != nil {
		return err
	}
	if there != nil && m.at != 0 && there.Time != m.at {
		return &WentBack{m.anchor, m.at}
	}
	newest, err := m.newestSeal(list)
	if err != nil {
		return err
	}
	next, grown := *m, false
	next.last, next.read = 0, false
	if newest >= 0 {
		s := list[newest].Meta().Seal
		next.from, next.to, next.lasts, next.round = s.From, s.To, true, s.Round
		next.count, next.bytes, next.link = s.Count, s.Bytes, max(s.Seq, m.floor)
	} else if there == nil {
		if grown, err = true, next.noteLoss(m, list); err != nil {
			return err
		}
	}
	if there != nil {
		next.last = there.Seq
	} else {
		next.anchor, next.at = 0, 0
	}
	for i := range list {
		l := list[i].Meta()
		if !l.TTL {
			next.anchor, next.at = l.Seq, l.Time
		}
		next.last = l.Seq
	}
	copied, err := next.copyAll(list[newest+1:], max(m.floor, m.last))
	if err == nil && (copied || grown) {
		err = next.bound()
	}
	if err != nil {
		return err
	}
	*m = next
	return nil
}

// newestSeal returns the place in a list of the last seal beyond what is sure; -1: there is
// none, or what it names is lost, so that it says nothing.
func (m *move[M]) newestSeal(list []M) (int, error) {
	for i, it := range slices.Backward(list) {
		s := it.Meta().Seal
		if s == nil || it.Meta().Seq <= m.last {
			continue
		}
		if s.To == 0 {
			return i, nil
		}
		e, err := aside(m.box, s.To, s.To, s.Round, func(uint64, Item[M]) {})
		if err == nil && !e.last {
			i = -1
		}
		return i, err
	}
	return -1, nil
}

// copyAll sets aside what lies behind all that was dealt with.
func (m *move[M]) copyAll(list []M, done uint64) (copied bool, err error) {
	var waits []M
	for i := range list {
		if l := list[i].Meta(); !l.Mark && l.Seq > done {
			waits = append(waits, list[i])
		}
	}
	if len(waits) > 0 && m.from == 0 && waits[0].Meta().TTL {
		if err := m.hold(); err != nil {
			return false, err
		}
	}
	err = m.box.Copy(waits, m.link, func(i int, place uint64, err error) error {
		l := waits[i].Meta()
		if errors.Is(err, ErrTooLarge) {
			place, err = m.box.Lose(l.Seq, l.Seq)
		}
		if err == nil && place != 0 {
			m.kept(place, !l.TTL)
			m.count, m.bytes = m.count+1, m.bytes+uint64(l.Size)
			m.link, copied = max(m.link, l.Seq), true
		}
		return err
	})
	return copied, err
}

// kept notes where something was set aside.
func (m *move[M]) kept(place uint64, lasts bool) {
	if place > m.to {
		m.to, m.lasts, m.round = place, lasts, m.box.Round()
	}
	if m.from == 0 || place < m.from {
		m.from = place
	}
}

// hold makes an end of what is set aside last.
func (m *move[M]) hold() error {
	place, err := m.box.Hold()
	if err == nil {
		m.kept(place, true)
	}
	return err
}

// beyond reads what the mailbox has after what is sure; there is the message up to which
// that is, nil if it is gone.
func (m *move[M]) beyond() (list []M, there *Meta, err error) {
	err = follow(m.box, max(m.anchor, 1), func(it M) bool {
		if l := it.Meta(); m.anchor != 0 && l.Seq == m.anchor {
			there = &l
		} else {
			list = append(list, it)
		}
		return false
	})
	return list, there, err
}

// noteLoss writes down that what followed in the mailbox is gone: neither what it was sure
// of is there, nor a seal.
func (m *move[M]) noteLoss(sure *move[M], list []M) error {
	from := max(sure.last, m.floor)
	m.from, m.to = 0, 0
	var lasting []Item[M]
	m.count, m.bytes = 0, 0
	if _, err := aside(m.box, 1, 0, "", func(place uint64, it Item[M]) {
		from = max(from, it.Seq, it.To)
		if m.kept(place, it.Seq == 0 || !it.Msg.Meta().TTL); place == m.to {
			m.round = it.Round
		}
		m.count++
		if it.Seq != 0 {
			m.bytes += uint64(it.Msg.Meta().Size)
		}
		if !m.lasts {
			return
		}
		var none M
		it.Msg = none
		lasting = append(lasting, it)
	}); err != nil {
		return err
	}
	first, end, probe, err := proven(m.box)
	if err != nil {
		return err
	}
	has := make([]uint64, len(list))
	for i := range list {
		has[i] = list[i].Meta().Seq
	}
	if err := upToDate(m.box, probe, 1, slices.Max(append(has, 0))); err != nil {
		return err // there may be a seal
	}
	shelf := NewShelf(lasting)
	if shelf.Strange(max(sure.last, m.floor), has, end) {
		return &WentBack{sure.anchor, sure.at}
	}
	to := first - min(1, first)
	if len(has) > 0 {
		to = has[0] - 1
	}
	if m.link = max(from, to); from >= to {
		return nil
	}
	place, err := m.box.Lose(from+1, to)
	if err == nil {
		m.kept(place, true)
	}
	return err
}

// bound writes down which copies are more than may wait.
func (m *move[M]) bound() error {
	if m.count <= m.most.Count && m.bytes <= m.most.Bytes {
		return nil
	}
	low := m.floor
	sizes := make(map[uint64]uint64)
	if _, err := aside(m.box, m.from, m.to, m.round, func(_ uint64, it Item[M]) {
		if it.Seq == 0 && it.From == 0 {
			low = max(low, it.To)
		} else if it.Seq != 0 {
			sizes[it.Seq] = uint64(it.Msg.Meta().Size)
		}
	}); err != nil {
		return err
	}
	m.count, m.bytes = 0, 0
	seqs := make([]uint64, 0, len(sizes))
	for seq := range sizes {
		if seq > low {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	for _, seq := range slices.Backward(seqs) {
		if m.count+1 > m.most.Count || m.bytes+sizes[seq] > m.most.Bytes {
			place, err := m.box.Lose(0, seq)
			if err == nil {
				m.kept(place, true)
			}
			return err
		}
		m.count, m.bytes = m.count+1, m.bytes+sizes[seq]
	}
	return nil
}
