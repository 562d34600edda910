package bus

import (
	"errors"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestUnasked: a server sends more than was asked for. What was asked for
// arrives, and the rest is counted.
func TestUnasked(t *testing.T) {
	s := newStore(t, MailboxConfig{})
	c, err := s.inbox.open("", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer s.inbox.end(c)
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		if err := s.nc.Publish(c.reply, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return s.Unasked() == 3 })
	if a, b := <-c.msgs, <-c.msgs; string(a.Data) != "a" || string(b.Data) != "b" {
		t.Errorf("%q and %q arrive", a.Data, b.Data)
	}
	sid := NewSID()
	fill(t, s, sid, 3)
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	if b, err := r.Read(testContext(t), 1, 0, 10, 0); err != nil || texts(b) != "0 1 2" {
		t.Errorf("read %q, %v", texts(b), err)
	}
	if n := s.Unasked(); n != 3 {
		t.Errorf("%d after a read", n)
	}
}

// TestInboxFull: as many messages wait for the inbox as may. The connection's
// owner is told, and readers go on.
func TestInboxFull(t *testing.T) {
	full := make(chan *nats.Subscription, 16)
	s := openStore(t, connect(t, startNATS(t), nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) {
			full <- sub
		}
	})), MailboxConfig{})
	s.inbox.mu.Lock() // receive waits
	leave := sync.OnceFunc(s.inbox.mu.Unlock)
	defer leave()
	for range inboxMessages + 2 {
		if err := s.nc.Publish(s.inbox.prefix+"nobody", nil); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return len(full) > 0 })
	if sub := <-full; sub != s.inbox.sub {
		t.Errorf("%q is full", sub.Subject)
	}
	leave()
	sid := NewSID()
	fill(t, s, sid, 10)
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	if b, err := r.Read(testContext(t), 1, 0, 100, 0); err != nil || len(b.Msgs) == 0 {
		t.Errorf("read %q, %v", texts(b), err)
	}
}
