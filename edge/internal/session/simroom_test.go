package session

import (
	"errors"
	"iter"
	"maps"
	"slices"

	mailbox "hydrant/bus/kept"
)

// How the world makes room in its stream: its two movers run the rounds that nodes run
// (package kept), each of whose questions and writes is one step of the schedule.

// aside is an item of what was set aside, or a probe; its place is its index + 1.
type aside struct {
	box   int
	item  mailbox.Item[*record]
	probe bool
}

// room is what was set aside, and who does it.
type room struct {
	aside  []aside
	movers [2]mover
	late   []func() // what was asked for, and nobody waits for
	bound  int      // copies of a box that count
	alone  bool     // one node makes room; two do not count what the other one copies

	unaware, told bool // only a round finds out that the log went back; it has

	did [numDone]int // how often each thing happened
}

// done is something that the model has to show.
type done uint8

const (
	rounds done = iota
	refusedRounds
	foundBack
	sealsAccepted
	sealsQuick // without a look at the mailbox
	sealsAgain // … that repeat one
	sealsRefused
	sealsUnknown
	sealsLate
	copies
	copiesTwice
	lossesTold
	tooMuches
	purges
	latePurges
	readsBySeal
	readsWithout
	moverDied // and so on, by what it was about to do
	numDone   = moverDied + done(numOps)
)

// op is what a mover is about to do.
type op uint8

const (
	opLook op = iota
	opRead
	opAsk
	opCopy
	opLose
	opSeal
	opMark
	opPurge
	numOps
)

// String says what happened.
func (d done) String() string {
	return [numDone]string{"rounds", "rounds in a log that went back", "rounds that found that out", "seals accepted", "seals without a look", "seals sent once more", "seals refused", "seals not known", "seals that were late", "copies",
		"copies made twice", "losses written down", "times that too much waited", "purges", "purges that were late", "reads by a seal", "reads without one",
		"movers that died before a look", "… a read", "… a question", "… a copy", "… a loss", "… a seal", "… a marker", "… a purge"}[d]
}

// mover is a node that makes room; the zero value is idle.
type mover struct {
	next func() (op, bool) // lets it do what it is about to do, and returns what comes then; nil: it is idle
	stop func()
	at   op
	sent func() // what it is about to send
}

var errDead = errors.New("the node is gone")

// makeRoom takes one step of some mover.
func (w *world) makeRoom() {
	n := w.rng.IntN(len(w.room.movers))
	if w.room.alone {
		n = 0
	}
	m := &w.room.movers[n]
	switch {
	case len(w.room.late) > 0 && w.rng.IntN(3) == 0:
		late := w.room.late[0]
		w.room.late = w.room.late[1:]
		late()
	case m.next == nil && !w.nodes[n].offline:
		w.beginRound(n)
	case m.next == nil:
	default:
		for range 1 + w.rng.IntN(8) {
			if w.rng.IntN(deaths[m.at]) == 0 {
				w.room.did[moverDied+done(m.at)]++
				w.endRound(n)
				return
			}
			at, more := m.next()
			if m.at = at; !more {
				*m = mover{}
				return
			}
		}
	}
}

// deaths are how often a mover dies before it does something: once in so many times.
var deaths = [numOps]int{opLook: 10, opRead: 250, opAsk: 250, opCopy: 250, opLose: 25, opSeal: 100, opMark: 3, opPurge: 20}

// endRound is the end of a mover with its node, or its connection. What it was about to send
// may be on its way.
func (w *world) endRound(n int) {
	m := w.room.movers[n]
	if m.next == nil {
		return
	}
	if m.sent != nil && w.rng.IntN(2) == 0 {
		w.room.late = append(w.room.late, m.sent)
	}
	w.room.movers[n] = mover{}
	m.stop()
}

// endRounds is the end of the world, or of its log.
func (w *world) endRounds() {
	for n := range w.room.movers {
		w.endRound(n)
	}
	w.room.late = nil
}

