package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/kept"
	"hydrant/bus/scheme"
)

const (
	// roomFrom is the share of its bytes from which on a stream of mailboxes is given room.
	roomFrom = 0.60
	// roundName is how long the name of a round is.
	roundName = 12
	// roomJoins is from where on one joins that need not, yet.
	roomJoins = 0.45
	// moversAtOnce bounds the sessions that a round is busy with at a time.
	moversAtOnce = 8
	// roomTurn is the name of the turn, and turnPatience how long it is waited for.
	roomTurn     = "room"
	turnPatience = 100 * time.Millisecond
	// storesApart is how far the clocks of two servers, and of this machine, may be apart.
	storesApart = 10 * time.Second
)

// ErrNoRoom: a stream was not purged: what was set aside of it is full.
var ErrNoRoom = errors.New("bus: no room for what is set aside")

// ErrWentBack: a stream was not purged: its log is not the one that an entry is of. It is
// noted (see [Directory.NoteBack]), and no room is made there as long as it is.
var ErrWentBack = errors.New("bus: the log of a stream of mailboxes has gone back")

// ErrOthersTurn: another node makes room.
var ErrOthersTurn = errors.New("bus: another node makes room")

// ErrOlderNodes: nodes may run that do not read what is set aside. See [Store.Form].
var ErrOlderNodes = errors.New("bus: no room is made beside nodes of an older version")

// errWentBack: a log is not the one that an entry is of.
type errWentBack struct{ seen Sighting }

func (e *errWentBack) Error() string {
	return fmt.Sprintf("%v: %d was another message", ErrWentBack, e.seen.Seq)
}

func (e *errWentBack) Is(target error) bool { return target == ErrWentBack }

// Round is what a round of making room needs to know.
type Round struct {
	// Conn is for this round alone and does not reconnect: what was asked for over a
	// connection that is lost must not reach a log that has gone back meanwhile.
	Conn *nats.Conn
	// Since is when the connection began by which the node knows that no log has gone back,
	// and Lasts reports whether it is still the same.
	Since time.Time
	Lasts func() bool
	// Ripe is how old what is purged is at least: NATS knows the ids of messages that it still
	// has, after its servers began anew, and a session's first marker is stored before its entry.
	Ripe time.Duration
}

// Made is what a round has done.
type Made struct {
	Purged                                int // streams
	Messages                              uint64
	Sealed, Refused, Unsure, Copied, Lost uint64
	Looked                                uint64 // entries
}

// Shares are how full the streams of mailboxes are, by partition.
type Shares []float64

// Shares asks how full the streams of mailboxes are.
func (s *Store) Shares(ctx context.Context) (Shares, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	shares := make(Shares, s.cfg.Streams)
	for i := range shares {
		st, err := s.js.Stream(ctx, scheme.OutStream(i))
		if err != nil {
			return nil, jet.JSError(err)
		}
		var u Usage
		u.add(st.CachedInfo())
		shares[i] = u.Share()
		s.begins[i].Store(st.CachedInfo().State.FirstSeq)
	}
	return shares, nil
}

// Crowded are the partitions in whose streams room should be made. If it is for one, those
// that are not far from it join: all entries are looked at only once then.
func (s Shares) Crowded() (partitions []int) {
	if s.Most() < roomFrom {
		return nil
	}
	for i, share := range s {
		if share >= roomJoins {
			partitions = append(partitions, i)
		}
	}
	return partitions
}

// Most is how full the fullest is.
func (s Shares) Most() float64 { return slices.Max(s) }

// Before is for how long a stream that grows by so much a second is not too full.
func (s Shares) Before(speed float64) time.Duration {
	if left := roomFrom - s.Most(); left <= 0 {
		return 0
	} else if left < speed*maxBefore.Seconds() {
		return time.Duration(left / speed * float64(time.Second))
	}
	return maxBefore
}

// maxBefore is as far as anybody looks ahead.
const maxBefore = time.Hour

// Crowded is [Shares.Crowded], as it is now.
func (s *Store) Crowded(ctx context.Context) (partitions []int, err error) {
	shares, err := s.Shares(ctx)
	if err != nil {
		return nil, err
	}
	return shares.Crowded(), nil
}

