package bus

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestAllocs: what runs for every message allocates no more than this. Where
// nats.go's own cost is part of it, the figure is its: a message is a map of
// headers there.
func TestAllocs(t *testing.T) {
	sid, node := NewSID(), NewNodeID()
	reply, err := ReplySubject(node, sid, `"m-1"`)
	if err != nil {
		t.Fatal(err)
	}
	live, _ := LiveSubject(sid)
	copied := &nats.Msg{Subject: live, Data: []byte("x"), Header: nats.Header{
		headerSeq: {"42"}, headerLastSeq: {"41"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05.678901234Z"},
	}}
	ack := &nats.Msg{Data: []byte(`{"stream":"UMF_OUT_3","seq":123456}`)}
	ackReply := "$JS.ACK.UMF_OUT_0." + consumerName(sid, 7, 9) + ".1.42.7.1700000000000000000.3"
	out := Outgoing{Payload: []byte("x")}
	for _, c := range []struct {
		name string
		max  float64
		f    func()
	}{
		{"ParseCopy", 0, func() { ParseCopy(copied) }},
		{"ParseReply", 1, func() { _, _, _, _ = ParseReply(reply) }}, // the mid with its quotes
		{"ParseLiveSubject", 0, func() { _, _ = ParseLiveSubject(live) }},
		{"IsRequestReply", 0, func() { IsRequestReply(live) }},
		{"parseAck", 0, func() { _, _ = parseAck(ack) }},
		{"parseDelivery", 0, func() { parseDelivery(ackReply) }},
		{"StreamIndexOf", 0, func() { _, _ = StreamIndexOf(sid, 16) }},
		{"MailboxSubject", 1, func() { _, _ = MailboxSubject(sid) }},
		{"ReplySubject", 2, func() { _, _ = ReplySubject(node, sid, `"m-1"`) }},
		{"message without mid", 2, func() { _, _ = out.message(sid) }},
	} {
		if got := testing.AllocsPerRun(100, c.f); got > c.max {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.max)
		}
	}
}

func BenchmarkParseCopy(b *testing.B) {
	m := &nats.Msg{Data: []byte("x"), Header: nats.Header{
		headerSeq: {"42"}, headerLastSeq: {"41"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05.678901234Z"},
	}}
	b.ReportAllocs()
	for b.Loop() {
		ParseCopy(m)
	}
}

func BenchmarkReplySubject(b *testing.B) {
	sid, node := NewSID(), NewNodeID()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReplySubject(node, sid, `"cfaec0e9-900a-4962-8a01-0614ce343736"`); err != nil {
			b.Fatal(err)
		}
	}
}

func benchStore(b *testing.B) *Store {
	s, err := OpenStore(context.Background(), connect(b, startNATS(b)), MailboxConfig{QueueLimit: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return s
}

// BenchmarkPublish is one acknowledged publish after the other.
func BenchmarkPublish(b *testing.B) {
	s, sid := benchStore(b), NewSID()
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
	sids := make([]string, 1000)
	for i := range sids {
		sids[i] = NewSID()
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
		sid := NewSID()
		if _, err := s.Directory().Create(ctx, sid, testEntry()); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Publish(ctx, sid, Outgoing{Payload: make([]byte, 300), Mid: NewSID()}); err != nil {
			b.Fatal(err)
		}
		count++
	}
	var messages, entries uint64
	for _, name := range streamNames(s.cfg.Streams) {
		stream, err := s.js.Stream(ctx, name)
		if err != nil {
			b.Fatal(err)
		}
		if name == sessionStream {
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
	s, sid := benchStore(b), NewSID()
	live, _ := LiveSubject(sid)
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

// BenchmarkCatchUp is one session that was behind, from the first read to the
// removal of what reading has made: as Reader does it, and with a consumer from
// the start. CPU is that of this process, servers included.
func BenchmarkCatchUp(b *testing.B) {
	one := func(b *testing.B) *Store { return benchStore(b) }
	three := func(b *testing.B) *Store {
		s, err := OpenStore(context.Background(), connectTo(b, startCluster(b)[0].URL()), MailboxConfig{Replicas: 3})
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
			for _, queue := range []int{1, 3, 10, 100} {
				sid := NewSID()
				fill(b, s, sid, queue)
				for _, consumer := range []bool{false, true} {
					b.Run(fmt.Sprintf("queue=%d/consumer=%v", queue, consumer), func(b *testing.B) { benchCatchUp(b, s, sid, queue, consumer) })
				}
			}
		})
	}
}

func benchCatchUp(b *testing.B, s *Store, sid string, queue int, consumer bool) {
	ctx, before := context.Background(), processTime(b)
	for b.Loop() {
		r := s.NewReader(sid, 1)
		r.long = consumer
		n := 0
		for from := uint64(1); n < queue; {
			batch, err := r.Read(ctx, from, 0, queue, 0)
			if err != nil || len(batch.Msgs) == 0 {
				b.Fatal(n, err)
			}
			n, from = n+len(batch.Msgs), batch.Next
		}
		if err := r.Close(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((processTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
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
	e := Entry{Node: NewNodeID(), State: StateLive, TokenHash: make([]byte, 32), Opened: time.Unix(1700000000, 0)}
	type owned struct {
		sid string
		rev uint64
	}
	free := make(chan owned, 256)
	for range cap(free) {
		sid := NewSID()
		rev, err := d.Create(ctx, sid, e)
		if err != nil {
			b.Fatal(err)
		}
		free <- owned{sid, rev}
	}
	b.ReportAllocs()
	for b.Loop() {
		o := <-free
		err := d.UpdateAsync(o.sid, e, o.rev, func(rev uint64, err error) {
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
	sids := make([]string, 500)
	var wg sync.WaitGroup
	for i := range sids {
		sids[i] = NewSID()
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
