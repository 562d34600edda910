package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

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

// other returns a session whose mailbox is in the same stream.
func other(sid scheme.SID) scheme.SID { return sid[:1] + scheme.NewSID()[1:] }

func TestReadInBatches(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	noise := other(sid)
	fill(t, s, noise, 2)
	seqs := fill(t, s, sid, 5)
	fill(t, s, noise, 2)
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
		b, err := s.Read(ctx, sid, c.from, c.anchor, c.limit, 0)
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
}

func TestReadEmpty(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, 1)
	last := fill(t, s, other(sid), 3)[2]
	b, err := s.Read(ctx, sid, seqs[0]+1, seqs[0], 10, 0)
	if err != nil || len(b.Msgs) != 0 || b.Next != 0 || b.Last != last || b.Anchor != AnchorPresent {
		t.Fatalf("%+v, %v", b, err)
	}
	fill(t, s, sid, 1)
	if b, err = s.Read(ctx, sid, seqs[0]+1, seqs[0], 10, 0); err != nil || texts(b) != "0" {
		t.Fatalf("%+v, %v", b, err)
	}
}

func TestReadMarkersAndTTL(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	live := scheme.LiveWildcard(sid)
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
	b, err := s.Read(ctx, sid, 1, 0, 10, 0)
	if err != nil || len(b.Msgs) != 3 {
		t.Fatalf("%+v, %v", b, err)
	}
	for i, want := range []Stored{{Mark: true, Holder: 1<<64 - 1, Attempt: 3}, {Mark: true, Holder: 5, TTL: true}, {TTL: true}} {
		if got := b.Msgs[i]; got.Mark != want.Mark || got.Holder != want.Holder || got.Attempt != want.Attempt || got.TTL != want.TTL {
			t.Errorf("message %d: %+v", i, got)
		}
	}
}