// agedWorth is how many messages a round must remove for each session, where no more than age
// asks for it: 100, and two markers.
const agedWorth = 102

// Aged are the partitions whose streams are not full, but have more messages that are older
// than that than it costs to remove.
func (s *Store) Aged(ctx context.Context, age time.Duration) (partitions []int, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	entries, err := s.js.Stream(ctx, scheme.SessionStream)
	if err != nil {
		return nil, jet.JSError(err)
	}
	sessions := entries.CachedInfo().State.NumSubjects/uint64(s.cfg.Streams) + 1
	for i := range s.cfg.Streams {
		st, err := s.js.Stream(ctx, scheme.OutStream(i))
		if err != nil {
			return nil, jet.JSError(err)
		}
		info := st.CachedInfo()
		of := streamOf(info)
		if of.Messages > 0 && info.TimeStamp.Sub(info.State.FirstTime) > age && of.Gains() >= agedWorth*sessions {
			partitions = append(partitions, i)
		}
	}
	return partitions, nil
}

// streamOf is what a round needs to know of a stream.
func streamOf(info *jetstream.StreamInfo) kept.Stream {
	return kept.Stream{First: info.State.FirstSeq, Last: info.State.LastSeq, Messages: info.State.Msgs,
		Bytes: info.State.Bytes, Limit: uint64(max(info.Config.MaxBytes, 0)), Made: info.Created.UnixNano()}
}

// MakeRoom purges the beginning of streams of mailboxes, and sets aside before what of it
// still waits: see the package's documentation, "Room". Any node may; one at a time does,
// as a rule ([ErrOthersTurn]), and two do no harm. None does as long as nodes may run that do
// not read seals ([ErrOlderNodes]).
func (s *Store) MakeRoom(ctx context.Context, r Round, partitions []int) (Made, error) {
	if s.Form() < scheme.RoomForm {
		return Made{}, ErrOlderNodes
	}
	end, err := s.longTurn(ctx, roomTurn, turnTime, turnPatience)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return Made{}, ErrOthersTurn
	}
	if err != nil {
		return Made{}, err
	}
	defer end()
	m, err := newMover(ctx, s, r)
	if err != nil {
		return Made{}, err
	}
	defer m.on.Close()
	err = kept.Round(m, partitions)
	switch {
	case errors.Is(err, kept.ErrEnded):
		err = fmt.Errorf("%w: bus: room: %w", ErrUnconfirmed, err)
	case errors.Is(err, kept.ErrNoted):
		err = fmt.Errorf("%w: %w", ErrWentBack, err)
	}
	var back *errWentBack
	if errors.As(err, &back) {
		partition := s.PartitionOf(back.seen.SID)
		note, noteErr := s.directory.LastBack(ctx, partition)
		if noteErr == nil && note.Rev == 0 {
			noteErr = s.directory.NoteBack(ctx, partition, note, back.seen)
		}
		err = errors.Join(err, noteErr)
	}
	return m.count.made(), err
}

// mover makes one round; it implements [kept.Streams].
type mover struct {
	// Immutable.
	ctx   context.Context
	name  string // of the round
	on    *Store // over the round's own connection
	lasts func() bool
	ripe  time.Duration
	since int64 // positions that were stored later are of the logs that there are, Unix ns

	first   map[int]uint64 // what the streams began with; not changed while entries are looked at
	count   counts
	shelves sync.Map // what there is room for, by partition: *shelfRoom
}

// shelfRoom is how many bytes may be set aside in a stream before it is asked again how full
// it is.
type shelfRoom struct {
	mu    sync.Mutex
	bytes int64
}

const (
	// keptFull is how full the streams of what is set aside may be made: the probes of readers
	// must always find room there.
	keptFull = 0.95
	// keptAsk is the share of such a stream after which it is asked how full it is.
	keptAsk = 0.01
)

