package jet

import (
	"errors"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
)

// TestRepliesFull: as many messages wait for the replies as may. The
// connection's owner is told, and reads go on.
func TestRepliesFull(t *testing.T) {
	full := make(chan *nats.Subscription, 16)
	nc := connect(t, nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) {
			full <- sub
		}
	}))
	r, err := NewReplies(nc)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.mu.Lock() // receive waits
	leave := sync.OnceFunc(r.mu.Unlock)
	defer leave()
	for range maxMessages + 2 {
		if err := nc.Publish(r.prefix+"nobody", nil); err != nil {
			t.Fatal(err)
		}
	}
	natstest.WaitFor(t, func() bool { return len(full) > 0 })
	if sub := <-full; sub != r.sub {
		t.Errorf("%q is full", sub.Subject)
	}
	leave()
	read, err := r.Open(1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.End(read)
	natstest.WaitFor(t, func() bool { // what finds no room is lost
		if err := errors.Join(nc.Publish(read.Reply, []byte("x")), nc.Flush()); err != nil {
			t.Fatal(err)
		}
		return len(read.Msgs) > 0
	})
	if m := <-read.Msgs; string(m.Data) != "x" {
		t.Errorf("read %q", m.Data)
	}
}
