package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// fill publishes n messages "0", "1", … and returns their sequences.
func fill(t testing.TB, s *Store, sid scheme.SID, n int) []uint64 {
	t.Helper()
	ctx := natstest.Context(t)
	seqs := make([]uint64, n)
	for i := range seqs {
		var err error
		if seqs[i], err = s.Publish(ctx, sid, Outgoing{Payload: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	return seqs
}

// texts are the payloads of a batch, "0 1 2".
func texts(b Batch) string {
	var out []string
	for _, m := range b.Msgs {
		out = append(out, string(m.Payload))
	}
	return strings.Join(out, " ")
}

func closeReader(t testing.TB, r *Reader) {
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// other returns a session whose mailbox is in the same stream.
func other(sid scheme.SID) scheme.SID { return sid[:1] + scheme.NewSID()[1:] }

func TestReadInBatches(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	noise := other(sid)
	fill(t, s, noise, 2)
	seqs := fill(t, s, sid, 5)
	fill(t, s, noise, 2)
	r := s.NewReader(sid, 3)
	closeReader(t, r)
	for _, c := range []struct {
		from, anchor uint64
		limit        int
		want         string
		next         uint64
	}{
		{0, 0, 2, "0 1", seqs[1] + 1},
		{seqs[1] + 1, seqs[1], 2, "2 3", seqs[3] + 1}, // goes on
		{seqs[3] + 1, seqs[3], 9, "4", seqs[4] + 1},   // ends early
		{1, 0, 9, "0 1 2 3 4", seqs[4] + 1},           // from the start again
		{seqs[2], 0, 1, "2", seqs[2] + 1},             // from the middle
	} {
		b, err := r.Read(ctx, c.from, c.anchor, c.limit, 0)
		if err != nil || texts(b) != c.want || b.Next != c.next {
			t.Fatalf("from %d: %q next %d, %v; want %q next %d", c.from, texts(b), b.Next, err, c.want, c.next)
		}
		want := AnchorPresent
		if c.anchor == 0 {
			want = AnchorUnchecked
		}
		if b.Anchor != want || want == AnchorPresent && b.AnchorTime == 0 {
			t.Errorf("from %d: anchor %v of %d", c.from, b.Anchor, b.AnchorTime)
		}
		for _, m := range b.Msgs {
			if m.Time == 0 || m.Mark || m.TTL {
				t.Errorf("%+v", m)
			}
		}
	}
	if n := consumers(t, s, sid); n != 1 {
		t.Errorf("%d consumers", n)
	}
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if n := consumers(t, s, sid); n != 0 {
		t.Errorf("%d consumers after Close", n)
	}
	if _, err := r.Read(ctx, 1, 0, 1, 0); !errors.Is(err, ErrReaderClosed) {
		t.Error(err)
	}
}

// consumers counts the consumers of a session's stream, all of which must be
// the session's.
func consumers(t testing.TB, s *Store, sid scheme.SID) int {
	t.Helper()
	st, err := s.js.Stream(natstest.Context(t), s.stream(sid))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	names := st.ConsumerNames(natstest.Context(t))
	for name := range names.Name() {
		if !strings.HasPrefix(name, string(sid)+"_") {
			t.Errorf("consumer %q", name)
		}
		n++
	}
	if names.Err() != nil {
		t.Fatal(names.Err())
	}
	return n
}

func TestReadEmpty(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, 1)
	last := fill(t, s, other(sid), 3)[2]
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	b, err := r.Read(ctx, seqs[0]+1, seqs[0], 10, 0)
	if err != nil || len(b.Msgs) != 0 || b.Next != 0 || b.Last != last || b.Anchor != AnchorPresent {
		t.Fatalf("%+v, %v", b, err)
	}
	// What comes later is found by the same consumer.
	fill(t, s, sid, 1)
	if b, err = r.Read(ctx, seqs[0]+1, seqs[0], 10, 0); err != nil || texts(b) != "0" {
		t.Fatalf("%+v, %v", b, err)
	}
}

func TestReadMarkersAndTTL(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	live := scheme.LiveSubject(sid)
	sub, err := s.nc.SubscribeSync(live)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Marker{{ID: 7, Holder: 1<<64 - 1, Attempt: 3, Keep: true}, {ID: 8, Holder: 5}} {
		if err := s.PublishMarker(sid, m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Publish(ctx, sid, Outgoing{Payload: []byte("x"), TTL: 1500e6}); err != nil {
		t.Fatal(err)
	}
	var prev uint64
	for _, want := range []Copy{{Mark: 7, Holder: 1<<64 - 1, Attempt: 3}, {Mark: 8, Holder: 5, TTL: true}, {TTL: true, Payload: []byte("x")}} {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		c, stored := ParseCopy(m)
		if !stored || c.Mark != want.Mark || c.Holder != want.Holder || c.Attempt != want.Attempt || c.TTL != want.TTL || string(c.Payload) != string(want.Payload) || c.Prev != prev || c.Time == 0 {
			t.Fatalf("%+v, want %+v", c, want)
		}
		if want.TTL && m.Header.Get(jet.HeaderTTL) != "2" {
			t.Errorf("TTL %q", m.Header.Get(jet.HeaderTTL))
		}
		prev = c.Seq
	}
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	b, err := r.Read(ctx, 1, 0, 10, 0)
	if err != nil || len(b.Msgs) != 3 {
		t.Fatalf("%+v, %v", b, err)
	}
	for i, want := range []Stored{{Mark: true, Holder: 1<<64 - 1, Attempt: 3}, {Mark: true, Holder: 5, TTL: true}, {TTL: true}} {
		if got := b.Msgs[i]; got.Mark != want.Mark || got.Holder != want.Holder || got.Attempt != want.Attempt || got.TTL != want.TTL {
			t.Errorf("message %d: %+v", i, got)
		}
	}
}

// TestMarkerForms: whatever looks like a marker is none of a client's messages, and
// only one that can be read says whose it is.
func TestMarkerForms(t *testing.T) {
	const junk = 1<<64 - 1
	for _, c := range []struct {
		mark, holder string
		want         Copy
	}{
		{"7", "5 3", Copy{Mark: 7, Holder: 5, Attempt: 3}},
		{"7", "5 0", Copy{Mark: 7, Holder: 5}},
		{"7", "", Copy{Mark: junk}}, // as before there were holders
		{"7", "5", Copy{Mark: junk}},
		{"7", "05 3", Copy{Mark: junk}},
		{"7", "5 3 of a later form", Copy{Mark: junk}},
		{"0", "5 3", Copy{Mark: junk}},
		{"x", "5 3", Copy{Mark: junk}},
		{"", "5 3", Copy{}},
	} {
		h := nats.Header{jet.HeaderSeq: {"1"}}
		h.Set(scheme.HeaderMark, c.mark)
		h.Set(scheme.HeaderHolder, c.holder)
		got, stored := ParseCopy(&nats.Msg{Header: h})
		if !stored || got.Mark != c.want.Mark || got.Holder != c.want.Holder || got.Attempt != c.want.Attempt {
			t.Errorf("%q of %q: %+v", c.mark, c.holder, got)
		}
	}
}

// TestReadTrace: whichever way a message is read, it brings its trace.
func TestReadTrace(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	const count = 12
	for range count {
		if _, err := s.Publish(ctx, sid, Outgoing{Payload: []byte("x"), Header: nats.Header{"traceparent": {parent}}}); err != nil {
			t.Fatal(err)
		}
	}
	r := s.NewReader(sid, 3)
	closeReader(t, r)
	read := 0
	for from := uint64(1); ; {
		b, err := r.Read(ctx, from, 0, 1+read, 0) // both a few and many at once
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Msgs) == 0 {
			break
		}
		for _, m := range b.Msgs {
			if m.Trace != parent {
				t.Errorf("message %d has the trace %q", m.Seq, m.Trace)
			}
		}
		from, read = b.Next, read+len(b.Msgs)
	}
	if read != count {
		t.Errorf("read %d messages of %d", read, count)
	}
}

// TestReadOverflow: the oldest are dropped, the anchor shows it, and the other
// session of the same stream loses nothing.
func TestReadOverflow(t *testing.T) {
	s := newStore(t, Config{QueueLimit: 5})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	neighbour := other(sid)
	theirs := fill(t, s, neighbour, 3)
	seqs := fill(t, s, sid, 20)
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	b, err := r.Read(ctx, seqs[3], seqs[2], 100, 0)
	if err != nil || texts(b) != "13 14 15 16" || b.Anchor != AnchorGone || b.Last != seqs[19] || b.Oldest != seqs[13] {
		t.Fatalf("%q %+v, %v", texts(b), b, err)
	}
	if b, err = r.Read(ctx, b.Next, seqs[16], 100, 0); err != nil || texts(b) != "17 18 19" || b.Anchor != AnchorPresent {
		t.Fatalf("%q %+v, %v", texts(b), b, err)
	}
	n := s.NewReader(neighbour, 1)
	closeReader(t, n)
	if b, err = n.Read(ctx, theirs[0]+1, theirs[0], 100, 0); err != nil || texts(b) != "1 2" || b.Anchor != AnchorPresent {
		t.Fatalf("%q %+v, %v", texts(b), b, err)
	}
}

// TestReadForeignAnchor: a message of another mailbox at the anchor, or an end of
// the stream before it, means that the log is another.
func TestReadForeignAnchor(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, 2)
	foreign := fill(t, s, other(sid), 1)[0]
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	for _, anchor := range []uint64{foreign, foreign + 1, foreign + 1000} {
		for _, limit := range []int{0, 10} {
			b, err := r.Read(ctx, 1, anchor, limit, 0)
			if err != nil || b.Anchor != AnchorForeign || b.Oldest != seqs[0] || limit > 0 && texts(b) != "0 1" {
				t.Fatalf("anchor %d: %+v, %v", anchor, b, err)
			}
		}
	}
}

func TestReadBytes(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	for i := range 4 {
		if _, err := s.Publish(ctx, sid, Outgoing{Payload: fmt.Appendf(nil, "%d%s", i, strings.Repeat(".", 5000))}); err != nil {
			t.Fatal(err)
		}
	}
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	var from uint64
	for _, c := range []struct{ bytes, want int }{
		{100, 1},    // less than one message: one all the same
		{17_000, 2}, // two fit, beside the one that the consumer begins with
		{0, 1},      // the rest
	} {
		b, err := r.Read(ctx, from, 0, 10, c.bytes)
		if err != nil || len(b.Msgs) != c.want {
			t.Fatalf("%d messages, %v; want %d", len(b.Msgs), err, c.want)
		}
		from = b.Next
	}
	if n := consumers(t, s, sid); n != 1 {
		t.Errorf("%d consumers", n)
	}
}

// TestReadLargest: a message of 1 MiB with headers is read back, and its
// anchor is found.
func TestReadLargest(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	big := strings.Repeat("x", 1<<20+30<<10)
	seq, err := s.Publish(ctx, sid, Outgoing{Payload: []byte(big), Mid: "m", Header: nats.Header{"traceparent": {"t"}}})
	if err != nil {
		t.Fatal(err)
	}
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	b, err := r.Read(ctx, 1, seq, 10, 0)
	if err != nil || len(b.Msgs) != 1 || len(b.Msgs[0].Payload) != len(big) || b.Anchor != AnchorPresent {
		t.Fatalf("%d messages, %v, %v", len(b.Msgs), b.Anchor, err)
	}
}

// TestReadConsumerVanishes: the consumer lives in the memory of one server and
// may be gone at any time; reading goes on where it was.
func TestReadConsumerVanishes(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, 8)
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	next := uint64(1)
	var got []string
	for i := range 4 {
		b, err := r.Read(ctx, next, 0, 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, texts(b))
		next = b.Next
		if i == 0 {
			continue // the first batch needs none
		}
		stream := s.stream(sid)
		if err := s.js.DeleteConsumer(ctx, stream, r.name); err != nil {
			t.Fatal(err)
		}
	}
	if all := strings.Join(got, " "); all != "0 1 2 3 4 5 6 7" || next != seqs[7]+1 {
		t.Fatalf("%q next %d", all, next)
	}
}

// TestReadLostOnTheWay: a message that NATS dropped on its way to this process
// leaves a hole in the consumer's dense sequence; what came before is good, and
// reading goes on after it.
func TestReadLostOnTheWay(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, 5)
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	for i, from := range []uint64{1, seqs[1]} { // the second with a consumer
		if b, err := r.Read(ctx, from, 0, 1, 0); err != nil || texts(b) != strconv.Itoa(i) {
			t.Fatal(texts(b), err)
		}
	}
	r.cseq-- // as if message "1" of this consumer was awaited still
	b, err := r.Read(ctx, r.next, 0, 10, 0)
	if err != nil || texts(b) != "2 3 4" {
		t.Fatal(texts(b), err)
	}
}

// TestReadFew: a queue of a few messages is read without a consumer. A longer
// one gets a consumer, which begins before those.
func TestReadFew(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, fewMessages+4)
	fill(t, s, other(sid), 3)
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	for back := range fewMessages { // 0, 1, … messages before the end
		from := seqs[len(seqs)-1-back] + 1
		if b, err := r.Read(ctx, from, 0, 10, 0); err != nil || len(b.Msgs) != back || r.long {
			t.Errorf("from %d: %q, %v, long %v", from, texts(b), err, r.long)
		}
	}
	if n := consumers(t, s, sid); n != 0 {
		t.Fatalf("%d consumers", n)
	}
	var got []string
	for from := seqs[0] + 1; from <= seqs[len(seqs)-1]; {
		b, err := r.Read(ctx, from, 0, 2, 0)
		if err != nil || len(b.Msgs) == 0 || len(b.Msgs) > 2 {
			t.Fatalf("from %d: %q, %v", from, texts(b), err)
		}
		got, from = append(got, texts(b)), b.Next
	}
	if all := strings.Join(got, " "); all != "1 2 3 4 5 6 7" {
		t.Errorf("%q", all)
	}
	if n := consumers(t, s, sid); n != 1 {
		t.Errorf("%d consumers", n)
	}
}

