package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// replica plays the directory's servers: it acknowledges probes, and answers
// questions as a script has it.
type replica struct {
	t  *testing.T
	nc *nats.Conn

	// Guarded by mu.
	mu      sync.Mutex
	probe   uint64 // sequence of the last one
	probes  int
	name    string // of the last write
	asked   int
	answers []answer         // the last one is repeated
	hold    func() (ok bool) // before a probe is acknowledged; not ok: it never is

	writes func(*nats.Msg) string // answers to what is no probe; empty: none
}

// answer is what one server says.
type answer struct {
	lag     bool   // it has not got the last probe
	none    bool   // it has nothing at all, not even an old probe
	entry   uint64 // revision of the session's entry; 0: it has none
	upTo    uint64 // where its stream ends; 0: at the last probe
	pending int
	own     bool          // the entry is what was written last
	age     time.Duration // of the entry, when the probe was stored
}

// scripted is a directory whose servers are played.
func scripted(t *testing.T, answers ...answer) (*Directory, *replica) {
	t.Helper()
	nc := connect(t, natstest.Start(t).URL()) // without the stream
	r := &replica{t: t, nc: nc, probe: 100, answers: answers}
	r.writes = func(*nats.Msg) string { return "" }
	for subject, f := range map[string]nats.MsgHandler{
		scheme.SessionKeyPrefix + "*":              r.acknowledge,
		scheme.APIDirectGet + scheme.SessionStream: r.answer,
	} {
		if _, err := nc.Subscribe(subject, f); err != nil {
			t.Fatal(err)
		}
	}
	s := &Store{nc: nc, cfg: Config{Streams: 1}}
	if err := s.cfg.defaults(); err != nil {
		t.Fatal(err)
	}
	s.running, s.stop = context.WithCancel(context.Background())
	if err := s.subscribe(); err != nil {
		t.Fatal(err)
	}
	s.status = nc.StatusChanged(nats.CLOSED)
	s.watching.Go(s.watch)
	t.Cleanup(s.Close)
	return s.directory, r
}

func (r *replica) acknowledge(m *nats.Msg) {
	if m.Header.Get(jet.HeaderExpected) != "" {
		r.mu.Lock()
		r.name = m.Header.Get(scheme.HeaderWrite)
		r.mu.Unlock()
		if a := r.writes(m); a != "" {
			_ = m.Respond([]byte(a)) // then the test fails
		}
		return
	}
	r.mu.Lock()
	r.probe++
	r.probes++
	seq, hold := r.probe, r.hold
	r.mu.Unlock()
	if m.Header.Get(jet.HeaderTTL) == "" {
		r.t.Error("a probe has no time to live")
	}
	if hold != nil && !hold() {
		return
	}
	if err := m.Respond(fmt.Appendf(nil, `{"stream":%q,"seq":%d}`, scheme.SessionStream, seq)); err != nil {
		r.t.Error(err)
	}
}

func (r *replica) answer(m *nats.Msg) {
	var req multiRequest
	if err := json.Unmarshal(m.Data, &req); err != nil || len(req.Subjects) != 2 {
		r.t.Error(req, err)
		return
	}
	r.mu.Lock()
	a, probe, name := r.answers[min(r.asked, len(r.answers)-1)], r.probe, r.name
	r.asked++
	r.mu.Unlock()
	if a.lag {
		probe = 100
	}
	at := time.Unix(1_700_000_000, 0)
	before := "0" // each names the one before it, and so does the end
	send := func(h nats.Header, data []byte) {
		h[jet.HeaderLastSeq] = []string{before}
		if seq := h[jet.HeaderSeq]; seq != nil {
			before = seq[0]
		}
		if err := r.nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: h, Data: data}); err != nil {
			r.t.Error(err)
		}
	}
	if a.none {
		send(nats.Header{"Status": {"404"}}, nil)
		return
	}
	if a.entry != 0 {
		data, err := json.Marshal(testEntry())
		if err != nil {
			r.t.Error(err)
		}
		h := nats.Header{jet.HeaderSubject: {req.Subjects[0]}, jet.HeaderSeq: {strconv.FormatUint(a.entry, 10)}}
		if a.own {
			h[scheme.HeaderWrite] = []string{name}
		}
		h[jet.HeaderTime] = []string{at.Add(-a.age).Format(time.RFC3339Nano)}
		send(h, data)
	}
	send(nats.Header{jet.HeaderSubject: {req.Subjects[1]}, jet.HeaderSeq: {strconv.FormatUint(probe, 10)},
		jet.HeaderTime: {at.Format(time.RFC3339Nano)}}, nil)
	upTo := max(a.upTo, probe)
	send(nats.Header{"Status": {"204"}, jet.HeaderUpTo: {strconv.FormatUint(upTo, 10)}, jet.HeaderPending: {strconv.Itoa(a.pending)}}, nil)
}

