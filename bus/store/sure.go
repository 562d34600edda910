package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// The pauses between questions whose answers prove nothing, because a server lags
// or believes that it still leads.
const (
	sureFirstPause = 2 * time.Millisecond
	sureMostPause  = 250 * time.Millisecond
	// probeUse is how long a probe is asked for before there is a new one: it may
	// have expired, or the store have been restored from a copy since.
	probeUse = 2 * time.Second
)

// Sure reads a session's entry and its revision as they are now, or later than the
// call: what it returns, also ErrNoSession, is not older than anything that was
// acknowledged before. It costs about two of [Directory.Get] and a part of a
// write, and waits up to a fraction of a second for that. If no server can prove
// its answer until ctx ends, the error is ErrUnconfirmed, and nothing is known. See
// the package's documentation, "No absence without a quorum".
func (d *Directory) Sure(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, error) {
	e, rev, _, err := d.SureAge(ctx, sid)
	return e, rev, err
}

// SureAge is Sure, and says how long ago the entry was stored; 0: it is not known.
func (d *Directory) SureAge(ctx context.Context, sid scheme.SID) (e scheme.Entry, rev uint64, age time.Duration, err error) {
	if err := d.store.Usable(); err != nil {
		return scheme.Entry{}, 0, 0, err
	}
	ctx, cancel := d.store.bounded(ctx)
	defer cancel()
	p, err := d.proven(ctx, scheme.SessionKey(sid), d.met.hit(sid))
	switch {
	case err != nil:
		return scheme.Entry{}, 0, 0, err
	case p.m == nil || p.m.Header.Get(jet.HeaderKVOp) != "":
		return scheme.Entry{}, 0, 0, ErrNoSession
	}
	e, rev, err = d.decode(p.m.Data, p.seq)
	return e, rev, p.age, err
}

// Proofs counts what Sure has cost: probes that were written, and answers that
// proved nothing, so that the question was asked again.
func (d *Directory) Proofs() (probes, again uint64) {
	return d.prober.written.Load(), d.again.Load()
}

// proof is the last message under a key of the bucket; nil: there is none.
type proof struct {
	m   *nats.Msg
	seq uint64
	age time.Duration // of m; 0: unknown
}

// proven asks for the last message under a key, soon or at the usual pace.
func (d *Directory) proven(ctx context.Context, key string, soon bool) (p proof, err error) {
	var last error // why there was no proof
	for ctx.Err() == nil {
		probe, err := d.prober.probe(ctx, soon)
		if err != nil {
			if last = err; errors.Is(err, ErrClosed) {
				return proof{}, err
			}
			continue // the prober has its own pace
		}
		p, done, err := d.ask(ctx, key, probe)
		if done {
			return p, nil
		}
		last = err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return proof{}, context.Canceled
	}
	return proof{}, fmt.Errorf("%w: bus: directory: %s: %w", ErrUnconfirmed, key, last)
}

// errLags is why an answer proves nothing.
var errLags = errors.New("no server has answered that has the latest writes")

// ask asks for a key until an answer has the probe of this sequence, or a later
// one. Not done: the probe has been used for too long.
//
// An absence is asked for twice. The server notes where the stream ends before it
// looks the keys up, and passes over what is written between: a key that is
// rewritten in these microseconds looks absent. So it would have to be rewritten
// twice, each time just then.
func (d *Directory) ask(ctx context.Context, key string, probe *probeRound) (p proof, done bool, err error) {
	pause := sureFirstPause
	var absent uint64 // where the stream ended when the key was absent; 0: it was not
	for start := time.Now(); time.Since(start) < probeUse; pause = min(2*pause, sureMostPause) {
		a, err := d.look(ctx, key)
		switch {
		case err == nil && a.probe >= probe.seq && a.m != nil && d.expired(&a):
			return proof{}, true, nil
		case err == nil && a.probe >= probe.seq && a.m != nil:
			return proof{a.m, a.seq, a.age(probe)}, true, nil
		case err == nil && a.probe >= probe.seq && absent != 0 && a.upTo >= absent:
			return proof{}, true, nil
		case err == nil && a.probe >= probe.seq:
			absent = a.upTo
			continue
		case err == nil:
			err = errLags
		}
		d.again.Add(1)
		if jet.Pause(ctx, pause) != nil {
			return proof{}, false, err
		}
	}
	return proof{}, false, errLags
}

