package store

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// copied is a message of a mailbox, as its copy arrives.
func copied() *nats.Msg {
	return &nats.Msg{Subject: scheme.StoredSubject("k7abcdefghijklmnopqrstuvwx"), Data: []byte("x"), Header: nats.Header{
		jet.HeaderSeq: {"42"}, jet.HeaderLastSeq: {"41"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05.678901234Z"},
	}}
}

// TestParseCopyAllocs: what runs for every message allocates nothing.
func TestParseCopyAllocs(t *testing.T) {
	m := copied()
	if n := testing.AllocsPerRun(100, func() { ParseCopy(m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseCopy(b *testing.B) {
	m := copied()
	b.ReportAllocs()
	for b.Loop() {
		ParseCopy(m)
	}
}

func benchStore(b *testing.B) *Store {
	s, err := Open(context.Background(), connect(b, natstest.Start(b).URL()), Config{QueueLimit: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return s
}

// BenchmarkPublish is one acknowledged publish after the other.
func BenchmarkPublish(b *testing.B) {
	s, sid := benchStore(b), scheme.NewSID()
	out := Outgoing{Payload: make([]byte, 200)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Publish(context.Background(), sid, out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublishAsync is a full window of publishes to 1,000 sessions. The
// server runs in the same process, so its work is in the figures too.
func BenchmarkPublishAsync(b *testing.B) {
	s := benchStore(b)
	sids := make([]scheme.SID, 1000)
	for i := range sids {
		sids[i] = scheme.NewSID()
	}
	out := Outgoing{Payload: make([]byte, 200)}
	room := make(chan struct{}, 1000)
	var wg sync.WaitGroup
	done := func(_ uint64, err error) {
		if err != nil {
			b.Error(err)
		}
		<-room
		wg.Done()
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		room <- struct{}{}
		wg.Add(1)
		if err := s.PublishAsync(sids[i%len(sids)], out, done); err != nil {
			b.Fatal(err)
		}
		i++
	}
	wg.Wait()
}

// BenchmarkStored is what a message of 300 bytes, and a session that is parked,
// take of the store's limits, before its compression and on every replica.
func BenchmarkStored(b *testing.B) {
	ctx, s := context.Background(), benchStore(b)
	count := 0.0
	for b.Loop() {
		sid := scheme.NewSID()
		if _, err := s.Directory().Create(ctx, sid, testEntry()); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Publish(ctx, sid, Outgoing{Payload: make([]byte, 300), Mid: string(scheme.NewSID())}); err != nil {
			b.Fatal(err)
		}
		count++
	}
	var messages, entries uint64
	for _, name := range scheme.StreamNames(s.cfg.Streams) {
		stream, err := s.js.Stream(ctx, name)
		if err != nil {
			b.Fatal(err)
		}
		if name == scheme.SessionStream {
			entries += stream.CachedInfo().State.Bytes
		} else {
			messages += stream.CachedInfo().State.Bytes
		}
	}
	b.ReportMetric(float64(messages)/count, "B/message")
	b.ReportMetric(float64(entries)/count, "B/session")
}

// BenchmarkLive is the way of a message from publish to a node's live
// subscription.
func BenchmarkLive(b *testing.B) {
	s, sid := benchStore(b), scheme.NewSID()
	live := scheme.LiveWildcard(sid)
	room := make(chan struct{}, 512)
	var wg sync.WaitGroup
	sub, err := s.nc.Subscribe(live, func(m *nats.Msg) {
		if _, stored := ParseCopy(m); !stored {
			b.Error("not stored")
		}
		<-room
		wg.Done()
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := sub.Unsubscribe(); err != nil {
			b.Error(err)
		}
	})
	if err := s.nc.Flush(); err != nil {
		b.Fatal(err)
	}
	out := Outgoing{Payload: make([]byte, 200)}
	b.ReportAllocs()
	for b.Loop() {
		room <- struct{}{}
		wg.Add(1)
		if err := s.PublishAsync(sid, out, func(uint64, error) {}); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
}

// BenchmarkCatchUp is one session that was behind, alone in its stream and beside
// others. CPU is that of this process, servers included.
func BenchmarkCatchUp(b *testing.B) {
	one := func(b *testing.B) *Store { return benchStore(b) }
	three := func(b *testing.B) *Store {
		s, err := Open(context.Background(), connect(b, natstest.StartCluster(b)[0].URL()), Config{Replicas: 3})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.Close)
		return s
	}
	for _, servers := range []struct {
		name string
		open func(*testing.B) *Store
	}{{"servers=1", one}, {"servers=3", three}} {
		b.Run(servers.name, func(b *testing.B) {
			s := servers.open(b)
			for _, beside := range []int{0, 10_000} {
				for _, queue := range []int{1, 10, 100, 1000} {
					sid := scheme.NewSID()
					first := fill(b, s, sid, 1)[0]
					fill(b, s, other(sid), beside)
					fill(b, s, sid, queue)
					b.Run(fmt.Sprintf("beside=%d/queue=%d", beside, queue), func(b *testing.B) { benchCatchUp(b, s, sid, first, queue) })
				}
			}
		})
	}
}

// benchCatchUp reads what follows the first message.
func benchCatchUp(b *testing.B, s *Store, sid scheme.SID, first uint64, queue int) {
	ctx, before := context.Background(), processTime(b)
	for b.Loop() {
		for anchor, n := first, 0; n < queue; {
			batch, err := s.Read(ctx, sid, anchor+1, anchor, 100, 0)
			if err != nil || len(batch.Msgs) == 0 || batch.Anchor != AnchorPresent {
				b.Fatal(n, batch.Anchor, err)
			}
			n, anchor = n+len(batch.Msgs), batch.Next-1
		}
	}
	b.ReportMetric(float64((processTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkPiece is 600 sessions with 9 messages each in one stream, read together and
// one by one. CPU is that of this process, the server included.
func BenchmarkPiece(b *testing.B) {
	ctx, s := context.Background(), benchStore(b)
	first := scheme.NewSID()
	boxes := make([]scheme.SID, 600)
	for i := range boxes {
		boxes[i] = other(first)
	}
	var from uint64 // the first message
	for range 10 {
		for _, sid := range boxes {
			seq, err := s.Publish(ctx, sid, Outgoing{Payload: make([]byte, 300)})
			if err != nil {
				b.Fatal(err)
			}
			if from == 0 {
				from = seq
			}
		}
	}
	b.Run("together", func(b *testing.B) {
		before := processTime(b)
		for b.Loop() {
			p, err := s.ReadPiece(ctx, s.PartitionOf(first), from, 8192, 8<<20)
			if err != nil || len(p.Msgs) != 10*len(boxes) {
				b.Fatal(err, len(p.Msgs))
			}
		}
		b.ReportMetric(float64((processTime(b)-before).Microseconds())/float64(b.N*len(boxes)), "cpu-µs/session")
	})
	b.Run("each", func(b *testing.B) {
		before := processTime(b)
		for b.Loop() {
			for i, sid := range boxes {
				at := from + uint64(i)
				if batch, err := s.Read(ctx, sid, at+1, at, 100, 0); err != nil || len(batch.Msgs) != 9 {
					b.Fatal(err, len(batch.Msgs))
				}
			}
		}
		b.ReportMetric(float64((processTime(b)-before).Microseconds())/float64(b.N*len(boxes)), "cpu-µs/session")
	})
}

func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDirectory is the checkpoint of an entry, in a full window.
func BenchmarkDirectory(b *testing.B) {
	s := benchStore(b)
	d, ctx := s.Directory(), context.Background()
	e := scheme.Entry{Node: scheme.NewNodeID(), State: scheme.StateLive, TokenHash: make([]byte, 32), Opened: 1700000000}
	type owned struct {
		sid scheme.SID
		rev uint64
	}
	free := make(chan owned, 256)
	for range cap(free) {
		sid := scheme.NewSID()
		rev, err := d.Create(ctx, sid, e)
		if err != nil {
			b.Fatal(err)
		}
		free <- owned{sid, rev}
	}
	b.ReportAllocs()
	for b.Loop() {
		o := <-free
		err := d.UpdateAsync(o.sid, e, o.rev, 0, func(rev uint64, err error) {
			if err != nil {
				b.Error(err)
			}
			free <- owned{o.sid, rev}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for range cap(free) {
		<-free
	}
}

// BenchmarkSweep asks for the last sequences of 500 mailboxes.
func BenchmarkSweep(b *testing.B) {
	s := benchStore(b)
	sids := make([]scheme.SID, 500)
	var wg sync.WaitGroup
	for i := range sids {
		sids[i] = scheme.NewSID()
		wg.Add(1)
		if err := s.PublishAsync(sids[i], Outgoing{Payload: make([]byte, 200)}, func(uint64, error) { wg.Done() }); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	b.ReportAllocs()
	for b.Loop() {
		got, err := s.LastSeqs(context.Background(), sids)
		if err != nil || len(got) != len(sids) {
			b.Fatal(len(got), err)
		}
	}
}