// beginRound starts one on a node.
func (w *world) beginRound(n int) {
	r := &roundOf{w: w, m: &w.room.movers[n], conn: w.nodes[n].conn, node: n, leave: w.rng.IntN(12)}
	seq := iter.Seq[op](func(yield func(op) bool) {
		r.yield = yield
		err := mailbox.Round(r, []int{0})
		var back *mailbox.WentBack
		if errors.As(err, &back) {
			if w.room.did[foundBack]++; w.st.log == 0 {
				w.fail(w.hosts[0], "a round finds another log: %v", err)
			}
			w.room.told = true
		}
		w.log("mover: the round is over: %v", err)
	})
	w.room.did[rounds]++
	r.m.next, r.m.stop = iter.Pull(seq)
	r.m.at, _ = r.m.next()
}

// roundOf is a round's view of the streams.
type roundOf struct {
	w     *world
	m     *mover
	node  int
	conn  int    // the node's
	leave int    // messages that the round leaves
	first uint64 // what the stream began with
	yield func(op) bool
}

// wait lets the schedule go on before something is done; sent is what of it may arrive though
// nobody waits for it any more.
func (r *roundOf) wait(what op, sent func()) error {
	r.m.sent = sent
	alive := r.yield(what)
	r.m.sent = nil
	if !alive {
		return errDead
	}
	return nil
}

func (r *roundOf) Ripen() error { return r.wait(opAsk, nil) }

func (r *roundOf) Lasts() bool { return r.w.nodes[r.node].conn == r.conn && !r.w.nodes[r.node].offline }

func (r *roundOf) WentBack(int) (bool, error) {
	if err := r.wait(opAsk, nil); err != nil {
		return false, err
	}
	back := r.w.st.log > 0 && (!r.w.room.unaware || r.w.room.told)
	if back {
		r.w.room.did[refusedRounds]++
	}
	return back, nil
}

func (r *roundOf) Stream(int) (mailbox.Stream, error) {
	if err := r.wait(opAsk, nil); err != nil {
		return mailbox.Stream{}, err
	}
	for _, h := range r.w.hosts {
		if h.born && (h.entryFloor == 0 || h.entering) {
			return mailbox.Stream{}, nil // whoever has no entry has mail above the horizon only
		}
	}
	v := r.w.st.now
	if r.first == 0 {
		r.first = v.first()
	}
	n := uint64(len(v.recs))
	return mailbox.Stream{First: v.first(), Last: v.last, Messages: n, Bytes: n, Limit: uint64(10*r.leave + 1)}, nil
}

