package ownership

import (
	"cmp"
	"slices"

	"hydrant/bus/scheme"
)

// directory holds the revisions of the session's entry, from 1.
type directory struct {
	w    *world
	revs []scheme.Entry
}

// read serves a read. A replica that lags shows an older revision, or none; a
// sure answer is a quorum's.
func (d *directory) read(sure bool) (e *scheme.Entry, rev uint64) {
	n := len(d.revs)
	if !sure && !d.w.calm && d.w.percent(d.w.stale) {
		n = max(0, n-d.w.rng.IntN(4))
	}
	if n == 0 {
		return nil, 0
	}
	found := d.revs[n-1]
	return &found, uint64(n)
}

// write compares and swaps.
func (d *directory) write(e scheme.Entry, rev uint64) (taken bool) {
	if rev != uint64(len(d.revs)) {
		return false
	}
	d.w.check.entry(e)
	d.revs = append(d.revs, e)
	d.w.log("  directory: revision %d: %s", len(d.revs), describe(&e))
	return true
}

// mailbox is the session's log.
type mailbox struct {
	w   *world
	log []*item
	seq uint64 // last, of all mailboxes
}

// item is a message or a marker.
type item struct {
	seq, prev uint64
	message   bool
	holder    uint64 // of a marker
	mark      uint64
	lasting   bool
	at        int64
}

// last is the sequence of the last item that is still there.
func (b *mailbox) last() uint64 {
	for i := len(b.log) - 1; i >= 0; i-- {
		if !b.gone(b.log[i]) {
			return b.log[i].seq
		}
	}
	return 0
}

// store appends and sends copies.
func (b *mailbox) store(it *item) {
	w := b.w
	it.prev = b.last()
	b.seq += uint64(w.between(1, 2))
	it.seq, it.at = b.seq, w.now
	b.log = append(b.log, it)
	w.log("  mailbox: %s", it)
	for _, n := range w.nodes {
		for _, h := range n.holders {
			if !h.listening || !w.calm && w.percent(w.lostCopies) {
				continue
			}
			n.fifo = max(n.fifo, w.now+w.delay())
			n.arrive(n.fifo-w.now, func() { h.copy(it) })
		}
		for _, k := range n.kept {
			if w.calm || !w.percent(w.lostCopies) {
				n.fifo = max(n.fifo, w.now+w.delay())
				n.arrive(n.fifo-w.now, func() { k.keep(it) })
			}
		}
	}
}

// at is the item of a sequence.
func (b *mailbox) at(seq uint64) *item {
	i, _ := slices.BinarySearchFunc(b.log, seq, func(it *item, seq uint64) int { return cmp.Compare(it.seq, seq) })
	return b.log[i]
}

// gone reports whether a marker's time is over.
func (b *mailbox) gone(it *item) bool {
	return !it.message && !it.lasting && b.w.now-it.at > b.w.ttl
}

// publish stores messages now and then.
func (b *mailbox) publish() {
	w := b.w
	if w.calm {
		return
	}
	for range w.between(1, 3) {
		b.store(&item{message: true})
	}
	w.later(w.between(5, w.quiet), b.publish)
}

// after returns what is stored behind a position, and up to where that is known,
// as a replica shows it that lags a little. One that lags for longer than a claim
// in doubt waits is beyond what the machine's rules can answer for.
func (b *mailbox) after(seq uint64) (items []*item, end uint64) {
	n := len(b.log)
	if !b.w.calm && b.w.percent(b.w.stale) {
		for lag := b.w.between(1, 40); n > 0 && b.log[n-1].at > b.w.now-lag; n-- {
		}
	}
	if n > 0 {
		end = b.log[n-1].seq
	}
	for i := n - 1; i >= 0 && b.log[i].seq > seq; i-- {
		if !b.gone(b.log[i]) {
			items = append(items, b.log[i])
		}
	}
	slices.Reverse(items)
	return items, end
}
