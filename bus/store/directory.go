package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// deletedFor is how long the mark of a deleted entry is kept: writers that
// missed the deletion find out that they lost.
const deletedFor = time.Minute

// Directory is the sessions that exist: a key-value bucket, key sid. All
// methods may be called concurrently.
type Directory struct {
	// Immutable after newDirectory.
	store  *Store
	acks   *jet.Acks
	prober *prober

	known *lookups      // safe for concurrent use
	met   *lookups      // the sessions that Get has found, also safe: what they are is another matter
	again atomic.Uint64 // see Proofs
}

func newDirectory(s *Store) (*Directory, error) {
	a, err := jet.NewAcks(s.nc, s.cfg.Window, s.cfg.AckTimeout)
	if err != nil {
		return nil, err
	}
	return &Directory{store: s, acks: a, prober: newProber(s.running, s.nc), known: newLookups(), met: newLookups()}, nil
}

// header reads one of a message's raw headers.
func header(raw []byte, key string) string {
	if len(raw) == 0 {
		return ""
	}
	h, err := nats.DecodeHeadersMsg(raw)
	if err != nil {
		return ""
	}
	return h.Get(key)
}

// decode reads an entry. One of a newer form ends the use of the whole directory.
func (d *Directory) decode(data []byte, rev uint64) (scheme.Entry, uint64, error) {
	e, rev, err := decodeEntry(data, rev)
	if errors.Is(err, ErrNewerForm) {
		d.store.met(err)
	}
	return e, rev, err
}

func decodeEntry(data []byte, rev uint64) (scheme.Entry, uint64, error) {
	var e scheme.Entry
	switch err := e.UnmarshalJSON(data); {
	case errors.Is(err, ErrNewerForm):
		return scheme.Entry{}, rev, err
	case err != nil:
		return scheme.Entry{}, rev, fmt.Errorf("%w: %w", ErrBadEntry, err)
	}
	return e, rev, nil
}

// Create makes the entry of a new session. ErrFenced: there is one already.
func (d *Directory) Create(ctx context.Context, sid scheme.SID, e scheme.Entry) (rev uint64, err error) {
	return d.write(ctx, sid, &e, 0)
}

// Update replaces the entry if its revision still is rev. ErrFenced: it is
// not, as far as the server knows that leads the directory or thinks so. Repetition
// after a lost answer, and while another write is on its way, is safe and built in;
// ErrUnconfirmed means that the outcome stayed unknown until ctx ended: read the
// entry again before going on.
func (d *Directory) Update(ctx context.Context, sid scheme.SID, e scheme.Entry, rev uint64) (uint64, error) {
	if rev == 0 {
		return 0, fmt.Errorf("%w: no revision", ErrFenced)
	}
	return d.write(ctx, sid, &e, rev)
}

// write stores an entry under the expected revision.
func (d *Directory) write(ctx context.Context, sid scheme.SID, e *scheme.Entry, rev uint64) (uint64, error) {
	m, err := d.message(sid, e, rev, 0)
	if err != nil {
		return 0, err
	}
	seq, err := d.send(ctx, m)
	if err == nil {
		d.known.put(sid, FoundSession(e.Identity))
	}
	return seq, err
}

// Delete removes the entry if its revision still is rev; errors are those of
// Update.
func (d *Directory) Delete(ctx context.Context, sid scheme.SID, rev uint64) error {
	if err := d.store.Usable(); err != nil {
		return err
	}
	m := &nats.Msg{Subject: scheme.SessionKey(sid), Header: nats.Header{
		jet.HeaderKVOp:     []string{"DEL"},
		jet.HeaderExpected: []string{strconv.FormatUint(rev, 10)},
		jet.HeaderTTL:      []string{jet.TTLSeconds(deletedFor)},
	}}
	_, err := d.send(ctx, m)
	if err == nil {
		d.known.put(sid, Found{})
	}
	return err
}

// send publishes a compare-and-swap until it is acknowledged or ctx ends. If an
// answer was lost, the write may be what its own repetition then conflicts
// with; the entry tells, since every write carries a name of its own. (The
// stream's deduplication is no help: it comes after the comparison.)
func (d *Directory) send(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	ctx, cancel := d.store.bounded(ctx)
	defer cancel()
	name := string(scheme.NewSID())
	m.Header[scheme.HeaderWrite] = []string{name}
	unsure := false
	err = jet.Retry(ctx, func(ctx context.Context) error {
		seq, err = jet.PublishAcked(ctx, d.store.nc, m)
		unsure = unsure || errors.Is(err, ErrUnconfirmed)
		return err
	})
	if !unsure || !errors.Is(err, ErrFenced) {
		return seq, err
	}
	seq, own, rerr := d.wrote(ctx, m.Subject, name)
	switch {
	case rerr != nil:
		return 0, rerr
	case own:
		return seq, nil
	}
	return 0, err
}

// wrote reports whether the last write to a key is the one of that name, and
// its revision.
func (d *Directory) wrote(ctx context.Context, key, name string) (rev uint64, own bool, err error) {
	p, err := d.proven(ctx, key, false)
	if err != nil || p.m == nil || p.m.Header.Get(scheme.HeaderWrite) != name {
		return 0, false, err
	}
	return p.seq, true, nil
}

// UpdateAsync is Update without the wait and without repetition, for
// checkpoints: done is called exactly once, from another goroutine, with the
// new revision or an error; it must only enqueue. If UpdateAsync returns an
// error nothing was sent and done is not called; ErrOverload: the window is
// full. ErrBusy: the write was not taken, and can be repeated in a moment. After
// ErrUnconfirmed the revision is unknown: Sure tells. See [Store.PublishAsync] for
// how long it can block. keep is how long the entry lasts where nothing replaces it; 0:
// as long as all.
func (d *Directory) UpdateAsync(sid scheme.SID, e scheme.Entry, rev uint64, keep time.Duration, done func(rev uint64, err error)) error {
	m, err := d.message(sid, &e, rev, min(keep, d.store.TTL()))
	if err != nil {
		return err
	}
	return d.acks.Publish(m, done)
}

// message is the publish that compares and swaps an entry.
func (d *Directory) message(sid scheme.SID, e *scheme.Entry, rev uint64, keep time.Duration) (*nats.Msg, error) {
	if err := d.store.Usable(); err != nil {
		return nil, err
	}
	data, err := e.Text(d.store.Form())
	if err != nil {
		return nil, fmt.Errorf("bus: directory entry: %w", err)
	}
	m := &nats.Msg{
		Subject: scheme.SessionKey(sid),
		Data:    data,
		Header:  nats.Header{jet.HeaderExpected: []string{strconv.FormatUint(rev, 10)}},
	}
	if keep > 0 {
		m.Header[jet.HeaderTTL] = []string{jet.TTLSeconds(keep)}
	}
	return m, nil
}
