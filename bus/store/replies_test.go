package store

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestUnasked: a server sends more than was asked for. What was asked for
// arrives, and the rest is counted.
func TestUnasked(t *testing.T) {
	s := newStore(t, Config{})
	c, err := s.replies.Open(2)
	if err != nil {
		t.Fatal(err)
	}
	defer s.replies.End(c)
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		if err := s.nc.Publish(c.Reply, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	natstest.WaitFor(t, func() bool { return s.Unasked() == 3 })
	if a, b := <-c.Msgs, <-c.Msgs; string(a.Data) != "a" || string(b.Data) != "b" {
		t.Errorf("%q and %q arrive", a.Data, b.Data)
	}
	sid := scheme.NewSID()
	fill(t, s, sid, 3)
	if b, err := s.Read(natstest.Context(t), sid, 1, 0, 10, 0); err != nil || texts(b) != "0 1 2" {
		t.Errorf("read %q, %v", texts(b), err)
	}
	if n := s.Unasked(); n != 3 {
		t.Errorf("%d after a read", n)
	}
}

// TestMoreThanAsked: a server sends more messages of a stream than a sweep asks for.
func TestMoreThanAsked(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	const stream = "UMF_OUT_0"
	if err := s.js.DeleteStream(ctx, stream); err != nil {
		t.Fatal(err)
	}
	answer := &nats.Msg{Header: nats.Header{"Nats-Subject": {scheme.MailboxSubject(sid)}, "Nats-Sequence": {"1"}}}
	if _, err := s.nc.Subscribe("$JS.API.DIRECT.GET."+stream, func(m *nats.Msg) {
		for range 1000 {
			if m.RespondMsg(answer) != nil {
				return // the test has seen enough
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	natstest.WaitFor(t, func() bool { // a read may take them as fast as they come
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, _ = s.LastSeqs(ctx, []scheme.SID{sid}) // it never ends
		return s.Unasked() > 0
	})
}
