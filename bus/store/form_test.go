package store

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// raise has the directory's stream name a form.
func raise(t *testing.T, s *Store, form string) {
	t.Helper()
	ctx := natstest.Context(t)
	st, err := s.js.Stream(ctx, scheme.SessionStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.Metadata = maps.Clone(cfg.Metadata)
	cfg.Metadata[scheme.MetaForm] = form
	if _, err := s.js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
}

// touches does all that a node does with the directory, and reports what did not
// fail as it must where a newer version keeps its sessions.
func touches(t *testing.T, s *Store, sid scheme.SID, rev uint64) {
	t.Helper()
	ctx, d := natstest.Context(t), s.Directory()
	never := func(uint64, error) { t.Error("sent") }
	_, err1 := d.Create(ctx, scheme.NewSID(), testEntry())
	_, err2 := d.Update(ctx, sid, testEntry(), rev)
	err3 := d.UpdateAsync(sid, testEntry(), rev, 0, never)
	err4 := d.Delete(ctx, sid, rev)
	_, _, err5 := d.Get(ctx, sid)
	_, _, err6 := d.Sure(ctx, sid)
	_, _, err7 := d.Sure(ctx, scheme.NewSID()) // not "no such session"
	_, err8 := d.Lookup(ctx, scheme.NewSID())
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, s.Usable()} {
		if !errors.Is(err, ErrNewerForm) || !strings.Contains(err.Error(), "number 4") {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
	var c *ContractError
	if err := s.CheckContract(ctx); !errors.As(err, &c) || c.Partial || !strings.Contains(err.Error(), "number 4") || c.Findings[0].Fix == "" {
		t.Errorf("ready: %v", err)
	}
	if m, found, err := jet.LeaderGet(ctx, s.nc, scheme.SessionStream, jet.GetRequest{LastFor: scheme.SessionKey(sid)}); err != nil || !found || m.Seq != rev {
		t.Errorf("the entry was touched: %+v, %v, %v", m, found, err)
	}
}

// TestNewerStream, R75: where the directory's stream names a form that this version does
// not know, it concludes and writes nothing, does not start, and says why; and goes
// on when that has been taken back.
func TestNewerStream(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	ctx := natstest.Context(t)
	s := openStore(t, nc, Config{Streams: 1, QueueLimit: 10})
	sid := scheme.NewSID()
	rev, err := s.Directory().Create(ctx, sid, testEntry())
	if err != nil {
		t.Fatal(err)
	}
	raise(t, s, "4")
	if err := s.CheckContract(ctx); err == nil {
		t.Error("ready")
	}
	touches(t, s, sid, rev)
	cfg := s.Config()
	cfg.QueueLimit = 20
	if f := findings(t, nc, cfg); len(f) != 1 || !strings.Contains(f[0].Detail, "number 4") {
		t.Error(f)
	}
	if err := s.Repair(ctx); err == nil || !strings.Contains(err.Error(), "number 4") {
		t.Error(err)
	}
	st, err := s.js.Stream(ctx, "UMF_OUT_0")
	if err != nil || st.CachedInfo().Config.MaxMsgsPerSubject != 12 {
		t.Errorf("a node that does not start has changed a stream: %v", err)
	}
	told := false
	for _, f := range Diagnose(ctx, nc, cfg) {
		told = told || f.Verdict == Fail && strings.Contains(f.Detail, "number 4")
	}
	if !told {
		t.Error("the doctor says nothing")
	}
	raise(t, s, "3")
	if err := s.CheckContract(ctx); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Directory().Get(ctx, sid); err != nil {
		t.Error(err)
	}
}

// TestNewerEntry, R75: one entry of a newer form says the same, whoever meets it.
func TestNewerEntry(t *testing.T) {
	for name, read := range map[string]func(*testing.T, *Directory, scheme.SID) error{
		"get": func(t *testing.T, d *Directory, sid scheme.SID) error {
			_, _, err := d.Get(natstest.Context(t), sid)
			return err
		},
		"sure": func(t *testing.T, d *Directory, sid scheme.SID) error {
			_, _, err := d.Sure(natstest.Context(t), sid)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Config{Streams: 1})
			sid := scheme.NewSID()
			rev, err := jet.PublishAcked(natstest.Context(t), s.nc, &nats.Msg{Subject: scheme.SessionKey(sid), Data: []byte(`{"v":4,"s":{"live":true}}`)})
			if err != nil {
				t.Fatal(err)
			}
			if err := read(t, s.Directory(), sid); !errors.Is(err, ErrNewerForm) || errors.Is(err, ErrBadEntry) {
				t.Error(err)
			}
			touches(t, s, sid, rev)
		})
	}
}

