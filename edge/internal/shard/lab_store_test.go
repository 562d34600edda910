package shard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
)

// stored is an entry of a mailbox.
type stored struct {
	sid     scheme.SID
	seq     uint64
	at      int64 // Unix ns; no two are stored at the same time
	mark    uint64
	holder  uint64 // of a marker
	data    []byte
	header  nats.Header
	ttl     bool
	expires time.Duration // on the lab's clock, where it has a time to live
	life    time.Duration // that
}

// alive drops what is too old.
func (b *broker) alive() []*stored {
	b.log = slices.DeleteFunc(b.log, func(m *stored) bool { return m.ttl && m.expires <= b.l.now })
	return b.log
}

// last is the last entry of a mailbox; 0: it is empty.
func (b *broker) last(sid scheme.SID) (seq uint64) {
	for _, m := range b.alive() {
		if m.sid == sid {
			seq = m.seq
		}
	}
	return seq
}

// append stores, and sends a copy.
func (b *broker) append(m *stored) uint64 {
	prev := b.last(m.sid)
	b.seq++
	b.ticks++
	m.seq, m.at = b.seq, b.l.clock().UnixNano()+b.ticks
	m.life = m.expires - b.l.now
	b.log = append(b.log, m)
	b.bound(m.sid)
	for _, s := range b.listeners[scheme.LiveWildcard(m.sid)] {
		s.receive(m.copy(prev))
	}
	return m.seq
}

// bound drops the oldest of a mailbox that is full.
func (b *broker) bound(sid scheme.SID) {
	n := 0
	for _, m := range b.log {
		if m.sid == sid {
			n++
		}
	}
	for i := 0; b.limit > 0 && n > b.limit && i < len(b.log); i++ {
		if b.log[i].sid == sid {
			b.log = slices.Delete(b.log, i, i+1)
			n, i = n-1, i-1
		}
	}
}

// copy is what a listener gets.
func (m *stored) copy(prev uint64) *nats.Msg {
	h := nats.Header{}
	for key, values := range m.header {
		h[key] = slices.Clone(values)
	}
	h.Set("Nats-Sequence", strconv.FormatUint(m.seq, 10))
	h.Set("Nats-Last-Sequence", strconv.FormatUint(prev, 10))
	h.Set("Nats-Time-Stamp", time.Unix(0, m.at).UTC().Format(time.RFC3339Nano))
	if m.mark != 0 {
		h.Set(scheme.HeaderMark, strconv.FormatUint(m.mark, 10))
	}
	if m.ttl {
		h.Set("Nats-TTL", "1")
	}
	return &nats.Msg{Subject: scheme.StoredSubject(m.sid), Header: h, Data: m.data}
}

// mark stores a marker.
func (b *broker) mark(sid scheme.SID, marker store.Marker) uint64 {
	m := &stored{sid: sid, mark: marker.ID, holder: marker.Holder, header: nats.Header{scheme.HeaderHolder: {scheme.HolderText(marker.Holder, marker.Attempt)}}}
	if !marker.Keep {
		m.ttl, m.expires = true, b.l.now+2*time.Second
	}
	return b.append(m)
}

// put stores a message of a client, once.
func (b *broker) put(op *egress.Op) uint64 {
	id := fmt.Sprint(op.SID, "/", op.From, "/", op.Mid, "/", op.Content)
	if op.Mid != "" && op.From != "" && b.mids[id] != 0 {
		return b.mids[id]
	}
	m := &stored{sid: op.SID, data: op.Data, header: op.Header}
	if op.TTL > 0 {
		m.ttl, m.expires = true, b.l.now+op.TTL
	}
	b.mids[id] = b.append(m)
	return b.mids[id]
}

// store puts messages number from to below to into a mailbox.
func (l *lab) store(sid scheme.SID, from, to int) {
	for i := from; i < to; i++ {
		l.nats.append(&stored{sid: sid, data: numbered(sid, i)})
	}
	l.run()
}

