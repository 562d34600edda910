package store

import (
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestWentBack: another log is told by a message that is not in it: because it ends before
// that, or has another one in its place, of whichever mailbox. A message that was removed
// tells nothing.
func TestWentBack(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	see := func(seq uint64) Sighting {
		t.Helper()
		b, err := s.Read(ctx, sid, seq, 0, 1, 0)
		if err != nil || len(b.Msgs) != 1 || b.Msgs[0].Seq != seq {
			t.Fatalf("%+v, %v", b, err)
		}
		return Sighting{SID: sid, Seq: seq, Time: b.Msgs[0].Time}
	}
	want := func(what string, seen Sighting, back bool) {
		t.Helper()
		if got, err := s.WentBack(ctx, seen); err != nil || got != back {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	seqs := fill(t, s, sid, 6)
	seen, removed := see(seqs[5]), see(seqs[3])
	want("as it was", seen, false)
	stream, err := s.js.Stream(ctx, scheme.OutStream(s.PartitionOf(sid)))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(ctx, removed.Seq); err != nil {
		t.Fatal(err)
	}
	want("one was removed", removed, false)

	anew := func() {
		t.Helper()
		config := stream.CachedInfo().Config
		if err := s.js.DeleteStream(ctx, config.Name); err != nil {
			t.Fatal(err)
		}
		if stream, err = s.js.CreateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
	}
	anew()
	want("it ends before", seen, true)
	fill(t, s, other(sid), int(seen.Seq))
	want("another mailbox's", seen, true)
	anew()
	fill(t, s, sid, int(seen.Seq)+1)
	want("another message", seen, true)
	want("as it is now", see(seen.Seq), false)
}

// TestWentBackByADeposedLeader: a server that leads a stream no more, and has not noticed,
// says of a message that the log ends before it. It is asked again.
func TestWentBackByADeposedLeader(t *testing.T) {
	ns := natstest.StartServer(t, server.Options{JetStream: true})
	s := openStore(t, connect(t, ns.ClientURL()), Config{Streams: 1})
	ctx, sid, stream := natstest.Context(t), scheme.NewSID(), scheme.OutStream(0)
	seqs := fill(t, s, sid, 6)
	b, err := s.Read(ctx, sid, seqs[5], 0, 1, 0)
	if err != nil {
		t.Fatal(err)
	}

	deposed := connect(t, ns.ClientURL())
	account := ns.GlobalAccount()
	var asked atomic.Int32
	says := func(subject, name, text string) {
		t.Helper()
		if _, err := deposed.Subscribe("deposed."+name, func(m *nats.Msg) {
			if asked.Add(1) == 6 { // it has noticed
				account.RemoveMapping(scheme.APIMsgGet + stream)
				account.RemoveMapping(scheme.APIStreamInfo + stream)
			}
			_ = m.Respond([]byte(text))
		}); err != nil {
			t.Fatal(err)
		}
		if err := deposed.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := account.AddMapping(subject+stream, "deposed."+name); err != nil {
			t.Fatal(err)
		}
	}
	says(scheme.APIMsgGet, "get", `{"error":{"code":404,"err_code":10037,"description":"no message found"}}`)
	says(scheme.APIStreamInfo, "info", `{"state":{"first_seq":1,"last_seq":3}}`)
	back, err := s.WentBack(ctx, Sighting{SID: sid, Seq: seqs[5], Time: b.Msgs[0].Time})
	if err != nil || back || asked.Load() < 6 {
		t.Errorf("%v, %v after %d answers of the deposed one", back, err, asked.Load())
	}
}

// TestNoteBack: an entry that is written after a note has a higher revision. Of nodes that
// know the same one writes the next. Notes are of a partition, and no sessions.
func TestNoteBack(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx, sid := s.Directory(), natstest.Context(t), scheme.NewSID()
	partition := s.PartitionOf(sid)
	last := func(of int) BackNote {
		t.Helper()
		n, err := d.LastBack(ctx, of)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, err := d.Create(ctx, sid, testEntry())
	if err != nil {
		t.Fatal(err)
	}
	if n := last(partition); n != (BackNote{}) {
		t.Errorf("before: %v", n)
	}
	for again := range int64(2) {
		known := last(partition)
		if err := d.NoteBack(ctx, partition, known, Sighting{SID: sid, Seq: 9, Time: 1000 + again}); err != nil {
			t.Fatal(err)
		}
		n := last(partition)
		if n.Rev <= before || n.Time <= known.Time || n.Kept != 1000 {
			t.Errorf("%v: the entry has %d, and %v was there", n, before, known)
		}
		after, err := d.Update(ctx, sid, testEntry(), before)
		if err != nil || n.Rev >= after {
			t.Errorf("%v: the entry has %d, %v", n, after, err)
		}
		before = after
		if err := d.NoteBack(ctx, partition, known, Sighting{SID: sid, Seq: 9, Time: 5}); err != nil || last(partition) != n {
			t.Errorf("another node writes %v, %v", last(partition), err)
		}
	}
	if n := last((partition + 1) % s.cfg.Streams); n != (BackNote{}) {
		t.Errorf("of another partition: %v", n)
	}
	found := 0
	if err := d.List(ctx, func(scheme.SID, scheme.Entry) bool { found++; return true }); err != nil || found != 1 {
		t.Errorf("%d sessions, %v", found, err)
	}
}
