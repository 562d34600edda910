package crowd

import (
	"cmp"
	"slices"
	"time"
)

// prices are what NATS and the node take together, on one processor (go test -run '^$'
// -bench Piece ./bus/store). Only what they are to each other counts.
const (
	readPrice    = 140 * time.Microsecond // a mailbox that is read by itself
	messagePrice = 12 * time.Microsecond  // and each message of it
	stepPrice    = 80 * time.Nanosecond   // and each sequence of the stream in between
	piecePrice   = 4500 * time.Nanosecond // a message of a piece
)

const (
	// fewest is how many sessions a pass is worth for.
	fewest = 4
	// remembered is how many readings of a partition are compared with a pass.
	remembered = 256
	// forgotten is after which time they are not.
	forgotten = 10 * time.Second
	// many sessions within that time whose node has died are the first of a crowd, of
	// which far more will come: each counts for so many.
	many     = 16
	eachIsOf = 10
)

// reading is a mailbox that was, or is to be, read by itself.
type reading struct {
	after uint64
	price time.Duration
	at    time.Duration
}

// readings are those of one partition, the highest position first.
type readings struct {
	list []reading
	last uint64 // the highest sequence that was asked for
}

// add notes one, of about so many messages.
func (r *readings) add(after, to uint64, messages float64, now time.Duration) {
	r.last = max(r.last, to)
	r.list = slices.DeleteFunc(r.list, func(old reading) bool { return now-old.at > forgotten })
	if len(r.list) >= remembered {
		r.list = r.list[:remembered-1] // the lowest is the least of use
	}
	one := reading{after, readPrice + time.Duration(messages*float64(messagePrice)) + time.Duration(to-after)*stepPrice, now}
	i, _ := slices.BinarySearchFunc(r.list, after, func(a reading, after uint64) int { return cmp.Compare(after, a.after) })
	r.list = slices.Insert(r.list, i, one)
}

// rush is what a node sees of a crowd.
type rush struct {
	since    time.Duration // when the count began
	count    int           // of sessions whose node has died
	messages float64       // of one, on the average; 0: none is known
}

// add counts a session that asks, and returns for how many each one counts.
func (r *rush) add(orphan bool, now time.Duration) (times time.Duration) {
	if now-r.since > forgotten {
		r.since, r.count = now, 0
	}
	if orphan {
		r.count++
	}
	if r.count >= many {
		return eachIsOf
	}
	return 1
}

// took notes how many messages one has brought.
func (r *rush) took(n int) {
	if r.messages == 0 {
		r.messages = float64(n)
	}
	r.messages += (float64(n) - r.messages) / 8
}

// worth returns where a pass should begin so that it is cheaper than the readings from
// there on, which count for so many each; false: nowhere. p is the pass that is there.
func (r *readings) worth(p *pass, times time.Duration) (from uint64, ok bool) {
	var sum time.Duration
	for i, one := range r.list {
		sum += one.price
		if i+1 < fewest || i+1 < len(r.list) && r.list[i+1].after == one.after {
			continue
		}
		begins := one.after
		if p != nil && p.goesOn(begins) {
			begins = p.last
		}
		if r.last > begins && times*sum >= time.Duration(r.last-begins)*piecePrice {
			from, ok = one.after, true // a lower one serves more
		}
	}
	return from, ok
}