// takes reports by an error that there is no room for so many bytes to be set aside.
func (m *mover) takes(partition int, bytes int64) error {
	r, _ := m.shelves.LoadOrStore(partition, new(shelfRoom))
	room := r.(*shelfRoom)
	room.mu.Lock()
	defer room.mu.Unlock()
	if room.bytes < bytes {
		info, err := m.info(scheme.KeptStream(partition))
		if err != nil {
			return err
		}
		limit := info.Config.MaxBytes
		if limit <= 0 {
			return nil
		}
		room.bytes = int64(keptFull*float64(limit)) - int64(info.State.Bytes)
		if room.bytes < bytes {
			return fmt.Errorf("%w: %s has %d bytes of %d", ErrNoRoom, scheme.KeptStream(partition), info.State.Bytes, limit)
		}
		room.bytes = min(room.bytes, max(bytes, int64(keptAsk*float64(limit))))
	}
	room.bytes -= bytes
	return nil
}

type counts struct{ purged, messages, sealed, refused, unsure, copied, lost, looked atomic.Uint64 }

func (c *counts) made() Made {
	return Made{Purged: int(c.purged.Load()), Messages: c.messages.Load(), Sealed: c.sealed.Load(), Refused: c.refused.Load(),
		Unsure: c.unsure.Load(), Copied: c.copied.Load(), Lost: c.lost.Load(), Looked: c.looked.Load()}
}

func newMover(ctx context.Context, s *Store, r Round) (*mover, error) {
	js, err := jetstream.New(r.Conn)
	if err != nil {
		return nil, jet.SendError(err)
	}
	on := &Store{nc: r.Conn, js: js, cfg: s.cfg, ends: ends{nc: r.Conn}, begins: make([]atomic.Uint64, s.cfg.Streams)}
	on.cfg.Window = max(on.cfg.Window, sealBatch+moversAtOnce*copyBatch)
	on.running, on.stop = context.WithCancel(ctx)
	if err := on.subscribe(); err != nil {
		on.stop()
		return nil, err
	}
	on.status = r.Conn.StatusChanged(nats.CLOSED)
	on.watching.Go(on.watch)
	return &mover{ctx: ctx, name: string(scheme.NewSID()[:roundName]), on: on, lasts: r.Lasts, ripe: r.Ripe, since: r.Since.Add(storesApart).UnixNano(), first: make(map[int]uint64)}, nil
}

func (m *mover) Lasts() bool { return m.lasts() }

func (m *mover) Ripen() error { return jet.RequestError(jet.Pause(m.ctx, m.ripe)) }

func (m *mover) WentBack(partition int) (bool, error) {
	note, err := m.on.directory.LastBack(m.ctx, partition)
	return note.Rev != 0, err
}

// info asks for the state of a stream until it is answered: a question may be lost with the
// server that it went to.
func (m *mover) info(stream string) (info *jetstream.StreamInfo, err error) {
	err = jet.Retry(m.ctx, func(ctx context.Context) error {
		st, err := m.on.js.Stream(ctx, stream)
		if err != nil {
			return jet.JSError(err)
		}
		info = st.CachedInfo()
		return nil
	})
	return info, err
}

func (m *mover) Stream(partition int) (kept.Stream, error) {
	info, err := m.info(scheme.OutStream(partition))
	if err != nil {
		return kept.Stream{}, err
	}
	m.first[partition] = info.State.FirstSeq
	return streamOf(info), nil
}

// Settle looks at all entries. The pass counts if it is of servers that show a probe
// which was written after it began.
func (m *mover) Settle(horizons map[int]uint64) (why map[int]error, err error) {
	ctx, stop := context.WithCancelCause(m.ctx)
	defer stop(nil)
	closely := make(chan *opened, sealBatch)
	var workers sync.WaitGroup
	var failed partFailures
	for range moversAtOnce {
		workers.Go(func() {
			for o := range closely {
				partition := m.on.PartitionOf(o.sid)
				if ctx.Err() != nil || failed.has(partition) {
					continue
				}
				err := m.settle(ctx, o)
				if err != nil {
					err = fmt.Errorf("bus: room: %s: %w", o.sid.Short(), err)
				}
				switch {
				case err == nil:
				case errors.Is(err, ErrNoRoom), errors.Is(err, ErrWentBack):
					failed.add(partition, err)
				default:
					stop(err)
				}
			}
		})
	}
	many := &sealing{m: m, ctx: ctx, closely: closely}
	err = m.on.directory.pass(ctx, func(l listedEntry) error {
		partition := m.on.PartitionOf(l.sid)
		horizon, ok := horizons[partition]
		if !ok || failed.has(partition) {
			return nil
		}
		m.count.looked.Add(1)
		return many.add(l.sid, &l.entry, horizon)
	})
	if err == nil {
		err = many.flush()
	}
	close(closely)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return failed.of, err
}

