package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"hydrant/integration/harness"
)

// R5: a node that stood still, for a minute in a long run, while its session
// moved writes nothing more.
func TestFrozenNode(t *testing.T) {
	t.Parallel()
	w := own(t, harness.NATSOptions{})
	frozen, other := w.start(t, "frozen", nil), w.start(t, "other", nil)
	plain, acked := dial(t, frozen), dialAcked(t, frozen)
	stays := dial(t, frozen) // its session does not move
	for _, c := range []*client{plain, acked, stays} {
		w.pushNumbers(t, c.ID, 0, 5)
	}
	plain.wantBodies(0, 5)
	messages := acked.wantBodies(0, 5)
	stays.wantBodies(0, 5)
	plain.fence()
	if err := frozen.Freeze(); err != nil {
		t.Fatal(err)
	}
	fault := lasts(t, time.Minute)
	w.pushNumbers(t, plain.ID, 5, 10)
	w.pushNumbers(t, acked.ID, 5, 10)
	movedPlain := plain.resume(other)
	seen := movedPlain.wantContinuation(5, 1)
	for seen < 10 {
		seen = movedPlain.wantContinuation(seen, 1)
	}
	movedAcked := acked.resumeAcked(other, messages[4].Seq())
	wantChain(t, messages[4].Seq(), movedAcked.wantBodies(5, 10))
	next := 10
	for more := true; more; more = fault.more() {
		for _, c := range []*client{movedPlain, movedAcked} {
			w.pushNumbers(t, c.ID, next, next+1)
			m := c.wantBodies(next, next+1)[0]
			if c == movedAcked && c.Ack(m.Seq()) != nil {
				t.Fatal("it cannot confirm")
			}
		}
		next++
	}
	if err := frozen.Thaw(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client{"plain": plain, "acked": acked} {
		if code, reason := c.closed(); code != 4501 {
			t.Errorf("%s: closed with %d %s, want 4501", name, code, reason)
		}
		if late := c.Inbox(); len(late) > 0 {
			t.Errorf("%s: the node wrote %s after it had lost the session", name, late[0].Raw)
		}
	}
	w.pushNumbers(t, stays.ID, 5, 8)
	stays.wantBodies(5, 8)
	w.pushNumbers(t, plain.ID, next, next+2)
	movedPlain.wantBodies(next, next+2)
	movedPlain.quiet()
}

// R24: a half-open client is noticed within two pings, which take a minute with
// the usual interval of a long run, and its messages are kept.
func TestHalfOpenClient(t *testing.T) {
	t.Parallel()
	w := shared(t)
	interval := time.Duration(scaled(int(2*time.Second), int(25*time.Second)))
	node := w.start(t, "half-open", map[string]string{"EDGE_PING_INTERVAL": interval.String()})
	proxy, err := harness.NewProxy(node.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	c := dialWith(t, "ws://"+proxy.Addr()+"/", harness.DialOptions{})
	deaf, err := harness.DialRaw(node.Addr) // reads, and answers nothing
	if err == nil {
		defer deaf.Close()
		err = errors.Join(deaf.SetDeadline(time.Time{}), deaf.Upgrade())
	}
	if err != nil {
		t.Fatal(err)
	}
	pings := make(chan int, 1)
	go func() { pings <- pingsUntilTheEnd(deaf) }()
	proxy.LoseClients()
	w.pushNumbers(t, c.ID, 0, 5)
	ctx, cancel := context.WithTimeout(t.Context(), 2*interval+harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error {
		if n := metrics(t, node)[`hydrant_closes_total{reason="ping_timeout"}`]; n < 2 {
			return fmt.Errorf("%v of 2 clients were found dead", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := <-pings; n < 1 || n > 2 {
		t.Errorf("given up after %d pings", n)
	}
	w.parked(t, c.ID)
	w.pushNumbers(t, c.ID, 5, 10)
	again := c.resume(node)
	again.wantBodies(0, 10)
	again.quiet()
}

// pingsUntilTheEnd counts the pings that come before the connection ends.
func pingsUntilTheEnd(c *harness.Raw) (pings int) {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return pings
		}
		if frame.Opcode == harness.OpPing {
			pings++
		}
	}
}

// DESIGN §3.7: a client that answers pings and says nothing is alive; one that
// reads and does not answer is not.
func TestKeepalive(t *testing.T) {
	t.Parallel()
	w := shared(t)
	node := w.node(t, "tuned")
	alive := dial(t, node)
	dead := dialWith(t, node.URL("/"), harness.DialOptions{NoPong: true})
	w.parked(t, dead.ID) // two intervals later
	if _, reason := dead.closed(); reason == "" && dead.Alive() {
		t.Error("its socket is open")
	}
	if !alive.Alive() {
		t.Error("a client that answers was thrown out")
	}
	alive.fence()
}

// Node crash (DESIGN §5): the entry stays live, and the next resume finds
// nobody to ask.
func TestResumeAfterACrash(t *testing.T) {
	t.Parallel()
	w := own(t, harness.NATSOptions{})
	crashing, other := w.start(t, "crashing", nil), w.start(t, "other", nil)
	plain, acked := dial(t, crashing), dialAcked(t, crashing)
	for _, c := range []*client{plain, acked} {
		w.pushNumbers(t, c.ID, 0, 10)
	}
	plain.wantBodies(0, 10)
	messages := acked.wantBodies(0, 10)
	crashing.Kill()
	for _, c := range []*client{plain, acked} {
		w.pushNumbers(t, c.ID, 10, 20)
	}
	// R1: an acked client repeats nothing; R2: an old one may.
	again := acked.resumeAcked(other, messages[9].Seq())
	wantChain(t, messages[9].Seq(), again.wantBodies(10, 20))
	again.quiet()
	old := plain.resume(other)
	for seen := 10; seen < 20; {
		seen = old.wantContinuation(seen, 1)
	}
	old.quiet()
	// The node comes back under another id and takes clients again.
	if err := crashing.Start(); err != nil {
		t.Fatal(err)
	}
	if err := crashing.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := old.resume(crashing)
	if back.Router == plain.Router {
		t.Error("the node has the same id as before")
	}
	back.fence()
}

// requestsAtOnce is what a node may have under way at NATS for the sessions that
// come to it (edge: poolWorkers), and one request of its own: the check of the
// streams each half minute.
const requestsAtOnce = 64 + 1

// R27: a node with many sessions dies, and all of them come back at once. NATS
// sees no more of them at a time than the other node's bound.
func TestCrowdComesBack(t *testing.T) {
	t.Parallel()
	w := own(t, harness.NATSOptions{})
	way := newUplink(t, w.nats.Servers[0].Addr)
	crashing, other := w.start(t, "crashing", nil), w.start(t, "other", map[string]string{"NATS_URL": "nats://" + way.addr()})
	stays := bystander(t, other)
	const each = 2
	sids := make([]string, scaled(400, 10_000))
	crowd := make([]*client, len(sids))
	for i := range sids {
		crowd[i] = dial(t, crashing)
		sids[i] = crowd[i].ID
	}
	crashing.Kill()
	for _, c := range crowd {
		c.Drop()
	}
	for _, sid := range sids {
		w.pushNumbers(t, sid, 0, each)
	}
	var group sync.WaitGroup
	failures := make(chan error, len(sids))
	for _, sid := range sids {
		group.Go(func() {
			if err := resumeAndRead(t, other, sid, each); err != nil {
				failures <- fmt.Errorf("session %s: %w", sid, err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	var during []time.Duration
	for running := true; running; { // I7: somebody who has nothing to do with it
		start := time.Now()
		stays.fence()
		during = append(during, time.Since(start))
		select {
		case <-done:
			running = false
		default:
		}
	}
	slices.Sort(during)
	t.Logf("%d sessions came back; meanwhile %d round trips of another client took %v in the middle, %v at the most",
		len(sids), len(during), during[len(during)/2], during[len(during)-1])
	asked, most := way.requests()
	t.Logf("NATS was asked %d times, %d at once", asked, most)
	if most > requestsAtOnce {
		t.Errorf("%d requests were under way at once, want %d at the most", most, requestsAtOnce)
	}
	if asked < len(sids) {
		t.Errorf("only %d requests were seen for %d sessions", asked, len(sids))
	}
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}