// TestReadToward: who knows where a queue ends reads a short one without a
// consumer, and no further; of a long one as many messages as ever.
func TestReadToward(t *testing.T) {
	s := newStore(t, Config{})
	for count, want := range map[int]int{2: 2, fewMessages: fewMessages, shortQueue / 2: shortQueue / 2, shortQueue: shortQueue, shortQueue + 1: fewMessages, 100: fewMessages} {
		t.Run(strconv.Itoa(count), func(t *testing.T) {
			ctx, sid := natstest.Context(t), scheme.NewSID()
			seqs := fill(t, s, sid, count+1)
			r := s.NewReader(sid, 1)
			closeReader(t, r)
			r.Toward(seqs[count-1])
			b, err := r.Read(ctx, seqs[0], 0, 1000, 0)
			if err != nil || len(b.Msgs) != want || r.long != (want < count) {
				t.Errorf("%d messages are read at first, long %v, %v; want %d", len(b.Msgs), r.long, err, want)
			}
			for next := b.Next; next <= seqs[count]; next = b.Next {
				if b, err = r.Read(ctx, next, 0, 1000, 0); err != nil || len(b.Msgs) == 0 || b.Msgs[0].Seq != next {
					t.Fatalf("from %d: %q, %v", next, texts(b), err)
				}
			}
			if n := consumers(t, s, sid); n != 0 && want == count {
				t.Errorf("%d consumers", n)
			}
		})
	}
}