// partFailures are why partitions get no room.
type partFailures struct {
	mu sync.Mutex
	of map[int]error
}

func (f *partFailures) has(partition int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.of[partition] != nil
}

func (f *partFailures) add(partition int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = make(map[int]error)
	}
	f.of[partition] = err
}

func (m *mover) Purge(partition int, horizon uint64) error {
	var resp struct {
		jet.Answer
		Purged uint64 `json:"purged"`
	}
	ctx, cancel := context.WithTimeout(m.ctx, jet.AttemptTimeout)
	defer cancel()
	if err := jet.Ask(ctx, m.on.nc, scheme.APIStreamPurge+scheme.OutStream(partition), map[string]uint64{"seq": horizon + 1}, &resp); err != nil {
		return err
	}
	m.count.purged.Add(1)
	m.count.messages.Add(resp.Purged)
	return nil
}

// pass shows every entry that there is when it begins, each once at least: that which is
// rewritten meanwhile may come twice. An entry that cannot be read has no positions.
func (d *Directory) pass(ctx context.Context, fn func(listedEntry) error) error {
	seq, err := d.probeHere(ctx)
	if err != nil {
		return err
	}
	req := batchRequest{From: 1, NextFor: scheme.SessionKeyPrefix + "*", Batch: passBatch}
	last := uint64(0)
	for pause := sureFirstPause; last < seq; {
		var entries []listedEntry
		var next uint64
		if err := jet.Retry(ctx, func(ctx context.Context) error {
			entries, next = entries[:0], 0
			_, err := d.store.directGet(ctx, scheme.SessionStream, req, passBatch, func(m *nats.Msg, seq uint64) error {
				next = seq
				l, ok, err := readAny(m, seq)
				if ok {
					entries = append(entries, l)
				}
				return err
			})
			return err
		}); err != nil {
			return err
		}
		for _, l := range entries {
			if err := fn(l); err != nil {
				return err
			}
		}
		if next != 0 {
			last, req.From, pause = next, next+1, sureFirstPause
			continue
		}
		if err := jet.Pause(ctx, pause); err != nil { // that server is behind
			return jet.RequestError(err)
		}
		pause = min(2*pause, sureMostPause)
	}
	return nil
}

// probeHere writes a probe under this directory's own key.
func (d *Directory) probeHere(ctx context.Context) (seq uint64, err error) {
	err = jet.Retry(ctx, func(ctx context.Context) error {
		seq, err = jet.PublishAcked(ctx, d.store.nc, &nats.Msg{Subject: d.prober.key, Header: nats.Header{
			jet.HeaderTTL: []string{jet.TTLSeconds(passTTL)},
		}})
		return err
	})
	return seq, err
}

const (
	// passTTL is longer than a pass takes.
	passTTL = 10 * time.Minute
	// passBatch is how many entries one answer brings. For each answer a server looks at all
	// entries of a block, to say how many are left.
	passBatch = 4096
)

// readAny is readListed, with entries that cannot be read. One of a newer form is an error.
func readAny(m *nats.Msg, seq uint64) (l listedEntry, ok bool, err error) {
	if l, ok = readListed(m, seq); ok || len(m.Data) == 0 {
		return l, ok, nil
	}
	sid, err := scheme.ParseSID(jet.LastHeader(m.Header, jet.HeaderSubject)[len(scheme.SessionKeyPrefix):])
	if err != nil {
		return l, false, nil
	}
	if _, _, err := decodeEntry(m.Data, seq); errors.Is(err, ErrNewerForm) {
		return l, false, err
	}
	return listedEntry{sid: sid}, true, nil
}
