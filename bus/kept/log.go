package kept

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrAgain: what was answered proves nothing, since a server is behind, or something was
// dropped meanwhile. To ask again helps.
var ErrAgain = errors.New("not proven")

var (
	errBehind  = fmt.Errorf("%w: a server is behind", ErrAgain)
	errDropped = fmt.Errorf("%w: messages were dropped while they were read", ErrAgain)
)

// Message is one of a mailbox, as it was read.
type Message interface{ Meta() Meta }

// Meta is what is decided by.
type Meta struct {
	Seq  uint64
	Time int64 // when the stream stored it, Unix ns; 0: unknown
	Mark bool  // a marker, not for the client
	TTL  bool  // it has a time to live
	Size int
	Seal *Seal // it is one; nil: it is none
}

// Seal says: all that its mailbox held before it was delivered, or is in what was set
// aside from one place to another. 0 and 0: all was delivered.
type Seal struct {
	Seq      uint64
	Time     int64
	From, To uint64
	Round    string // what lies at To is of that
	// Count and Bytes are of the copies there, those that are there twice or were delivered
	// since as well.
	Count, Bytes uint64
}

// AnchorState says what became of the message that a reader's place in the
// mailbox rests on.
type AnchorState uint8

const (
	// AnchorUnchecked: no anchor was given.
	AnchorUnchecked AnchorState = iota
	// AnchorPresent: it is still there, so nothing after it was dropped.
	AnchorPresent
	// AnchorGone: it was dropped; what followed it may have been as well.
	AnchorGone
	// AnchorForeign: at its sequence is another mailbox's message, or the
	// stream ends before it: the log is not the one that the anchor is from.
	AnchorForeign
)

func (a AnchorState) String() string {
	switch a {
	case AnchorUnchecked:
		return "unchecked"
	case AnchorPresent:
		return "present"
	case AnchorGone:
		return "gone"
	case AnchorForeign:
		return "foreign"
	}
	return "AnchorState(" + strconv.Itoa(int(a)) + ")"
}

// Batch is the answer to one read of a mailbox.
type Batch[M any] struct {
	// Msgs are what follows in the mailbox from the given sequence, in order and
	// without omission, as one server has it. May be empty.
	Msgs []M
	// Anchor is what the same server says, at the same time; or the stream's leader,
	// if Msgs is empty.
	Anchor AnchorState
	// AnchorTime is when the message at the anchor was stored, if it is
	// present, Unix ns; 0: unknown. Another time than the one first seen means
	// another log.
	AnchorTime int64
	// Oldest is, where the anchor is not present, the first sequence of this
	// mailbox from the given one on; 0: none.
	Oldest uint64
	// Next is, for an empty batch, the sequence of the first message from the
	// given one on, according to the leader; 0: the leader has none. A batch
	// that is empty although Next is not 0 came from a replica that lags: read
	// again. If Msgs is not empty, Next is the sequence after the last of them.
	Next uint64
	// Last is the last sequence of the stream according to its leader, if HasLast:
	// where the leader had nothing, or not the anchor. One that was deposed and does
	// not know it ends too early, and all that it says is worth nothing.
	Last    uint64
	HasLast bool
}

// Source is the stream of a mailbox, and what was set aside of it. Each answer is what one
// server had at one moment. But for those of the two probes it may be one that is behind, or
// a leader that was deposed and does not know it.
type Source[M Message] interface {
	// Page returns what the mailbox has from a sequence on, in order and without omission:
	// up to limit messages of about so many bytes, at least one if there is one. 0 and 0: as
	// much as is usual. more: there is more.
	Page(from uint64, limit, maxBytes int) (list []M, more bool, err error)
	// Bounds returns the first and the last sequence of the stream, as its leader has it.
	Bounds() (first, last uint64, err error)
	// Probe stores something for nobody in the stream, and returns its sequence.
	Probe() (uint64, error)
	// End returns the sequence of the mailbox's last message, 0 if there is none, as a server
	// has it; shown: it has the probe of that sequence.
	End(probe uint64) (last uint64, shown bool, err error)
	// AsidePage shows what was set aside of the mailbox from a place on, in order and without
	// omission; it nil: a probe. more: there is more.
	AsidePage(from uint64, show func(place uint64, it *Item[M])) (more bool, err error)
	// AsideSealed shows what a seal names, at less cost than pages have. all: that is all of
	// it; else it has to be read once more.
	AsideSealed(seal *Seal, show func(place uint64, it *Item[M])) (all bool, err error)
	// AsideProbe stores a probe there, and returns its place.
	AsideProbe() (uint64, error)
	// Pause waits a moment.
	Pause() error
}