// TestReadFewDropped: what the consumer was to skip is gone when it begins.
func TestReadFewDropped(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, 2*fewMessages)
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	b, err := r.Read(ctx, seqs[0]+1, 0, fewMessages, 0)
	if err != nil || !r.long {
		t.Fatal(texts(b), err)
	}
	stream := s.stream(sid)
	st, err := s.js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Purge(ctx, jetstream.WithPurgeSequence(b.Next)); err != nil {
		t.Fatal(err)
	}
	for from, want := b.Next, fewMessages+1; want < len(seqs); want++ {
		b, err := r.Read(ctx, from, 0, 1, 0)
		if err != nil || texts(b) != strconv.Itoa(want) {
			t.Fatalf("from %d: %q, %v; want %d", from, texts(b), err, want)
		}
		from = b.Next
	}
}

// forgedEnds stores messages that look like the ends of answers.
func forgedEnds(t *testing.T, s *Store, sid scheme.SID) (seqs []uint64) {
	t.Helper()
	for _, status := range []string{"404", "408", "409", "503"} {
		seq, err := s.Publish(natstest.Context(t), sid, Outgoing{Header: nats.Header{"Status": {status}}, Payload: []byte{}})
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
	}
	return seqs
}

// TestReadForgedEnd: a message that looks like the end of an answer is none,
// whether it is asked for by itself or comes from a consumer.
func TestReadForgedEnd(t *testing.T) {
	s := newStore(t, Config{})
	for _, before := range []int{0, 1, fewMessages} {
		ctx, sid := natstest.Context(t), scheme.NewSID()
		start := fill(t, s, sid, 1)[0]
		fill(t, s, sid, before)
		forgedEnds(t, s, sid)
		end := fill(t, s, sid, 1)[0]
		r := s.NewReader(sid, 1)
		closeReader(t, r)
		n := 0
		for from := start + 1; from <= end; {
			b, err := r.Read(ctx, from, 0, 10, 0)
			if err != nil || len(b.Msgs) == 0 {
				t.Fatalf("%d before, from %d: %q, %v", before, from, texts(b), err)
			}
			n, from = n+len(b.Msgs), b.Next
		}
		if n != before+5 {
			t.Errorf("%d before: %d messages", before, n)
		}
	}
}