// expired reports whether an entry is older, at the time of the probe, than the
// directory keeps any: each server removes what is too old by itself, some later
// than others. Both times are of the stream's leaders.
func (d *Directory) expired(a *sight) bool {
	age := d.store.age.Load()
	return age > 0 && a.at != 0 && a.probeAt-a.at >= age
}

// sight is one server's answer about a key and the probe; 0 and nil: absent.
type sight struct {
	m           *nats.Msg
	seq, probe  uint64
	at, probeAt int64  // when they were stored, Unix ns; 0: unknown
	upTo        uint64 // where the stream ended on that server
}

// age is that of the message, now. The probe has the time between, if it is the one
// that was sent; a later one is so by less than it takes to ask.
func (a *sight) age(probe *probeRound) time.Duration {
	if a.at == 0 || a.probeAt == 0 {
		return 0
	}
	age := time.Duration(max(1, a.probeAt-a.at)) // clocks may be set back
	if a.probe == probe.seq {
		age += time.Since(probe.sent)
	}
	return age
}

// look asks any replica, once, for the last messages under a key and the probe's.
func (d *Directory) look(ctx context.Context, key string) (a sight, err error) {
	req := multiRequest{Subjects: []string{key, d.prober.key}, MaxBytes: sweepBytes}
	end, err := d.store.directGet(ctx, scheme.SessionStream, req, len(req.Subjects), func(m *nats.Msg, seq uint64) error {
		switch jet.LastHeader(m.Header, jet.HeaderSubject) {
		case key:
			a.m, a.seq, a.at = m, seq, storedAt(m.Header)
		case d.prober.key:
			a.probe, a.probeAt = seq, storedAt(m.Header)
		}
		return nil
	})
	if err == nil && (end.upTo == 0 || end.pending != 0) { // it says that there is nothing, or has not said all
		return sight{}, errLags
	}
	a.upTo = end.upTo
	return a, err
}

// Get reads a session's entry and its revision from any replica, which may lag: a
// compare-and-swap on an old revision fails, so that an entry needs no other proof;
// but ErrNoSession is a hint only, and [Directory.Sure] tells.
func (d *Directory) Get(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, error) {
	e, rev, err := d.get(ctx, sid)
	if err == nil {
		d.met.put(sid, Found{Exists: true})
	}
	return e, rev, err
}

func (d *Directory) get(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, error) {
	if err := d.store.Usable(); err != nil {
		return scheme.Entry{}, 0, err
	}
	ctx, cancel := d.store.bounded(ctx)
	defer cancel()
	actx, stop := context.WithTimeout(ctx, jet.AttemptTimeout)
	m, err := d.store.nc.RequestWithContext(actx, EntrySubject(sid), nil)
	stop()
	if err == nil {
		if e, rev, err := d.Parse(m); !errors.Is(err, ErrUnconfirmed) {
			return e, rev, err
		}
	}
	return d.getFromLeader(ctx, sid)
}

// EntrySubject is where any replica is asked for a session's entry, with an empty
// request.
func EntrySubject(sid scheme.SID) string {
	return scheme.APIDirectGet + scheme.SessionStream + "." + scheme.SessionKey(sid)
}

// Parse reads the answer to a question at [EntrySubject], as Get does. ErrUnconfirmed: it
// is none, and nothing is known.
func (d *Directory) Parse(m *nats.Msg) (scheme.Entry, uint64, error) {
	if err := d.store.Usable(); err != nil {
		return scheme.Entry{}, 0, err
	}
	rev, err := strconv.ParseUint(jet.LastHeader(m.Header, jet.HeaderSeq), 10, 64)
	switch status := jet.StatusOf(m); {
	case err != nil && status == "404":
		return scheme.Entry{}, 0, ErrNoSession
	case err != nil:
		return scheme.Entry{}, 0, fmt.Errorf("%w: no answer of the directory", ErrUnconfirmed)
	case m.Header.Get(jet.HeaderKVOp) != "":
		return scheme.Entry{}, 0, ErrNoSession
	}
	return d.decode(m.Data, rev)
}

// getFromLeader is for when the replica that was asked does not answer: its server
// may stand still.
func (d *Directory) getFromLeader(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, error) {
	m, found, err := jet.LeaderGet(ctx, d.store.nc, scheme.SessionStream, jet.GetRequest{LastFor: scheme.SessionKey(sid)})
	switch {
	case err != nil:
		return scheme.Entry{}, 0, err
	case !found || header(m.Header, jet.HeaderKVOp) != "":
		return scheme.Entry{}, 0, ErrNoSession
	}
	return d.decode(m.Data, m.Seq)
}