// proven asks for the bounds of the stream. Who leads it has what is stored now.
func proven[M Message](src Source[M]) (first, last, probe uint64, err error) {
	if probe, err = src.Probe(); err != nil {
		return 0, 0, 0, err
	}
	if first, last, err = src.Bounds(); err == nil && last < probe {
		err = errBehind
	}
	return first, last, probe, err
}

// upToDate proves by a probe that a mailbox was read to its end, where it was read from a
// sequence on and has shown the last one of it; 0: none.
func upToDate[M Message](src Source[M], probe, from, last uint64) error {
	end, shown, err := src.End(probe)
	if err == nil && (!shown || end >= from && end > last) {
		err = errBehind
	}
	return err
}

// follow shows what the mailbox has from a sequence on, in order and without omission, until
// see has enough. Each page begins with the end of the one before: as long as that is there,
// nothing behind it was dropped meanwhile.
func follow[M Message](src Source[M], from uint64, see func(m M) (enough bool)) error {
	joint, room := false, 0
	for {
		list, more, err := src.Page(from, 0, room)
		if err != nil {
			return err
		}
		if joint {
			if len(list) == 0 || list[0].Meta().Seq != from {
				return errDropped
			}
			if list = list[1:]; len(list) == 0 && !more { // there was more, on another server
				return errBehind
			}
		}
		if len(list) == 0 && more { // that one alone has filled the page
			room = max(2*room, 4*usualBytes)
		} else {
			room = 0
		}
		for i := range list {
			if see(list[i]) {
				return nil
			}
			from, joint = list[i].Meta().Seq, true
		}
		if !more || !joint {
			return nil
		}
	}
}

// asideTries bounds how often a server that is behind is asked.
const asideTries = 20

// ends says which ends of what was set aside from one place to another are there. It is only
// added to, and ages from its beginning: if both are there, so is all between them, but for
// what had a time to live.
type ends struct{ first, last bool }

// aside shows what was set aside of a mailbox from one place to another, maybe more than
// once; to 0: all. The answers count if they show the last place, or a later one; else a probe
// that was written after the question. The last one is there if it is of the given round:
// where the end was lost, another may have its place.
func aside[M Message](src Source[M], from, to uint64, round string, take func(place uint64, it Item[M])) (e ends, err error) {
	proof := to
	for range asideTries {
		if proof == 0 {
			place, err := src.AsideProbe()
			if err != nil {
				return e, err
			}
			if proof = place; proof < from { // it has lost its end
				return e, nil
			}
		}
		last, err := asidePages(src, max(from, 1), to, proof, func(place uint64, it *Item[M]) {
			if it == nil {
				return
			}
			e.first, e.last = e.first || place == from, e.last || place == to && it.Round == round
			take(place, *it)
		})
		if err != nil || last >= proof {
			return e, err
		}
		if proof == to { // that server is behind, or it is lost
			proof = 0
		} else if err := src.Pause(); err != nil {
			return e, err
		}
	}
	return e, errBehind
}

// asideSealed shows what a seal names.
func asideSealed[M Message](src Source[M], seal *Seal, take func(place uint64, it Item[M])) (e ends, err error) {
	if seal.To == 0 {
		return ends{true, true}, nil
	}
	all, err := src.AsideSealed(seal, func(place uint64, it *Item[M]) {
		if it != nil && seal.From <= place && place <= seal.To {
			e.first, e.last = e.first || place == seal.From, e.last || place == seal.To && it.Round == seal.Round
			take(place, *it)
		}
	})
	if all && e.first && e.last || err != nil {
		return e, err
	}
	return aside(src, seal.From, seal.To, seal.Round, take)
}

// asidePages shows pages until one has the place that proves them, and returns the last
// place that was there.
func asidePages[M Message](src Source[M], from, to, proof uint64, show func(place uint64, it *Item[M])) (last uint64, err error) {
	for {
		more, err := src.AsidePage(from, func(place uint64, it *Item[M]) {
			if last = place; to == 0 || place <= to {
				show(place, it)
			}
		})
		if err != nil || !more || last >= proof {
			return last, err
		}
		from = last + 1
	}
}