// TestPushIsNoCopy: what is pushed past a mailbox has nothing of the store's, whatever
// it says.
func TestPushIsNoCopy(t *testing.T) {
	m := copied()
	if c, stored := ParseCopy(m); !stored || c.Seq != 42 || c.Time == 0 {
		t.Errorf("%+v, %v", c, stored)
	}
	sid := scheme.NewSID()
	for _, subject := range []string{scheme.PushedSubject(sid), scheme.NodeSubject(testNode), "umf.v1.live." + string(sid[:1]) + "." + string(sid), ""} {
		m.Subject = subject
		if c, stored := ParseCopy(m); stored || c.Seq != 0 || c.Time != 0 || c.Mark != 0 {
			t.Errorf("%s: %+v, %v", subject, c, stored)
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
		got, stored := ParseCopy(&nats.Msg{Subject: scheme.StoredSubject(scheme.NewSID()), Header: h})
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
	read := 0
	for from := uint64(1); ; {
		b, err := s.Read(ctx, sid, from, 0, 1+read, 0) // both a few and many at once
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
	b, err := s.Read(ctx, sid, seqs[3], seqs[2], 4, 0)
	if err != nil || texts(b) != "13 14 15 16" || b.Anchor != AnchorGone || b.Oldest != seqs[13] {
		t.Fatalf("%q %+v, %v", texts(b), b, err)
	}
	if b, err = s.Read(ctx, sid, b.Next, seqs[16], 100, 0); err != nil || texts(b) != "17 18 19" || b.Anchor != AnchorPresent {
		t.Fatalf("%q %+v, %v", texts(b), b, err)
	}
	if b, err = s.Read(ctx, neighbour, theirs[0]+1, theirs[0], 100, 0); err != nil || texts(b) != "1 2" || b.Anchor != AnchorPresent {
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
	for _, anchor := range []uint64{foreign, foreign + 1, foreign + 1000} {
		for _, limit := range []int{0, 10} {
			b, err := s.Read(ctx, sid, 1, anchor, limit, 0)
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
	var from uint64
	for _, c := range []struct{ bytes, want int }{
		{100, 1},   // less than one message: one all the same
		{7_000, 2}, // until it is more
		{0, 1},     // the rest
	} {
		b, err := s.Read(ctx, sid, from, 0, 10, c.bytes)
		if err != nil || len(b.Msgs) != c.want {
			t.Fatalf("%d messages, %v; want %d", len(b.Msgs), err, c.want)
		}
		from = b.Next
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
	b, err := s.Read(ctx, sid, 1, seq, 10, 0)
	if err != nil || len(b.Msgs) != 1 || len(b.Msgs[0].Payload) != len(big) || b.Anchor != AnchorPresent {
		t.Fatalf("%d messages, %v, %v", len(b.Msgs), b.Anchor, err)
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

// TestReadForgedEnd: a message that looks like the end of an answer is none.
func TestReadForgedEnd(t *testing.T) {
	s := newStore(t, Config{})
	for _, before := range []int{0, 1, 4} {
		ctx, sid := natstest.Context(t), scheme.NewSID()
		start := fill(t, s, sid, 1)[0]
		fill(t, s, sid, before)
		forgedEnds(t, s, sid)
		end := fill(t, s, sid, 1)[0]
		n := 0
		for from := start + 1; from <= end; {
			b, err := s.Read(ctx, sid, from, 0, 10, 0)
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
	if _, err := s.Read(ctx, scheme.NewSID(), 1, 0, 1, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestReadWithAnchor: one answer has the anchor and what follows it, whatever lies
// between them, and however large the anchor is.
func TestReadWithAnchor(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	seqs := fill(t, s, sid, 8)
	for _, c := range []struct {
		from, anchor int
		limit, bytes int
		want         string
	}{
		{4, 3, 2, 0, "4 5"},
		{4, 1, 3, 0, "4"},        // two lie between, and count
		{5, 0, 2, 0, "5 6"},      // more than fit lie between
		{4, 3, 10, 1, "4"},       // the anchor uses the bytes up
		{4, 6, 2, 0, "4 5"},      // the anchor is behind what was read
		{4, 5, 2, 0, "4 5"},      // or the last of it
		{4, 4, 10, 0, "4 5 6 7"}, // or the first
	} {
		b, err := s.Read(ctx, sid, seqs[c.from], seqs[c.anchor], c.limit, c.bytes)
		if err != nil || texts(b) != c.want || b.Anchor != AnchorPresent || b.AnchorTime == 0 {
			t.Errorf("from %d with anchor %d, %d messages: %q, anchor %v, %v; want %q", c.from, c.anchor, c.limit, texts(b), b.Anchor, err, c.want)
		}
	}
}

// TestReadOfOneThatLags: a server that does not have the anchor yet says nothing of
// it, and the leader is asked.
func TestReadOfOneThatLags(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	anchor := fill(t, s, sid, 1)[0]
	next := fill(t, s, sid, 1)[0]
	answers(t, s, func(m *nats.Msg) []*nats.Msg {
		return []*nats.Msg{{Header: nats.Header{"Status": {"404"}}}}
	})
	b, err := s.Read(ctx, sid, next, anchor, 10, 0)
	if err != nil || len(b.Msgs) != 0 || b.Next != next || b.Anchor != AnchorPresent {
		t.Errorf("%+v, %v", b, err)
	}
}

// answers has a server that answers direct gets of the mailboxes instead of the
// stream's.
func answers(t *testing.T, s *Store, answer func(*nats.Msg) []*nats.Msg) {
	t.Helper()
	st, err := s.js.Stream(natstest.Context(t), "UMF_OUT_0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.AllowDirect = false
	if _, err := s.js.UpdateStream(natstest.Context(t), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := s.nc.Subscribe(scheme.APIDirectGet+"UMF_OUT_0", func(m *nats.Msg) {
		for _, a := range answer(m) {
			a.Subject = m.Reply
			if err := s.nc.PublishMsg(a); err != nil {
				t.Error(err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// TestReadLostOnTheWay: an answer of which NATS has dropped a message on its way to
// this process is asked for again; nothing is left out.
func TestReadLostOnTheWay(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	message := func(seq, before string) *nats.Msg {
		return &nats.Msg{Data: []byte(seq), Header: nats.Header{jet.HeaderSubject: {scheme.MailboxSubject(sid)}, jet.HeaderSeq: {seq}, jet.HeaderLastSeq: {before}}}
	}
	end := func(last string) *nats.Msg {
		return &nats.Msg{Header: nats.Header{"Status": {"204"}, jet.HeaderPending: {"0"}, jet.HeaderLastSeq: {last}}}
	}
	whole := []*nats.Msg{message("2", "0"), message("5", "2"), message("9", "5"), end("9")}
	asked := 0
	answers(t, s, func(*nats.Msg) []*nats.Msg {
		asked++
		switch lost := asked - 1; {
		case lost < len(whole)-1: // without the end it would be waited for
			return slices.Delete(slices.Clone(whole), lost, lost+1)
		default:
			return whole
		}
	})
	b, err := s.Read(ctx, sid, 2, 0, 10, 0)
	if err != nil || texts(b) != "2 5 9" || asked != len(whole) {
		t.Errorf("%q after %d answers, %v", texts(b), asked, err)
	}
}