// numbered is message i of a session.
func numbered(sid scheme.SID, i int) []byte {
	return fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"stored-%d","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":%d}`, sid, i, i)
}

// push sends a message past the mailbox.
func (l *lab) push(sid scheme.SID, data []byte) {
	for _, s := range l.nats.listeners[scheme.LiveWildcard(sid)] {
		s.receive(&nats.Msg{Subject: scheme.PushedSubject(sid), Data: data})
	}
	l.run()
}

// record is a directory entry as it is stored.
type record struct {
	rev  uint64
	text []byte
	at   time.Duration // on the lab's clock
}

// swap compares and swaps an entry.
func (b *broker) swap(sid scheme.SID, e *scheme.Entry, rev uint64, by *testNode) (uint64, error) {
	have := uint64(0)
	if r := b.entries[sid]; r != nil {
		have = r.rev
	}
	if have != rev {
		return 0, store.ErrFenced
	}
	text, err := json.Marshal(e)
	if err != nil {
		b.l.t.Fatal(err)
	}
	b.write(sid, text)
	if by != nil {
		by.known[sid] = store.FoundSession(e.Identity)
	}
	return b.rev, nil
}

// write puts any text where an entry should be.
func (b *broker) write(sid scheme.SID, text []byte) {
	b.rev++
	b.entries[sid] = &record{b.rev, text, b.l.now}
}

// entry reads an entry, at once.
func (b *broker) entry(sid scheme.SID) (scheme.Entry, uint64, error) {
	var e scheme.Entry
	r := b.entries[sid]
	if r == nil {
		return e, 0, store.ErrNoSession
	}
	if err := json.Unmarshal(r.text, &e); err != nil {
		return scheme.Entry{}, r.rev, fmt.Errorf("%w: %w", store.ErrBadEntry, err)
	}
	return e, r.rev, nil
}

// entry reads a session's entry, which is there.
func (l *lab) entry(sid scheme.SID) scheme.Entry {
	l.t.Helper()
	e, _, err := l.nats.entry(sid)
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

// change rewrites an entry, as another node does.
func (l *lab) change(sid scheme.SID, f func(*scheme.Entry)) {
	l.t.Helper()
	e, rev, err := l.nats.entry(sid)
	if err != nil {
		l.t.Fatal(err)
	}
	f(&e)
	if _, err := l.nats.swap(sid, &e, rev, nil); err != nil {
		l.t.Fatal(err)
	}
}

// steal makes another node the owner of a session, as one does that gets no answer
// from its holder.
func (l *lab) steal(sid scheme.SID, state scheme.State) {
	l.t.Helper()
	l.change(sid, func(e *scheme.Entry) { e.Node, e.Holder, e.State = scheme.NewNodeID(), randomUint64(), state })
}

// parked waits until the directory says that a session has no socket.
func (l *lab) parked(sid scheme.SID) {
	l.t.Helper()
	l.until("a parked session", func() bool {
		e, _, err := l.nats.entry(sid)
		return err == nil && e.State == scheme.StateParked
	})
	l.run()
}

// fakeDirectory is the directory as one node sees it.
type fakeDirectory struct{ n *testNode }

// suffer lets a task have a fault, and returns what is told in place of an answer.
func (n *testNode) suffer(f fault) error {
	n.l.sleep(f.late)
	if n.cut {
		n.l.sleep(400 * time.Millisecond)
		return store.ErrUnconfirmed
	}
	return f.err
}

// Get implements [Directory].
func (d fakeDirectory) Get(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, error) {
	e, rev, _, err := d.Sure(ctx, sid)
	return e, rev, err
}

// Parse implements [Directory].
func (d fakeDirectory) Parse(m *nats.Msg) (e scheme.Entry, rev uint64, err error) {
	if i, err := strconv.Atoi(m.Header.Get("Unread")); err == nil {
		return e, 0, d.n.l.nats.unread[i]
	}
	if rev, err = strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64); err != nil {
		return e, 0, store.ErrUnconfirmed
	}
	if len(m.Data) == 0 {
		return e, 0, store.ErrNoSession
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return scheme.Entry{}, rev, fmt.Errorf("%w: %w", store.ErrBadEntry, err)
	}
	return e, rev, nil
}

// Sure implements [Directory].
func (d fakeDirectory) Sure(_ context.Context, sid scheme.SID) (e scheme.Entry, rev uint64, age time.Duration, err error) {
	f := of(d.n.l.nats.faults.get, sid)
	if err := d.n.suffer(f); err != nil {
		return scheme.Entry{}, 0, 0, err
	}
	e, rev, err = d.n.l.nats.entry(sid)
	if err == nil {
		age = max(1, d.n.l.now-d.n.l.nats.entries[sid].at)
	}
	d.n.l.sleep(f.after)
	return e, rev, age, err
}

// Lookup implements [Directory].
func (d fakeDirectory) Lookup(_ context.Context, sid scheme.SID) (store.Found, error) {
	f := of(d.n.l.nats.faults.look, sid)
	if err := d.n.suffer(f); err != nil {
		return store.Found{}, err
	}
	found := store.Found{}
	if e, _, err := d.n.l.nats.entry(sid); !errors.Is(err, store.ErrNoSession) {
		found = store.FoundSession(e.Identity)
	}
	d.n.known[sid] = found
	d.n.l.sleep(f.after)
	return found, nil
}

// Known implements [Directory].
func (d fakeDirectory) Known(sid scheme.SID) (found store.Found, cached bool) {
	found, cached = d.n.known[sid]
	return found, cached
}

// Forget implements [Directory].
func (d fakeDirectory) Forget(sid scheme.SID) { d.n.known[sid] = store.Found{} }

// Delete implements [Directory].
func (d fakeDirectory) Delete(_ context.Context, sid scheme.SID, rev uint64) error {
	if err := d.n.suffer(fault{}); err != nil {
		return err
	}
	if r := d.n.l.nats.entries[sid]; r == nil || r.rev != rev {
		return store.ErrFenced
	}
	delete(d.n.l.nats.entries, sid)
	d.n.l.nats.rev++
	return nil
}

// NoteBack implements [Directory].
func (d fakeDirectory) NoteBack(_ context.Context, partition int, last store.BackNote, gone store.Sighting) error {
	b := d.n.l.nats
	if err := d.n.suffer(fault{}); err != nil || b.backs[partition] != last {
		return err
	}
	b.rev++
	note := store.BackNote{Rev: b.rev, Time: d.n.l.clock().UnixNano(), Kept: gone.Time}
	if last.Rev != 0 {
		note.Kept = min(note.Kept, last.Kept)
	}
	b.backs[partition], b.notes = note, append(b.notes, note)
	return nil
}

// LastBack implements [Directory].
func (d fakeDirectory) LastBack(_ context.Context, partition int) (store.BackNote, error) {
	return d.n.l.nats.backs[partition], d.n.suffer(fault{})
}
