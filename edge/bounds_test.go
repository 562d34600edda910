package edge

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/wire"
	"hydrant/integration/harness"
)

// Bounds that only a whole node shows. The others are tested where they are.

// hold keeps all loops from doing anything until leave is called, and fills their
// inboxes.
func (r *running) hold() (leave func()) {
	r.t.Helper()
	left := make(chan struct{})
	leave = sync.OnceFunc(func() { close(left) })
	r.t.Cleanup(leave)
	for _, door := range r.doors {
		entered := make(chan struct{})
		door.Do(func(*shard.Shard) { close(entered); <-left })
		<-entered
	}
	for _, l := range r.server.Loops() {
		for l.Post(func() {}) {
		}
	}
	return leave
}

// TestQueuesOfNATSFull: NATS drops what finds no room in a queue for messages. Live
// copies are read from the store then, though no other copy follows that would
// show the hole. What is dropped of others than the loops has nothing to do with
// that.
func TestQueuesOfNATSFull(t *testing.T) {
	r := run(t)
	c := r.dial(harness.DialOptions{})
	const dropped = `hydrant_dropped_total{reason="live_queue"}`

	left := make(chan struct{})
	defer close(left)
	other, err := r.nats.link.Load().conn.Subscribe("full", func(*nats.Msg) { <-left })
	if err != nil {
		t.Fatal(err)
	}
	if err := other.SetPendingLimits(1, -1); err != nil {
		t.Fatal(err)
	}
	r.moves(`hydrant_dropped_total{reason="nats_queue"}`, func() {
		for range 3 {
			if err := r.nats.link.Load().conn.Publish(other.Subject, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n := r.metric(dropped); n != 0 {
		t.Errorf("%v live copies are said to be dropped", n)
	}

	leave := r.hold()
	live := scheme.PushedSubject(scheme.SID(c.ID))
	for r.metric(dropped) == 0 {
		for range 10_000 {
			if err := r.nats.link.Load().conn.Publish(live, []byte("pushed past the mailbox, and junk")); err != nil {
				t.Fatal(err)
			}
		}
	}
	copies, err := r.nats.link.Load().conn.SubscribeSync(scheme.LiveWildcard(scheme.SID(c.ID)))
	if err != nil {
		t.Fatal(err)
	}
	const count = 10
	r.store(c, 0, count)
	for range count { // that they are stored is known before they are copied
		if _, err := copies.NextMsgWithContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.moves(`hydrant_mailbox_reads_total{result="ok"}`, leave)
	r.gets(c, 0, count)
	r.serves(c)
}

// TestWindows: the store has room for what the windows of all loops let out. It
// would refuse what waits in an outbox otherwise.
func TestWindows(t *testing.T) {
	for _, processors := range []int{1, 4} {
		before := runtime.GOMAXPROCS(processors)
		defer runtime.GOMAXPROCS(before)
		n := idle(t, func(cfg *Config) { cfg.StreamReplicas = 1 })
		n.nats.link.Store(&uplink{conn: new(nats.Conn)})
		o, err := n.wireOptions()
		if err != nil {
			t.Fatal(err)
		}
		n.handler = shard.NewHandler(n.upgrade)
		server, err := wire.NewServer(o, n.handler, http.NotFoundHandler())
		if err != nil {
			t.Fatal(err)
		}
		loops := len(n.handler.Build(n.shared, server.Loops(), egress.NATS{}))
		server.Start()
		if err := server.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if window := storeConfig(&n.cfg, nil).Window; window < loops*egress.StoreWindow || loops != processors {
			t.Errorf("%d loops let out %d each, and the store takes %d", loops, egress.StoreWindow, window)
		}
	}
}

// TestExpiryOfASessionIsDropped: the pool is full when a session may have expired.
func TestExpiryOfASessionIsDropped(t *testing.T) {
	n := idle(t, func(*Config) {})
	left := make(chan struct{})
	defer close(left)
	for _, submit := range []func(func()) bool{n.pool.Submit, n.pool.SubmitIdle} {
		for full := false; !full; { // a worker that is free yet takes a job from the queue, and makes room in it
			busy := n.pool.Busy() == egress.Workers
			full = !submit(func() { <-left }) && busy
		}
	}
	n.onExpiry(scheme.NewSID())
	if got := (&running{Node: n, t: t}).metric(`hydrant_dropped_total{reason="expiry"}`); got != 1 {
		t.Errorf("%v are counted", got)
	}
}
