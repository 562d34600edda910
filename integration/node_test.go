package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R5: a node that stood still, for a minute in a long run, while its session
// moved writes nothing more.
func TestFrozenNode(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	frozen, other := w.Start(t, "frozen", nil), w.Start(t, "other", nil)
	plain, acked := world.Dial(t, frozen), world.DialAcked(t, frozen)
	stays := world.Dial(t, frozen) // its session does not move
	for _, c := range []*world.Client{plain, acked, stays} {
		w.PushNumbers(t, c.ID, 0, 5)
	}
	plain.WantBodies(0, 5)
	messages := acked.WantBodies(0, 5)
	stays.WantBodies(0, 5)
	plain.Fence()
	if err := frozen.Freeze(); err != nil {
		t.Fatal(err)
	}
	fault := lasts(t, time.Minute)
	w.PushNumbers(t, plain.ID, 5, 10)
	w.PushNumbers(t, acked.ID, 5, 10)
	movedPlain := plain.Resume(other)
	seen := movedPlain.WantContinuation(5, 1)
	for seen < 10 {
		seen = movedPlain.WantContinuation(seen, 1)
	}
	movedAcked := acked.ResumeAcked(other, messages[4].Seq())
	world.WantChain(t, messages[4].Seq(), movedAcked.WantBodies(5, 10))
	next := 10
	for more := true; more; more = fault.more() {
		for _, c := range []*world.Client{movedPlain, movedAcked} {
			w.PushNumbers(t, c.ID, next, next+1)
			m := c.WantBodies(next, next+1)[0]
			if c == movedAcked && c.Ack(m.Seq()) != nil {
				t.Fatal("it cannot confirm")
			}
		}
		next++
	}
	if err := frozen.Thaw(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*world.Client{"plain": plain, "acked": acked} {
		if code, reason := c.Closed(); code != 4501 {
			t.Errorf("%s: closed with %d %s, want 4501", name, code, reason)
		}
		if late := c.Inbox(); len(late) > 0 {
			t.Errorf("%s: the node wrote %s after it had lost the session", name, late[0].Raw)
		}
	}
	w.PushNumbers(t, stays.ID, 5, 8)
	stays.WantBodies(5, 8)
	w.PushNumbers(t, plain.ID, next, next+2)
	movedPlain.WantBodies(next, next+2)
	movedPlain.Quiet()
}

// R24: a half-open client is noticed within two pings, which take a minute with
// the usual interval of a long run, and its messages are kept.
func TestHalfOpenClient(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	interval := time.Duration(scaled(int(2*time.Second), int(25*time.Second)))
	node := w.Start(t, "half-open", map[string]string{"EDGE_PING_INTERVAL": interval.String()})
	proxy, err := harness.NewProxy(node.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	c := world.DialWith(t, "ws://"+proxy.Addr()+"/", harness.DialOptions{})
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
	w.PushNumbers(t, c.ID, 0, 5)
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
	w.WaitParked(t, c.ID)
	w.PushNumbers(t, c.ID, 5, 10)
	again := c.Resume(node)
	again.WantBodies(0, 10)
	again.Quiet()
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

// R24: a client that answers pings and says nothing is alive; one that
// reads and does not answer is not.
func TestKeepalive(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "tuned")
	alive := world.Dial(t, node)
	dead := world.DialWith(t, node.URL("/"), harness.DialOptions{NoPong: true})
	w.WaitParked(t, dead.ID) // two intervals later
	if _, reason := dead.Closed(); reason == "" && dead.Alive() {
		t.Error("its socket is open")
	}
	if !alive.Alive() {
		t.Error("a client that answers was thrown out")
	}
	alive.Fence()
}

// R1, R2: the entry of a node that crashed stays live, and the next resume finds
// no node to ask.
func TestResumeAfterACrash(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	crashing, other := w.Start(t, "crashing", nil), w.Start(t, "other", nil)
	plain, acked := world.Dial(t, crashing), world.DialAcked(t, crashing)
	for _, c := range []*world.Client{plain, acked} {
		w.PushNumbers(t, c.ID, 0, 10)
	}
	plain.WantBodies(0, 10)
	messages := acked.WantBodies(0, 10)
	crashing.Kill()
	for _, c := range []*world.Client{plain, acked} {
		w.PushNumbers(t, c.ID, 10, 20)
	}
	// R1: an acked client repeats nothing; R2: an old one may.
	again := acked.ResumeAcked(other, messages[9].Seq())
	world.WantChain(t, messages[9].Seq(), again.WantBodies(10, 20))
	again.Quiet()
	old := plain.Resume(other)
	for seen := 10; seen < 20; {
		seen = old.WantContinuation(seen, 1)
	}
	old.Quiet()
	// The node comes back under another id and takes clients again.
	if err := crashing.Start(); err != nil {
		t.Fatal(err)
	}
	if err := crashing.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := old.Resume(crashing)
	if back.Router == plain.Router {
		t.Error("the node has the same id as before")
	}
	back.Fence()
}

// sessionsAtOnce is for how many sessions a node of one loop asks NATS at a time: the
// questions of the loop, and the workers of its pool.
const sessionsAtOnce = 128 + 64

// What a node reads for a session that comes to it: its entry in the directory, and
// then its mailbox.
func readsEntry(subject string) bool {
	return isRead(subject) && strings.Contains(subject, "KV_UMF_SESSIONS")
}

func readsMailbox(subject string) bool { return isRead(subject) && !readsEntry(subject) }

func isRead(subject string) bool {
	return strings.HasPrefix(subject, "$JS.API.DIRECT.GET.") || strings.HasPrefix(subject, "$JS.API.STREAM.MSG.GET.")
}

// wantAtOnce waits until the node has or wants a request on its way for each of the
// sessions, none of which is answered, and checks on how many there are.
func wantAtOnce(t *testing.T, node *harness.Node, way *harness.Uplink, what string, sessions int) {
	t.Helper()
	if err := harness.Until(world.Patient(t), func() error {
		queued := int(metrics(t, node)["hydrant_pool_queue"])
		if asked := way.Sessions(); asked+queued < sessions {
			return fmt.Errorf("%s: asked for %d, %d wait, of %d sessions", what, asked, queued, sessions)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := way.Sessions(); n > sessionsAtOnce {
		t.Errorf("%s of %d sessions were asked for at once, want %d at the most", what, n, sessionsAtOnce)
	}
}

// R27: a node with many sessions dies, and all of them come back at once. NATS
// sees no more of them at a time than the other node's bound.
func TestCrowdComesBack(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	way, err := harness.NewUplink(w.NATS.Servers[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(way.Close)
	crashing, other := w.Start(t, "crashing", nil), w.Start(t, "other", map[string]string{
		"NATS_URL":             "nats://" + way.Addr(),
		"EDGE_REQUEST_TIMEOUT": "1h", // no call ends for want of an answer
		"EDGE_RATE_MESSAGES":   "0",  // the bystander asks as fast as it is answered
		"GOMAXPROCS":           "1",  // one loop, with its own questions
	})
	stays := bystander(t, other)
	const each = 2
	sids := make([]string, scaled(400, 10_000))
	crowd := make([]*world.Client, len(sids))
	for i := range sids {
		crowd[i] = world.Dial(t, crashing)
		sids[i] = crowd[i].ID
	}
	crashing.Kill()
	for _, c := range crowd {
		c.Drop()
	}
	for _, sid := range sids {
		w.PushNumbers(t, sid, 0, each)
	}
	way.Withhold(readsEntry)
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
	wantAtOnce(t, other, way, "entries", len(sids))
	way.Withhold(readsMailbox)
	wantAtOnce(t, other, way, "mailboxes", len(sids))
	way.Withhold(nil)
	var during []time.Duration
	for running := true; running; { // I7: somebody who has nothing to do with it
		start := time.Now()
		stays.Fence()
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
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}