// TestSure: what a server says counts only if it has what was acknowledged before,
// and an absence only twice.
func TestSure(t *testing.T) {
	for name, c := range map[string]struct {
		answers []answer
		rev     uint64 // 0: there is no such session
		again   uint64
	}{
		"there":                                     {[]answer{{entry: 7}}, 7, 0},
		"there, says one that lags":                 {[]answer{{lag: true, entry: 5}, {entry: 7}}, 7, 1},
		"gone":                                      {[]answer{{}}, 0, 0},
		"gone, says one that lags":                  {[]answer{{lag: true}, {lag: true}, {entry: 7}}, 7, 2},
		"gone, says one that has nothing":           {[]answer{{none: true}, {none: true}, {entry: 7}}, 7, 2},
		"rewritten while it was looked for":         {[]answer{{}, {entry: 9}}, 9, 0},
		"the second one lags":                       {[]answer{{upTo: 900}, {upTo: 800}, {entry: 9}}, 9, 0},
		"too old, and not yet removed":              {[]answer{{entry: 7, age: time.Hour}}, 0, 0},
		"almost too old":                            {[]answer{{entry: 7, age: time.Hour - 1}}, 7, 0},
		"not all was said":                          {[]answer{{pending: 1}, {entry: 9}}, 9, 1},
		"gone, though at first one with it answers": {[]answer{{lag: true, entry: 5}, {}}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := scripted(t, c.answers...)
			d.store.age.Store(int64(time.Hour))
			e, rev, age, err := d.SureAge(natstest.Context(t), scheme.NewSID())
			switch {
			case c.rev == 0 && !errors.Is(err, ErrNoSession):
				t.Errorf("%d, %v", rev, err)
			case c.rev != 0 && (err != nil || rev != c.rev || !sameEntry(e, testEntry())):
				t.Errorf("%d, %v", rev, err)
			case c.rev != 0 && age < max(1, c.answers[len(c.answers)-1].age):
				t.Errorf("is %v old", age)
			}
			if probes, again := d.Proofs(); probes != 1 || again != c.again {
				t.Errorf("%d probes, asked again %d times", probes, again)
			}
		})
	}
}

// TestSureNoProof: without an acknowledgement, or while all servers lag, nothing
// is known, whatever they say.
func TestSureNoProof(t *testing.T) {
	t.Parallel() // it waits
	for name, prepare := range map[string]func(r *replica){
		"no acknowledgement": func(r *replica) { r.hold = func() bool { return false } },
		"all lag":            func(r *replica) { r.answers = []answer{{lag: true}} },
		"all have nothing":   func(r *replica) { r.answers = []answer{{none: true}} },
	} {
		t.Run(name, func(t *testing.T) {
			d, r := scripted(t, answer{})
			prepare(r)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, _, err := d.Sure(ctx, scheme.NewSID()); !errors.Is(err, ErrUnconfirmed) || errors.Is(err, ErrNoSession) {
				t.Error(err)
			}
			if found, err := d.Lookup(ctx, scheme.NewSID()); found.Exists || err == nil {
				t.Error("looked up:", found, err)
			}
		})
	}
}

// TestSureNewProbe: a probe that no server has, since the store was restored from a
// copy, is not waited for until the end.
func TestSureNewProbe(t *testing.T) {
	t.Parallel() // it waits
	d, r := scripted(t, answer{entry: 7})
	lost := true
	r.hold = func() bool {
		if lost {
			lost = false
			r.mu.Lock()
			r.probe = 50 // and counts from there; 101 was acknowledged
			r.mu.Unlock()
		}
		return true
	}
	if _, rev, err := d.Sure(natstest.Context(t), scheme.NewSID()); err != nil || rev != 7 {
		t.Error(rev, err)
	}
	if probes, _ := d.Proofs(); probes < 2 {
		t.Errorf("%d probes", probes)
	}
}