func TestReadCancelled(t *testing.T) {
	s := newStore(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := s.NewReader(scheme.NewSID(), 1)
	if _, err := r.Read(ctx, 1, 0, 1, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	closeReader(t, r)
}

// TestManyReaders: a server from 2.15 on refuses the 1,001st consumer of a stream
// that names no limit.
func TestManyReaders(t *testing.T) {
	const sessions, messages = 1200, 3
	s := newStore(t, Config{Streams: 1})
	ctx := natstest.Context(t)
	sids := make([]scheme.SID, sessions)
	var stored sync.WaitGroup
	for i := range sids {
		sids[i] = scheme.NewSID()
		for j := range messages {
			stored.Add(1)
			err := s.PublishAsync(sids[i], Outgoing{Payload: fmt.Append(nil, j)}, func(_ uint64, err error) {
				if err != nil {
					t.Error(err)
				}
				stored.Done()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	stored.Wait()
	readers := make([]*Reader, sessions)
	next := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range next {
				readers[i] = s.NewReader(sids[i], uint64(i))
				from := uint64(1)
				for j := range messages - 1 { // one by one, and not to the end: it stays behind
					b, err := readers[i].Read(ctx, from, 0, 1, 0)
					if err != nil || texts(b) != strconv.Itoa(j) {
						t.Errorf("reader %d: %q, %v", i, texts(b), err)
					}
					from = b.Next
				}
			}
		})
	}
	for i := range sids {
		next <- i
	}
	close(next)
	workers.Wait()
	st, err := leaderConsumers(ctx, s, "UMF_OUT_0")
	if err != nil || st != sessions {
		t.Errorf("%d consumers at the same time, %v", st, err)
	}
	// They are still good, the first of them too. They end with the server.
	if b, err := readers[0].Read(ctx, readers[0].next, 0, 10, 0); err != nil || texts(b) != "2" {
		t.Errorf("%+v, %v", b, err)
	}
}

func leaderConsumers(ctx context.Context, s *Store, stream string) (int, error) {
	st, err := s.js.Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	return st.CachedInfo().State.Consumers, nil
}
