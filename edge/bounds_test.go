package edge

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/integration/harness"
	"hydrant/umf"
)

// The bounds of a node, each of them hit: who is at the bound is
// told so, others notice nothing, what was accepted arrives, and the metric with
// the bound's name moves.

// TestPoolFull: as many blocking calls wait for NATS as may.
func TestPoolFull(t *testing.T) {
	r := run(t, func(*Config) {})
	old, other, away := r.dial(harness.DialOptions{}), r.dial(harness.DialOptions{}), r.dial(harness.DialOptions{})
	away.Close()
	r.until(func() error {
		if entry, _, err := r.dir.GetLatest(t.Context(), away.ID); err != nil || entry.State != scheme.StateParked {
			return fmt.Errorf("%v, %v", entry.State, err)
		}
		return nil
	})
	// A session whose client does not read is behind: it will need the pool.
	const behind, size = 64, 200 << 10 // more than the kernel takes
	slow, leaves := r.dial(harness.DialOptions{Manual: true, ReadBytes: 4096}), r.dial(harness.DialOptions{Manual: true, ReadBytes: 4096})
	r.store(slow.ID, 0, behind, size)
	r.store(leaves.ID, 0, behind, size)
	r.until(func() error {
		if n := r.metric(`hydrant_sessions{state="behind"}`); n < 2 {
			return fmt.Errorf("%v sessions are behind", n)
		}
		return nil
	})
	r.moves(`hydrant_mailbox_reads_total{result="ok"}`, func() { r.gets(leaves, 0, 4) }) // so that there is something to clean up

	var release func()
	r.until(func() error {
		release = r.holdPool(nil)
		for _, w := range r.workers {
			r.onLoop(w, func() {}) // what has been read is answered
		}
		if len(r.pool.jobs) == 0 {
			return nil // their queues are full: they ask for nothing
		}
		release()
		return errNotYet
	})
	for r.pool.submit(func() {}) {
	}
	if busy, queued := r.metric("hydrant_pool_busy"), r.metric("hydrant_pool_queue"); busy != poolWorkers || queued != poolQueue {
		t.Errorf("%v calls are under way, %v wait", busy, queued)
	}
	const full = "hydrant_pool_full_total"
	r.moves(full, func() {
		r.refuses(old, protocol.CodeOverload, harness.Object{"to": scheme.NewSID() + "@client:/", "bdy": "to one that has to be looked up"})
	})
	r.moves(full, func() {
		r.refuses(old, protocol.CodeOverload, harness.Object{"to": "hydra-router:[GET]/v1/router/version", "bdy": 1})
	})
	r.moves(full, func() {
		r.refuses(old, protocol.CodeOverload, harness.Object{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": harness.Object{"clientID": away.ID}})
	})
	r.moves(full, func() { // closed with a code that says: later
		again := r.dial(harness.DialOptions{})
		r.send(again, harness.Object{"to": "hydra-router:/", "typ": "reconnect", "bdy": harness.Object{"id": away.ID}})
		if code, reason, err := again.Closed(t.Context()); code != protocol.CloseOverload.Number() || err != nil {
			t.Errorf("a resume ends with %d %s, %v", code, reason, err)
		}
	})
	r.moves(`hydrant_dropped_total{reason="consumer_cleanup"}`, leaves.Drop)
	r.moves(`hydrant_dropped_total{reason="expiry"}`, func() { r.onExpiry(away.ID) })
	r.moves(full, func() { r.gets(slow, 0, 2) }) // there is room: the next ones are asked for
	// Others are served, and new ones too.
	r.serves(old)
	fresh := r.dial(harness.DialOptions{})
	r.store(other.ID, 0, 1, 1)
	r.gets(other, 0, 1)
	r.store(fresh.ID, 0, 3, 1)
	r.gets(fresh, 0, 3)

	release()
	r.gets(slow, 2, behind)
	r.store(away.ID, 0, 3, 1)
	again := r.dial(harness.DialOptions{})
	if _, err := again.Resume(t.Context(), "reconnect", harness.Object{"id": away.ID}); err != nil || again.ID != away.ID {
		t.Fatalf("the session is not given back: %v", err)
	}
	r.gets(again, 0, 3)
}

// hold keeps a loop from doing anything until leave is called.
func (r *running) hold(w *worker) (leave func()) {
	entered, left := make(chan struct{}), make(chan struct{})
	w.post(func() { close(entered); <-left })
	<-entered
	leave = sync.OnceFunc(func() { close(left) })
	r.t.Cleanup(leave)
	return leave
}

// fill puts entries into the inbox of a loop that is held, until there is no
// room, and returns how many of them have run.
func (r *running) fill(w *worker) (ran *int) {
	ran = new(int)
	for w.loop.Post(func() { *ran++ }) {
	}
	return ran
}

const inboxFull = "hydrant_loop_inbox_full_total"

// TestInboxFull: as many entries wait for a loop as may. What comes from NATS
// waits outside, and so do new clients.
func TestInboxFull(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, elsewhere := r.crowd(1)
	leave := r.hold(w)
	var ran *int
	r.moves(inboxFull, func() { ran = r.fill(w) })
	waiting := r.metric("hydrant_loop_inbox")
	const count = 600
	r.moves(inboxFull, func() { r.store(here[0].ID, 0, count, 1) })
	r.serves(elsewhere)
	r.store(elsewhere.ID, 0, 3, 1)
	r.gets(elsewhere, 0, 3)
	var coming sync.WaitGroup
	defer coming.Wait()
	for range 2 * len(r.workers) {
		coming.Go(func() {
			c, err := harness.Dial(t.Context(), r.url, harness.DialOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			c.Drop()
		})
	}
	leave()
	coming.Wait()
	r.gets(here[0], 0, count)
	r.serves(here[0])
	if waiting == 0 || float64(*ran) < waiting {
		t.Errorf("of %v entries %d have run", waiting, *ran)
	}
}

// dropsCopies has copies for a session come until the queue of its loop, which is
// held, is full, then stores messages for another one there and returns when
// their copies have been dropped.
func (r *running) dropsCopies(crowded, sid string, count int) {
	r.t.Helper()
	noise, err := scheme.LiveSubject(crowded)
	if err != nil {
		r.t.Fatal(err)
	}
	subject, err := scheme.LiveSubject(sid)
	if err != nil {
		r.t.Fatal(err)
	}
	copies, err := r.nc.SubscribeSync(subject)
	if err != nil {
		r.t.Fatal(err)
	}
	r.moves(`hydrant_dropped_total{reason="live_queue"}`, func() {
		for range liveQueue + 2*liveBatch {
			if err := r.nc.Publish(noise, []byte("pushed past the mailbox, and junk")); err != nil {
				r.t.Fatal(err)
			}
		}
	})
	r.store(sid, 0, count, 1)
	for range count { // that they are stored is known before they are copied
		if _, err := copies.NextMsgWithContext(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// TestLiveQueueFull: as many live copies wait for a loop as may. Those beyond
// are dropped; what is stored is read instead.
func TestLiveQueueFull(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, elsewhere := r.crowd(2)
	leave := r.hold(w)
	r.fill(w)
	const count = 10
	r.dropsCopies(here[1].ID, here[0].ID, count)
	r.serves(elsewhere)
	r.moves(`hydrant_mailbox_reads_total{result="ok"}`, func() {
		leave()
		r.until(func() error {
			if n := len(w.live); n > 0 {
				return fmt.Errorf("%d copies wait", n)
			}
			return nil
		})
		r.store(here[0].ID, count, count+1, 1) // shows the hole
	})
	r.gets(here[0], 0, count+1)
	r.serves(here[1])
}

// TestOutboxFull: as much as may waits for NATS, or for a look-up before that.
// Senders are held back first, then refused, and all that was not refused
// arrives, once.
func TestOutboxFull(t *testing.T) {
	for name, hold := range map[string]func(*running, *worker) (leave func()){
		"NATS takes nothing":       (*running).holdOutbox,
		"nothing can be looked up": (*running).holdPool,
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, func(*Config) {})
			const size, fit, over = 10 << 10, 20, 6
			w, here, elsewhere := r.crowd(fit + over)
			leave := hold(r, w)
			others := outboxMaxBytes - (fit+1)*size // what would take NATS seconds
			w.post(func() { w.out.keep(others) })
			const full, received = "hydrant_outbox_full_total", `hydrant_messages_received_total{kind="client"}`
			padding, before := strings.Repeat("x", size), r.metric(received)
			r.moves("hydrant_held_back_total", func() {
				r.moves(full, func() {
					for _, c := range here {
						r.send(c, harness.Object{"to": elsewhere.Address(), "mid": c.ID, "bdy": padding})
					}
				})
			})
			r.until(func() error {
				if n := r.metric(received) - before; n < float64(len(here)) {
					return fmt.Errorf("%v messages were read", n)
				}
				return nil
			})
			if waiting := r.metric("hydrant_outbox_bytes"); waiting > outboxMaxBytes {
				t.Errorf("%v bytes wait", waiting)
			}
			r.serves(elsewhere)
			leave()
			w.post(func() { w.out.drop(others) })
			accepted := make(map[string]bool)
			for _, c := range here {
				r.serves(c)
				accepted[c.ID] = true
				for _, m := range c.Inbox() {
					if code := m.At("bdy", "code"); code != protocol.CodeOverload.String() || m.Rmid() != c.ID {
						t.Errorf("a sender gets %.300s", m.Raw)
					}
					delete(accepted, c.ID)
				}
			}
			if len(accepted) < fit || len(accepted) == len(here) {
				t.Errorf("%d of %d senders were accepted", len(accepted), len(here))
			}
			for range len(accepted) {
				m, err := elsewhere.Next(context.WithoutCancel(t.Context()))
				if err != nil {
					t.Fatal(err)
				}
				if !accepted[m.Mid()] {
					t.Errorf("%q arrives, and is repeated or was refused", m.Mid())
				}
				delete(accepted, m.Mid())
			}
		})
	}
}

// TestOutboxOperations: as many messages as may wait for NATS, however small they
// are.
func TestOutboxOperations(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, elsewhere := r.crowd(1)
	r.onLoop(w, func() {
		for range outboxMaxOps {
			w.out.keep(0)
		}
	})
	r.moves("hydrant_outbox_full_total", func() {
		r.refuses(here[0], protocol.CodeOverload, harness.Object{"to": elsewhere.Address(), "bdy": 1})
	})
	r.serves(here[0])
	r.onLoop(w, func() {
		for range outboxMaxOps {
			w.out.drop(0)
		}
	})
	r.send(here[0], harness.Object{"to": elsewhere.Address(), "mid": "stored-0", "bdy": "there is room again"})
	r.gets(elsewhere, 0, 1)
}

// TestOtherQueueFull: what NATS drops of others than the loops has nothing to do
// with live copies.
func TestOtherQueueFull(t *testing.T) {
	r := run(t, func(*Config) {})
	left := make(chan struct{})
	defer close(left)
	sub, err := r.nc.Subscribe("full", func(*nats.Msg) { <-left })
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(1, -1); err != nil {
		t.Fatal(err)
	}
	const live = `hydrant_dropped_total{reason="live_queue"}`
	before := r.metric(live)
	r.moves(`hydrant_dropped_total{reason="nats_queue"}`, func() {
		for range 3 {
			if err := r.nc.Publish(sub.Subject, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n := r.metric(live) - before; n != 0 {
		t.Errorf("%v live copies are said to be dropped", n)
	}
}

// TestMoreThanAsked: a server sends more messages of a stream than a read asks
// for.
func TestMoreThanAsked(t *testing.T) {
	r := run(t, func(*Config) {})
	js, stream := r.mailboxes()
	if err := js.DeleteStream(t.Context(), stream.CachedInfo().Config.Name); err != nil {
		t.Fatal(err)
	}
	sid := scheme.NewSID()
	subject, err := scheme.MailboxSubject(sid)
	if err != nil {
		t.Fatal(err)
	}
	answer := &nats.Msg{Header: nats.Header{"Nats-Subject": {subject}, "Nats-Sequence": {"1"}}}
	if _, err := r.nc.Subscribe("$JS.API.DIRECT.GET."+stream.CachedInfo().Config.Name, func(m *nats.Msg) {
		for range 1000 {
			if m.RespondMsg(answer) != nil {
				return // the test has seen enough
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	r.until(func() error { // a read may take them as fast as they come
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := r.Node.store.LastSeqs(ctx, []string{sid}); r.metric("hydrant_reader_inbox_full_total") == 0 {
			return fmt.Errorf("none was too many: %w", err)
		}
		return nil
	})
}

// TestTooLargeForAFrame: what a service stores may be larger than what a client
// is sent.
func TestTooLargeForAFrame(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	w := r.owner(c)
	text := func(size int64) []byte {
		p := fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","bdy":"`, c.ID)
		return append(append(p, bytes.Repeat([]byte("x"), int(size)-len(p)-2)...), `"}`...)
	}
	r.moves("hydrant_mailbox_junk_total", func() {
		r.onLoop(w, func() {
			for size, want := range map[int64]bool{r.maxDelivery(): true, r.maxDelivery() + 1: false} {
				if _, ok := w.inspect(w.attachments[c.ID], 1, false, text(size)); ok != want {
					t.Errorf("%d bytes: taken %v", size, ok)
				}
			}
		})
	})
}

// TestInstancesFull: more services and nodes than one list holds.
func TestInstancesFull(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	if _, err := r.nc.Subscribe("$SRV.INFO", func(m *nats.Msg) {
		for range 10_000 {
			if m.Respond([]byte(`{"name":"many","id":"i","endpoints":[{"subject":"umf.v1.svc.many"}]}`)) != nil {
				return // the test has seen enough
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	// If they pause, that is all of them; and while they are busy with the question
	// before, there is none.
	r.until(func() error {
		m := r.call(c, harness.Object{"to": "hydra-router:[GET]/v1/router/list/routes", "bdy": 1})
		if r.metric("hydrant_discovery_full_total") == 0 {
			return fmt.Errorf("not yet: answered with %.300s", m.Raw)
		}
		return nil
	})
}

// TestSentIsWhatWasQueued: what a socket did not take was not sent.
func TestSentIsWhatWasQueued(t *testing.T) {
	r := run(t, func(cfg *Config) { cfg.WriteBuffer = 16 << 10 })
	c := r.dial(harness.DialOptions{Manual: true, ReadBytes: 4096})
	const sent = `hydrant_messages_sent_total{kind="pong"}`
	before := r.metric(sent)
	r.moves(`hydrant_dropped_total{reason="slow"}`, func() {
		for r.metric(`hydrant_dropped_total{reason="slow"}`) == 0 {
			for range 500 {
				if c.Send(harness.Object{"to": "hydra-router:/", "frm": c.Address(), "typ": "ping", "bdy": 1}) != nil {
					break // closed
				}
			}
		}
	})
	after, got := r.metric(sent), 0.0
	for {
		m, err := c.Next(t.Context())
		if err != nil {
			break
		}
		if m.Type() == "pong" {
			got++
		}
	}
	if got != after-before {
		t.Errorf("%v pongs are counted, %v arrive", after-before, got)
	}
}

// TestQueueFullAtAMessage: what a client asked for and does not read has filled
// its queue when a message comes. That one is not sent, and not taken for
// delivered by what the client answers then.
func TestQueueFullAtAMessage(t *testing.T) {
	r := run(t, func(cfg *Config) { cfg.WriteBuffer = 16 << 10 })
	w, here, _ := r.crowd(1)
	c := here[0]
	r.store(c.ID, 0, 1, 1)
	r.gets(c, 0, 1)
	subject, err := scheme.LiveSubject(c.ID)
	if err != nil {
		t.Fatal(err)
	}
	copies, err := r.nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	filler := fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"filler","bdy":1}`, c.ID)
	r.onLoop(w, func() {
		r.store(c.ID, 1, 2, 1)
		m, err := copies.NextMsgWithContext(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		for queued := true; queued; {
			queued, _ = w.attachments[c.ID].client.conn.Send(filler)
		}
		w.deliver([]*nats.Msg{m}, w.epoch) // before anything leaves
	})
	if code, reason, err := c.Closed(t.Context()); code != protocol.CloseSlow.Number() || err != nil {
		t.Fatalf("closed with %d %s, %v", code, reason, err)
	}
	for _, m := range c.Inbox() {
		if m.Mid() != "filler" {
			t.Fatalf("%s comes", m.Raw)
		}
	}
	r.until(func() error {
		if entry, _, err := r.dir.GetLatest(t.Context(), c.ID); err != nil || entry.State != scheme.StateParked {
			return errNotYet
		}
		return nil
	})
	again := r.dial(harness.DialOptions{})
	if _, err := again.Resume(t.Context(), "reconnect", harness.Object{"id": c.ID}); err != nil || again.ID != c.ID {
		t.Fatalf("the session is not given back: %v", err)
	}
	r.gets(again, 1, 2)
}

// holdOutbox keeps what a loop has for NATS from it.
func (r *running) holdOutbox(w *worker) (leave func()) {
	entered, left := make(chan struct{}), make(chan struct{})
	w.post(func() { // without a subject it fails, and tells
		w.out.push(op{kind: stats.OpPublish, done: func(uint64, error) { close(entered); <-left }})
	})
	<-entered
	leave = sync.OnceFunc(func() { close(left) })
	r.t.Cleanup(leave)
	return leave
}

// holdPool gives all workers of the pool something that does not end.
func (r *running) holdPool(*worker) (leave func()) {
	left := make(chan struct{})
	leave = sync.OnceFunc(func() { close(left) })
	r.t.Cleanup(leave)
	var entered sync.WaitGroup
	for range poolWorkers {
		entered.Add(1)
		if !r.pool.submit(func() { entered.Done(); <-left }) {
			r.t.Fatal("the pool is full")
		}
	}
	entered.Wait()
	return leave
}

// TestLookUpFull: as many messages as may wait for one look-up.
func TestLookUpFull(t *testing.T) {
	r := run(t, func(cfg *Config) { cfg.QueueLimit = 2 * maxWaiting })
	w, here, elsewhere := r.crowd(2)
	leave := r.holdPool(w)
	for i := range maxWaiting {
		r.send(here[0], harness.Object{"to": elsewhere.Address(), "mid": fmt.Sprint("stored-", i), "bdy": 1})
	}
	r.serves(here[0])
	r.moves(`hydrant_dropped_total{reason="look_up"}`, func() {
		r.refuses(here[0], protocol.CodeOverload, harness.Object{"to": elsewhere.Address(), "bdy": 1})
	})
	r.send(here[1], harness.Object{"to": here[0].Address(), "mid": "stored-0", "bdy": "needs no look-up"})
	r.gets(here[0], 0, 1)
	leave()
	r.gets(elsewhere, 0, maxWaiting)
	r.send(here[0], harness.Object{"to": elsewhere.Address(), "mid": fmt.Sprint("stored-", maxWaiting), "bdy": "there is room again"})
	r.gets(elsewhere, maxWaiting, maxWaiting+1)
}

// TestWindows: the store has room for what the windows of all loops let out. It
// would refuse what waits in an outbox otherwise.
func TestWindows(t *testing.T) {
	const loops = 4
	r := runLoops(t, loops, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	r.network.Set(harness.Weather{Blackhole: true})
	defer r.network.Set(harness.Weather{})
	for i := range loops * storeWindow {
		if err := r.Node.store.PublishAsync(c.ID, store.Outgoing{Payload: []byte("{}")}, func(uint64, error) {}); err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
	}
}

// TestCallsOfOneClient: what one client asks of the router leaves room for what
// others need from the pool.
func TestCallsOfOneClient(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, _ := r.crowd(2)
	leave := r.holdPool(w)
	ask := func(i int) harness.Object {
		if i%2 == 0 {
			return harness.Object{"to": "hydra-router:[GET]/v1/router/version", "bdy": 1}
		}
		return harness.Object{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": harness.Object{"clientID": here[1].ID}}
	}
	const asked = 3 * maxCallsPerClient
	r.moves("hydrant_held_back_total", func() {
		for i := range asked {
			r.send(here[0], ask(i))
		}
	})
	if queued := len(r.pool.jobs); queued != maxCallsPerClient {
		t.Errorf("%d calls wait", queued)
	}
	r.send(here[1], ask(0)) // has its own
	leave()
	for c, want := range map[*harness.Client]int{here[0]: asked, here[1]: 1} {
		for range want {
			if m, err := c.Next(t.Context()); err != nil || m.Error() != "" {
				t.Errorf("answered with %.300s, %v", m.Raw, err)
			}
		}
	}
}

// TestFinishedRequests: a request that was answered leaves nothing behind until
// it would have timed out.
func TestFinishedRequests(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	w := r.owner(c)
	subject, err := scheme.ServiceSubject("quick")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(`{"result":1}`)) }); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if m := r.call(c, harness.Object{"to": "quick:[GET]/", "bdy": 1}); m.Error() != "" {
			t.Fatalf("answered with %.300s", m.Raw)
		}
	}
	left := make(chan int)
	w.post(func() { left <- w.requests.queue.Len() })
	if n := <-left; n != 0 {
		t.Errorf("%d requests are kept", n)
	}
}

// TestLongEnvelope: what is kept of a message until it is answered is bounded.
func TestLongEnvelope(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	refused := func(message harness.Object) {
		t.Helper()
		if message["frm"] == nil {
			message["frm"] = c.Address()
		}
		if err := c.Send(message); err != nil {
			t.Fatal(err)
		}
		m, err := c.Next(context.WithoutCancel(t.Context()))
		if err != nil || m.At("bdy", "code") != protocol.CodeInvalid.String() || m.Rmid() != message["mid"] {
			t.Errorf("to %v: answered with %.300s, %v", message["to"], m.Raw, err)
		}
	}
	long := strings.Repeat("m", scheme.MaxMid)
	for _, to := range []string{"none:[GET]/", "none:/", c.Address(), scheme.NewSID() + "@client:/", "hydra-router:[GET]/v1/router/version"} {
		refused(harness.Object{"to": to, "mid": long, "bdy": 1})
	}
	refused(harness.Object{"to": "hydra-router:/queue", "fwd": "none:/", "mid": long, "bdy": 1})
	refused(harness.Object{"to": "none:[GET]/", "frm": strings.Repeat("f", umf.MaxAddress), "mid": "1", "bdy": 1})
	r.serves(c)
}

// TestLateAnswersFull: answers for clients that are gone wait within the same
// bound as what clients send.
func TestLateAnswersFull(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, _ := r.crowd(1)
	leave := r.holdOutbox(w)
	const size = 1 << 20
	body := []byte(`"` + strings.Repeat("x", size-2) + `"`)
	r.moves(`hydrant_dropped_total{reason="late_answer"}`, func() {
		stored := make(chan struct{})
		w.post(func() {
			defer close(stored)
			for i := range outboxMaxBytes/size + 1 {
				w.storeAnswer(here[0].ID, protocol.Message{To: here[0].Address(), RMid: fmt.Append(nil, i), Body: body})
			}
		})
		<-stored
	})
	if waiting := r.metric("hydrant_outbox_bytes"); waiting > outboxMaxBytes {
		t.Errorf("%v bytes wait", waiting)
	}
	leave()
	r.serves(here[0])
}