// Settle takes the entries as they are now.
func (r *roundOf) Settle(horizons map[int]uint64) (map[int]error, error) {
	type entry struct {
		h  *host
		at mailbox.Position
	}
	var entries []entry
	for _, h := range r.w.hosts {
		if h.born && h.entryFloor != 0 {
			entries = append(entries, entry{h, mailbox.Position{Floor: h.entryFloor, FloorTime: h.entryTime, Seen: h.entrySeen, SeenTime: h.seenTime,
				Back: h.entryOld[1] != 0, Unsure: h.entryUnsure}})
		}
	}
	r.w.rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	r.w.log("mover: a round up to %d, %d entries", horizons[0], len(entries))
	for _, e := range entries {
		b := &boxOf{source: source{w: r.w, h: e.h, round: r}}
		most := mailbox.Limits{Count: uint64(r.w.room.bound), Bytes: 1 << 40}
		since := r.w.nodes[r.node].since
		switch done, err := b.quickly(&e.at, horizons[0], since); {
		case err != nil:
			return nil, err
		case done:
			continue
		}
		if err := mailbox.Settle(b, e.at, horizons[0], since, most); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// quickly seals a box of which nothing has to be read, as a node does with many at a time.
func (b *boxOf) quickly(at *mailbox.Position, horizon uint64, since int64) (done bool, err error) {
	w := b.w
	var seal mailbox.Seal
	last, _ := at.Last()
	switch mailbox.Open(at, horizon, b.round.first, since) {
	case mailbox.Settled:
		return true, nil
	case mailbox.Closely:
		return false, nil
	case mailbox.Purged:
		list := b.any().from(b.h.box, 1, 1<<30)
		if len(list) == 0 || !at.GoOn(list[len(list)-1].Meta().Seal, since) {
			return false, nil
		}
		seal = *list[len(list)-1].Meta().Seal
		last = seal.Seq
	}
	switch err := b.Seal(seal, last); {
	case err == nil:
		w.room.did[sealsQuick]++
		if seal.Seq != 0 {
			w.room.did[sealsAgain]++
		}
		return true, nil
	case errors.Is(err, mailbox.ErrMoved), errors.Is(err, mailbox.ErrAgain):
		at.Moved = true
		return false, nil
	default:
		return false, err
	}
}

func (r *roundOf) Purge(_ int, horizon uint64) error {
	sent := func() {
		r.w.room.did[latePurges]++
		r.w.purge(horizon)
	}
	if err := r.wait(opPurge, sent); err != nil {
		return err
	}
	if r.w.rng.IntN(8) == 0 {
		r.w.room.late = append(r.w.room.late, sent)
		return errTest
	}
	r.w.purge(horizon)
	return nil
}

// source is a host's box, and what was set aside of it, as some server has it.
type source struct {
	w     *world
	h     *host
	round *roundOf // who asks; nil: the host's reader
	told  int      // probes of what was set aside that a reader wrote
}

// ask lets something happen before a question.
func (s *source) ask(what op) error {
	if s.round != nil {
		return s.round.wait(what, nil)
	}
	w := s.w
	if w.draining || w.rng.IntN(4) > 0 {
		return nil
	}
	switch n := w.rng.IntN(10); {
	case n < 4:
		w.publish(s.h)
	case n < 8 && w.makes > 0:
		w.makeRoom()
	case n == 8:
		w.st.advance(1 + w.rng.IntN(2))
	case !w.anyFresh():
		w.st.shed(1 + w.rng.IntN(3))
	}
	return nil
}

// any is what some server has; leader what one has that leads, or has led and does not know
// better.
func (s *source) any() view { return s.w.st.replica(!s.w.draining && s.w.rng.IntN(4) == 0) }

func (s *source) leader() view {
	return s.w.st.replica(s.w.deposed && !s.w.draining && s.w.rng.IntN(6) == 0)
}

func (s *source) Page(from uint64, limit, _ int) (list []*record, more bool, err error) {
	if err := s.ask(opRead); err != nil {
		return nil, false, err
	}
	if limit <= 0 {
		limit = 1 + s.w.rng.IntN(5)
	}
	list = s.any().from(s.h.box, from, limit+1)
	if s.w.trace != nil {
		for _, r := range list {
			s.w.log("  page of box %d from %d, limit %d: %d ttl %v seal %v", s.h.box, from, limit, r.seq, r.ttl, r.seal)
		}
	}
	if len(list) > limit {
		return list[:limit], true, nil
	}
	return list, false, nil
}

func (s *source) Bounds() (first, last uint64, err error) {
	if err := s.ask(opAsk); err != nil {
		return 0, 0, err
	}
	v := s.leader()
	return v.first(), v.last, nil
}

func (s *source) Probe() (uint64, error) {
	if err := s.ask(opAsk); err != nil {
		return 0, err
	}
	return s.w.st.put(1001, 1<<62, 2).seq, nil
}

func (s *source) End(probe uint64) (last uint64, shown bool, err error) {
	if err := s.ask(opAsk); err != nil {
		return 0, false, err
	}
	v := s.any()
	return v.lastOf(s.h.box), v.last >= probe, nil
}

func (s *source) AsidePage(from uint64, show func(uint64, *mailbox.Item[*record])) (more bool, err error) {
	if err := s.ask(opAsk); err != nil {
		return false, err
	}
	all, w := s.w.room.aside, s.w
	if !w.draining && w.rng.IntN(4) == 0 { // a server that is behind
		all = all[:max(0, len(all)-1-w.rng.IntN(3))]
	}
	left := 1 + w.rng.IntN(5)
	for i := max(from, 1) - 1; i < uint64(len(all)); i++ {
		a := &all[i]
		switch {
		case a.box != s.h.box || a.item.Seq != 0 && lapsed(a.item.Msg, w):
			continue
		case left == 0:
			return true, nil
		case a.probe:
			show(i+1, nil)
		default:
			it := a.item
			show(i+1, &it)
		}
		left--
	}
	return false, nil
}

func (s *source) AsideSealed(seal *mailbox.Seal, show func(uint64, *mailbox.Item[*record])) (all bool, err error) {
	if err := s.ask(opAsk); err != nil {
		return false, err
	}
	w := s.w
	if w.rng.IntN(3) == 0 {
		return false, nil
	}
	for i := seal.From; i <= seal.To; i++ {
		a := &w.room.aside[i-1]
		if a.box == s.h.box && !a.probe {
			if a.item.Seq != 0 && lapsed(a.item.Msg, w) {
				return false, nil
			}
			it := a.item
			show(i, &it)
		}
	}
	return true, nil
}

func (s *source) AsideProbe() (uint64, error) {
	if err := s.ask(opAsk); err != nil {
		return 0, err
	}
	s.told++
	s.w.room.aside = append(s.w.room.aside, aside{box: s.h.box, probe: true})
	return uint64(len(s.w.room.aside)), nil
}

func (s *source) Pause() error { return s.ask(opAsk) }

// boxOf is a box that a round makes sure of.
type boxOf struct{ source }

func (b *boxOf) Look(seq uint64) (at int64, found, mine bool, err error) {
	if err := b.ask(opLook); err != nil {
		return 0, false, false, err
	}
	r := b.leader().at(seq)
	if r == nil {
		return 0, false, false, nil
	}
	return r.told, true, r.box == b.h.box, nil
}

func (b *boxOf) Seal(s mailbox.Seal, last uint64) error {
	w, box := b.w, b.h.box
	if n := b.waiting(s.From, s.To, last); w.room.alone && n > w.room.bound {
		w.fail(b.h, "a seal names %d copies, of which %d may wait", n, w.room.bound)
	}
	sealed := func() bool {
		if w.st.now.lastOf(box) != last {
			return false
		}
		w.log("mover: seal of box %d, %d-%d", box, s.From, s.To)
		r := w.st.put(box, 1<<62, 0)
		s.Seq, s.Time = r.seq, r.told
		r.seal = &s
		return true
	}
	late := func() {
		if sealed() {
			w.room.did[sealsLate]++
		}
	}
	if err := b.round.wait(opSeal, late); err != nil {
		return err
	}
	switch w.rng.IntN(16) {
	case 0:
		w.room.late = append(w.room.late, late)
		w.room.did[sealsUnknown]++
		return mailbox.ErrAgain
	case 1:
		sealed()
		w.room.did[sealsUnknown]++
		return mailbox.ErrAgain
	}
	if !sealed() {
		w.room.did[sealsRefused]++
		return mailbox.ErrMoved
	}
	w.room.did[sealsAccepted]++
	return nil
}

// waiting counts what waits for the host, of what was set aside from one place to another
// and was stored before a seal.
func (b *boxOf) waiting(from, to, last uint64) int {
	seqs, low := map[uint64]bool{}, b.h.entryFloor
	for i := max(from, 1); i <= to; i++ {
		if a := &b.w.room.aside[i-1]; a.box == b.h.box {
			if seqs[a.item.Seq] = !a.probe && !lapsed(a.item.Msg, b.w); a.item.From == 0 {
				low = max(low, a.item.To)
			}
		}
	}
	maps.DeleteFunc(seqs, func(seq uint64, there bool) bool { return !there || seq <= low || seq > last })
	return len(seqs)
}

// Now is the mailbox's last message; a mutation compares with it.
func (b *boxOf) Now() uint64 { return b.w.st.now.lastOf(b.h.box) }

func (b *boxOf) Mark() error {
	mark := func() { b.w.st.put(b.h.box, 1<<62, 0) }
	if err := b.round.wait(opMark, mark); err != nil {
		return err
	}
	mark()
	return nil
}

func (b *boxOf) Copy(list []*record, before uint64, told func(int, uint64, error) error) error {
	for i, r := range list {
		place, err := uint64(0), error(nil)
		if !lapsed(r, b.w) {
			place, err = b.keep(opCopy, mailbox.Item[*record]{Seq: r.seq, Time: r.told, Prev: before, Msg: r})
			before = r.seq
		}
		if err := told(i, place, err); err != nil {
			return err
		}
	}
	return nil
}

func (b *boxOf) Lose(from, to uint64) (uint64, error) {
	if from == 0 {
		b.w.room.did[tooMuches]++
		b.w.st.lossy[b.h.box] = true
	} else {
		b.w.room.did[lossesTold]++
	}
	return b.keep(opLose, mailbox.Item[*record]{From: from, To: to})
}

func (b *boxOf) Hold() (uint64, error) { return b.keep(opLose, mailbox.Item[*record]{}) }

// Round is the same for all: nothing that was set aside is ever lost here.
func (b *boxOf) Round() string { return "" }

// keep sets something aside, more than once where the answer is lost.
func (b *boxOf) keep(what op, it mailbox.Item[*record]) (uint64, error) {
	w := b.w
	set := func() {
		w.log("mover: box %d: aside %+v", b.h.box, it)
		w.room.aside = append(w.room.aside, aside{box: b.h.box, item: it})
	}
	for {
		if err := b.round.wait(what, set); err != nil {
			return 0, err
		}
		set()
		if what == opCopy {
			w.room.did[copies]++
		}
		switch w.rng.IntN(24) {
		case 0:
			return 0, mailbox.ErrAgain
		case 1, 2:
			w.room.did[copiesTwice]++
		default:
			return uint64(len(w.room.aside)), nil
		}
	}
}

// lapsed reports whether a copy's time to live is over.
func lapsed(r *record, w *world) bool { return r != nil && r.ttl && r.until <= w.st.tick }

// lapsedAside reports whether something of a box is gone whose copy's time is over.
func (w *world) lapsedAside(box int) bool {
	return slices.ContainsFunc(w.st.all, func(r *record) bool { return r.box == box && r.fate != kept && lapsed(r, w) })
}

// purge removes the beginning of the stream.
func (w *world) purge(to uint64) {
	w.room.did[purges]++
	w.log("PURGE to %d", to)
	w.st.remember()
	for _, r := range slices.Clone(w.st.now.recs) {
		if r.seq <= to {
			lossy := w.st.lossy[r.box]
			w.st.remove(r, purged)
			w.st.lossy[r.box] = lossy
		}
	}
	w.st.now.cut = max(w.st.now.cut, min(to, w.st.now.last))
}

// Meta implements [mailbox.Message].
func (r *record) Meta() mailbox.Meta {
	return mailbox.Meta{Seq: r.seq, Time: r.told, Mark: r.mark != 0, TTL: r.ttl, Size: 1, Seal: r.seal}
}

// together answers a read as the store does, of what its log says and of what was set aside.
func (h *host) together(p *pendingRead) {
	q := mailbox.Question{From: p.from, Anchor: p.anchor, Limit: p.max, Place: p.place, Known: p.known, Settled: p.settled}
	src := &wholeRead{source: source{w: h.w, h: h}, first: p}
	b, err := mailbox.Read(src, q, &h.shelf)
	if !h.shelf.Empty() {
		h.w.room.did[readsBySeal]++
	} else if src.told > 0 {
		h.w.room.did[readsWithout]++
	}
	if err != nil {
		p.b = Batch{Err: err}
		return
	}
	p.b = Batch{Anchor: AnchorState(b.Anchor), AnchorTime: b.AnchorTime, Oldest: b.Oldest, Next: b.Next, Last: b.Last, HasLast: b.HasLast}
	if len(b.Msgs) > 0 {
		p.b.Next = 0
	}
	for _, r := range b.Msgs {
		m := Stored{Seq: r.seq, Time: r.told, Mark: r.mark != 0, TTL: r.ttl}
		if r.mark == 0 {
			m.Payload = payload(r)
		}
		p.b.Msgs = append(p.b.Msgs, m)
	}
}

// wholeRead is one read of a host.
type wholeRead struct {
	source
	first *pendingRead // what the log said already; nil: it has been used
}

func (r *wholeRead) Read(from, anchor uint64, limit, _ int) (mailbox.Batch[*record], error) {
	p := r.first
	if r.first = nil; p == nil || p.from != from || p.anchor != anchor {
		if err := r.ask(opRead); err != nil {
			return mailbox.Batch[*record]{}, err
		}
		p = &pendingRead{from: from, anchor: anchor, max: limit}
		r.h.gather(p, r.any())
		if !p.answered {
			r.h.leader(p)
		}
	}
	b := mailbox.Batch[*record]{Msgs: p.recs, Anchor: mailbox.AnchorState(p.b.Anchor), AnchorTime: p.b.AnchorTime,
		Oldest: p.b.Oldest, Next: p.b.Next, Last: p.b.Last, HasLast: p.b.HasLast}
	return b, nil
}

func (r *wholeRead) WentBack() (bool, error) {
	return r.w.st.log > 0, r.ask(opAsk)
}
