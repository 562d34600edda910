package store

import (
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

func TestReplyIsStoredAndRepublished(t *testing.T) {
	s := newStore(t, Config{})
	sid, node := scheme.NewSID(), scheme.NewNodeID()
	live := scheme.LiveWildcard(sid)
	sub, err := s.nc.SubscribeSync(live)
	if err != nil {
		t.Fatal(err)
	}
	ctx := natstest.Context(t)
	var prev uint64
	for i, mid := range []string{"", `"m-1"`, `{"a": "ü"}`} {
		reply, err := scheme.ReplySubject(node, sid, mid)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.nc.PublishMsg(&nats.Msg{Subject: reply, Data: []byte(mid)}); err != nil {
			t.Fatal(err)
		}
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		c, stored := ParseCopy(m)
		if !stored || c.Prev != prev || c.Seq <= prev || string(c.Payload) != mid || c.Mark != 0 || c.TTL {
			t.Fatalf("message %d: %+v after %d", i, c, prev)
		}
		if got := m.Header.Get(jet.HeaderSubject); got != scheme.MailboxSubject(sid) {
			t.Fatalf("stored as %q", got)
		}
		prev = c.Seq
	}
}

func TestPublishAndRead(t *testing.T) {
	s := newStore(t, Config{})
	ctx := natstest.Context(t)
	sid := scheme.NewSID()
	var seqs []uint64
	for _, text := range []string{"a", "b", "c", "d"} {
		seq, err := s.Publish(ctx, sid, Outgoing{Payload: []byte(text), Mid: text})
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
	}
	b, err := s.Read(ctx, sid, seqs[1], seqs[0], 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Msgs) != 2 || string(b.Msgs[0].Payload) != "b" || b.Anchor != AnchorPresent {
		t.Fatalf("%+v", b)
	}
	b, err = s.Read(ctx, sid, b.Next, 0, 10, 0)
	if err != nil || len(b.Msgs) != 1 || string(b.Msgs[0].Payload) != "d" {
		t.Fatalf("%+v %v", b, err)
	}
	b, err = s.Read(ctx, sid, b.Next, 0, 10, 0)
	if err != nil || len(b.Msgs) != 0 || b.Next != 0 || b.Last < seqs[3] {
		t.Fatalf("%+v %v", b, err)
	}
}