// TestFirstForm: entries of the form that had no number are read, and written again
// in this one's.
func TestFirstForm(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	d, ctx, sid := s.Directory(), natstest.Context(t), scheme.NewSID()
	old := `{"n":"` + testNode + `","s":1,"f":5,"e":7,"t":"AQID","i":"alice","k":true,"o":1700000000}`
	rev, err := jet.PublishAcked(ctx, s.nc, &nats.Msg{Subject: scheme.SessionKey(sid), Data: []byte(old)})
	if err != nil {
		t.Fatal(err)
	}
	e, got, err := d.Get(ctx, sid)
	if err != nil || got != rev || !sameEntry(e, testEntry()) {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := d.Update(ctx, sid, e, rev); err != nil {
		t.Fatal(err)
	}
	m, _, err := jet.LeaderGet(ctx, s.nc, scheme.SessionStream, jet.GetRequest{LastFor: scheme.SessionKey(sid)})
	var form struct{ V, S int }
	if err != nil || json.Unmarshal(m.Data, &form) != nil || form.V != scheme.Form || form.S < 3 {
		t.Errorf("%s, %v", m.Data, err)
	}
}

// TestFirstFormNodes: what nodes of the first form ask of the streams, and do to
// them, is not met any more, so that they do not run; and what they do at their
// start does not change that.
func TestFirstFormNodes(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	ctx := natstest.Context(t)
	s := openStore(t, nc, Config{Streams: 1})
	refused := func() bool { // as they compare
		st, err := s.js.Stream(ctx, scheme.ExpiryStream)
		if err != nil {
			t.Fatal(err)
		}
		return st.CachedInfo().Config.MaxMsgs > 0
	}
	if !refused() {
		t.Error("a node of the first form would start")
	}
	for _, want := range s.cfg.configs() { // as they update: all but what merge leaves alone
		want.Metadata, want.MaxMsgs = nil, -1
		st, err := s.js.Stream(ctx, want.Name)
		if err != nil {
			t.Fatal(err)
		}
		next := merge(st.CachedInfo().Config, want)
		next.Description = "from an old node"
		if _, err := s.js.UpdateStream(ctx, next); err != nil {
			t.Fatal(err)
		}
	}
	if !refused() {
		t.Error("a node of the first form has opened the way for itself")
	}
	if err := s.CheckContract(ctx); err != nil {
		t.Error("… and closed it for this one:", err)
	}
}

// TestFormTaken: a store that the first form has left is marked by the first node
// that may, and is not well until then.
func TestFormTaken(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	ctx := natstest.Context(t)
	s := openStore(t, nc, Config{Streams: 1})
	unmark := func() {
		for name, change := range map[string]func(*jetstream.StreamConfig){
			scheme.SessionStream: func(c *jetstream.StreamConfig) { c.Metadata = nil },
			scheme.ExpiryStream:  func(c *jetstream.StreamConfig) { c.MaxMsgs = -1 },
		} {
			st, err := s.js.Stream(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			cfg := st.CachedInfo().Config
			change(&cfg)
			if _, err := s.js.UpdateStream(ctx, cfg); err != nil {
				t.Fatal(err)
			}
		}
		var c *ContractError
		if err := s.CheckContract(ctx); !errors.As(err, &c) || len(c.Findings) != 2 {
			t.Fatal(err)
		}
	}
	unmark()
	if err := s.Repair(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckContract(ctx); err != nil {
		t.Error("repaired:", err)
	}
	unmark()
	again, err := Open(ctx, nc, s.Config())
	if err != nil {
		t.Fatal("opened:", err)
	}
	again.Close()
}