// TestProbeShared: all who ask while a probe is on its way share the next one, and
// none of them takes the one that was sent before they asked.
func TestProbeShared(t *testing.T) {
	d, r := scripted(t, answer{entry: 7})
	sent, release := make(chan struct{}), make(chan struct{})
	first := true
	r.hold = func() bool {
		if first {
			first = false
			close(sent)
			<-release
		}
		return true
	}
	early, err := d.prober.join(false)
	if err != nil {
		t.Fatal(err)
	}
	<-sent
	late, err := d.prober.join(false)
	if err != nil || late == early {
		t.Fatal("a question is answered by a probe from before it was asked", err)
	}
	for range 50 {
		if r, err := d.prober.join(false); err != nil || r != late {
			t.Fatal("two probes for those who ask at the same time", err)
		}
	}
	close(release)
	<-early.done
	<-late.done
	if probes, _ := d.Proofs(); probes != 2 || early.seq != 101 || late.seq != 102 {
		t.Errorf("%d probes: %d, %d", probes, early.seq, late.seq)
	}
}

// TestProbeRate: however many ask one after the other, there are a few probes a
// second.
func TestProbeRate(t *testing.T) {
	t.Parallel() // it waits
	d, _ := scripted(t, answer{entry: 7})
	start := time.Now()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 3 {
				if _, _, err := d.Sure(natstest.Context(t), scheme.NewSID()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	if probes, _ := d.Proofs(); probes > 1+uint64(took/probeEvery) {
		t.Errorf("%d probes in %v", probes, took)
	}
}

// TestSureSoon: a session that was there a moment ago does not wait for its proof as long
// as ids that nobody has: who makes up ids holds up no resume.
func TestSureSoon(t *testing.T) {
	d, r := scripted(t, answer{entry: 7})
	d.prober.every = time.Hour
	ctx := natstest.Context(t)
	if _, _, err := d.Sure(ctx, scheme.NewSID()); err != nil { // the first one is sent at once
		t.Fatal(err)
	}
	unknown := make(chan error)
	impatient, giveUp := context.WithCancel(ctx)
	go func() {
		_, _, err := d.Sure(impatient, scheme.NewSID())
		unknown <- err
	}()
	natstest.WaitFor(t, func() bool { // it asks
		d.prober.mu.Lock()
		defer d.prober.mu.Unlock()
		return d.prober.next != nil
	})
	sid := scheme.NewSID()
	d.met.put(sid, Found{Exists: true})
	for range 3 {
		if _, _, err := d.Sure(ctx, sid); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-unknown; err != nil { // it shares what others are in a hurry for
		t.Fatal(err)
	}
	go func() {
		_, _, err := d.Sure(impatient, scheme.NewSID())
		unknown <- err
	}()
	giveUp()
	if err := <-unknown; !errors.Is(err, context.Canceled) {
		t.Errorf("an id that nobody has: %v", err)
	}
	if r.mu.Lock(); r.probes > 5 {
		t.Errorf("%d probes", r.probes)
	}
	r.mu.Unlock()
}

// TestSureClosed: who waits for a proof is told when the store is closed.
func TestSureClosed(t *testing.T) {
	d, r := scripted(t, answer{})
	sent := make(chan struct{}, 1)
	r.hold = func() bool { sent <- struct{}{}; return false }
	failed := make(chan error)
	go func() {
		_, _, err := d.Sure(natstest.Context(t), scheme.NewSID())
		failed <- err
	}()
	<-sent
	d.store.Close()
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestProbeIsNoSession: nobody takes a node's own keys for sessions.
func TestProbeIsNoSession(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx := natstest.Context(t)
	if _, _, err := s.Directory().Sure(ctx, scheme.NewSID()); !errors.Is(err, ErrNoSession) {
		t.Fatal(err)
	}
	m, found, err := jet.LeaderGet(ctx, s.nc, scheme.SessionStream, jet.GetRequest{LastFor: s.directory.prober.key})
	if err != nil || !found || header(m.Header, jet.HeaderTTL) == "" {
		t.Fatalf("the probe: %+v, %v, %v", m, found, err)
	}
	if err := s.Directory().List(ctx, func(sid scheme.SID, _ scheme.Entry) bool {
		t.Errorf("%q is listed", sid)
		return true
	}); err != nil {
		t.Error(err)
	}
	if rows, err := ListSessions(ctx, s.nc, 10); err != nil || len(rows) != 0 {
		t.Errorf("%v, %v", rows, err)
	}
}
