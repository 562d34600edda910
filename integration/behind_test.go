package integration

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R26 and R24: a client that hardly reads costs bounded memory, disturbs
// nobody, and gets everything in the end.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	// Segments of loopback are 64 KiB, so that a client that reads 1 KiB a second
	// shows a sign of life once a minute.
	node := w.Start(t, "slow", map[string]string{"EDGE_QUEUE_LIMIT": "20000", "EDGE_WRITE_TIMEOUT": "10m", "EDGE_PING_INTERVAL": "10m"})
	proxy, err := harness.NewProxy(node.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	total, bound := scaled(3000, 10_000), int64(16<<20)
	if harness.RaceEnabled { // which takes memory of its own for all that the node has
		total, bound = 2*total, 2*bound
	}
	padding := strings.Repeat("p", 8<<10) // 24 MB or more, of which little is read
	for name, acked := range map[string]bool{"plain": false, "acked": true} {
		slow := world.DialWith(t, "ws://"+proxy.Addr()+"/", harness.DialOptions{Acked: acked, ReadBytes: 4096})
		quick := world.Dial(t, node)
		proxy.Set(harness.Weather{Rate: 1 << 10})
		before := residentBytes(t, node)
		for i := range total {
			m := world.Pushed(slow.ID, "n"+strconv.Itoa(i), i)
			m["pad"] = padding
			w.Push(t, slow.ID, m)
			if i%100 == 0 {
				quick.Fence() // I7
			}
		}
		if grown := residentBytes(t, node) - before; grown > bound {
			t.Errorf("%s: the node grew by %d KiB for one slow client", name, grown>>10)
		}
		proxy.Set(harness.Weather{})
		for i := range total {
			m := slow.Next()
			if world.BodyNumber(t, m) != i {
				t.Fatalf("%s: message %d is %.100s", name, i, m.Raw)
			}
			if acked && i%16 == 15 {
				if err := slow.Ack(m.Seq()); err != nil {
					t.Fatal(err)
				}
			}
		}
		slow.Fence()
		slow.Drop()
	}
}

// residentBytes is a process's memory as the kernel sees it.
func residentBytes(t *testing.T, node *harness.Node) int64 {
	t.Helper()
	resident, err := harness.ResidentBytes(node.PID())
	if err != nil {
		t.Fatal(err)
	}
	return resident
}

// R18: the oldest are dropped, a gap stands in their place, others notice
// nothing.
func TestMailboxOverItsBound(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	const limit = 20
	node := w.Start(t, "small queues", map[string]string{"EDGE_QUEUE_LIMIT": strconv.Itoa(limit)})
	plain, acked, other := world.Dial(t, node), world.DialAcked(t, node), world.Dial(t, node)
	w.PushNumbers(t, acked.ID, 0, 2)
	w.PushNumbers(t, plain.ID, 0, 2)
	messages := acked.WantBodies(0, 2)
	plain.WantBodies(0, 2)
	plain.Fence()
	acked.Drop()
	plain.Drop()
	w.PushNumbers(t, acked.ID, 2, 100)
	w.PushNumbers(t, plain.ID, 2, 100)
	w.PushNumbers(t, other.ID, 0, limit)
	other.WantBodies(0, limit)

	again := acked.ResumeAcked(node, messages[1].Seq())
	first := again.Next()
	g := world.ReadGap(t, first)
	if g.Why != "overflow" || first.Prev() != messages[1].Seq() || first.Seq() <= first.Prev() {
		t.Errorf("gap %s", first.Raw)
	}
	// The queue holds its bound, and up to two more.
	second := again.Next()
	from := world.BodyNumber(t, second)
	if from > 100-limit || from < 100-limit-2 {
		t.Errorf("the queue starts at message %d, want the last %d", from, limit)
	}
	world.WantChain(t, first.Seq(), append([]message{second}, again.WantBodies(from+1, 100)...))
	again.Quiet()

	old := plain.Resume(node)
	seen := world.BodyNumber(t, old.Next())
	if seen > 100-limit || seen < 100-limit-2 {
		t.Errorf("the queue of the old client starts at message %d", seen)
	}
	old.WantBodies(seen+1, 100)
	old.Quiet()
}

// R18: a client that comes back again and again while its mailbox is full to
// the bound. What each resume stores for its own purposes pushes nothing out.
func TestFlappingWithAFullMailbox(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	const limit, resumes = 640, 5 // with room for the markers of a slow machine, which sends some twice
	node := w.Start(t, "full queue", map[string]string{"EDGE_QUEUE_LIMIT": strconv.Itoa(limit), "EDGE_WINDOW": "1024"})
	c := world.DialAcked(t, node)
	w.PushNumbers(t, c.ID, 0, 1)
	seq := c.WantBodies(0, 1)[0].Seq()
	c.Drop()
	w.PushNumbers(t, c.ID, 1, 1+limit)
	for range resumes {
		c = c.ResumeAcked(node, seq)
		c.Drop()
	}
	world.WantChain(t, seq, c.ResumeAcked(node, seq).WantBodies(1, 1+limit))
}

// R19: all sessions of a stream are behind at once.
func TestThousandSessionsBehind(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	one := map[string]string{"EDGE_MAILBOX_STREAMS": "1"}
	nodes := []*harness.Node{w.Start(t, "crowd 1", one), w.Start(t, "crowd 2", one)}
	const each = 4
	sessions := make([]*world.Client, 1200)
	for i := range sessions {
		sessions[i] = world.Dial(t, nodes[0])
	}
	for _, c := range sessions {
		c.Drop()
	}
	for _, c := range sessions {
		w.PushNumbers(t, c.ID, 0, each)
	}
	var group sync.WaitGroup
	var failures sync.Map
	for _, c := range sessions {
		group.Go(func() {
			if err := resumeAndRead(t, nodes[1], c.ID, each); err != nil {
				failures.Store(c.ID, err)
			}
		})
	}
	group.Wait()
	failures.Range(func(sid, err any) bool {
		t.Errorf("session %v: %v", sid, err)
		return true
	})
}

// resumeAndRead is for goroutines that are not the test's.
func resumeAndRead(t *testing.T, node *harness.Node, sid string, count int) error {
	c, err := comeBack(t.Context(), node, sid)
	if err != nil {
		return err
	}
	defer c.Drop()
	for i := range count {
		m, err := c.Next(t.Context())
		if err != nil {
			return err
		}
		if m.Body() != strconv.Itoa(i) {
			return fmt.Errorf("message %d is %s", i, m.Raw)
		}
	}
	return nil
}

// comeBack resumes a session as a client in a crowd does: a node that has too
// much to do says so (1013), and is asked again.
func comeBack(ctx context.Context, node *harness.Node, sid string) (c *harness.Client, err error) {
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	err = harness.Until(ctx, func() error {
		next, err := harness.Dial(ctx, node.URL("/"), harness.DialOptions{})
		if err != nil {
			return err
		}
		answer, err := next.Resume(ctx, "reconnect", object{"id": sid})
		if err != nil {
			next.Drop()
			return err
		}
		c = next
		if c.ID != sid {
			return fmt.Errorf("resume answered with %s", answer.Raw)
		}
		return nil
	})
	if err != nil && c != nil {
		c.Drop()
	}
	return c, err
}

// R20: a message's ttl. The one behind it shows that it is not only late.
func TestMessageTTL(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "ttl", nil)
	from := world.Dial(t, node)
	for name, connect := range map[string]func(*testing.T, *harness.Node) *world.Client{"plain": world.Dial, "acked": world.DialAcked} {
		c := connect(t, node)
		w.PushNumbers(t, c.ID, 0, 1)
		first := c.WantBodies(0, 1)[0]
		c.Fence()
		c.Drop()
		sent := w.Subscribe(t, "mailbox", world.Mailbox(c.ID), "")
		from.Send(object{"to": c.Address(), "ttl": 1, "bdy": "short"})
		if request, _ := sent.Next(); request.Header.Get("Nats-TTL") == "" {
			t.Errorf("%s: stored with the headers %v", name, request.Header)
		}
		w.PushWith(t, c.ID, world.Pushed(c.ID, "short-2", "short"), nats.Header{"Nats-TTL": {"1s"}})
		w.PushNumbers(t, c.ID, 1, 2)
		w.Stored(t, c.ID, 2) // both have expired
		if name == "plain" {
			again := c.Resume(node)
			again.WantBodies(1, 2)
			again.Quiet()
			continue
		}
		again := c.ResumeAcked(node, first.Seq())
		m := again.Next()
		if m.Type() == "gap" { // it may be said, and then it says so
			if world.ReadGap(t, m).Why != "expired" {
				t.Errorf("gap %s", m.Raw)
			}
			m = again.Next()
		}
		if m.Body() != "1" {
			t.Errorf("after what expired comes %s", m.Raw)
		}
		again.Quiet()
	}
	from.Quiet()
}

// briefTTL is short enough to be waited for, and long enough for a client to come
// back, and a node to renew what it has, where neither runs for a while.
const briefTTL = "5s"

// R20: a session's end. Its mailbox goes, its id means nothing any more.
func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "brief sessions", map[string]string{"EDGE_SESSION_TTL": "10s"})
	stays := world.Dial(t, node)
	c := world.Dial(t, node)
	c.Drop()
	if err := harness.Until(world.Patient(t), func() error {
		if entry, err := w.LookUp(t, c.ID); err == nil {
			return fmt.Errorf("still there: %+v", entry)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, answer := c.Reconnect(node, harness.DialOptions{})
	if answer.At("bdy", "resumed") != false || answer.At("bdy", "why") != "expired" {
		t.Errorf("answered with %s", answer.Raw)
	}
	// A session that is connected for longer than the TTL is not touched by it.
	stays.WantError(stays.Call(object{"to": c.Address(), "bdy": 1}), "")
	w.PushNumbers(t, stays.ID, 0, 1)
	stays.WantBodies(0, 1)
	stays.Drop()
	w.PushNumbers(t, stays.ID, 1, 2)
	again := stays.Resume(node)
	again.Find(func(m message) bool { return m.Body() == "1" })
}

// R16: with a bound on the mailboxes together (EDGE_STORE_BYTES) the store
// never gets full: the oldest messages make room, which is told, and sessions go
// on opening and resuming.
func TestMailboxesOverTheirBytes(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "bounded store", map[string]string{"EDGE_MAILBOX_STREAMS": "1", "EDGE_STORE_BYTES": "1500KiB"})
	quiet, loud := world.DialAcked(t, node), world.Dial(t, node)
	w.PushNumbers(t, quiet.ID, 0, 2)
	seq := quiet.WantBodies(0, 2)[1].Seq()
	quiet.Drop()
	loud.Drop()
	w.PushNumbers(t, quiet.ID, 2, 4) // which the noise pushes out
	noise := make([]byte, 64<<10)    // which does not compress
	random := harness.Rand(t.Name())
	const count = 40
	for i := range count {
		for j := range noise {
			noise[j] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[random.IntN(64)]
		}
		m := world.Pushed(loud.ID, "n"+strconv.Itoa(i), i)
		m["pad"] = string(noise)
		w.Push(t, loud.ID, m)
	}
	w.PushNumbers(t, quiet.ID, 4, 5)

	again := quiet.ResumeAcked(node, seq)
	told := again.Next()
	if g := world.ReadGap(t, told); g.Why != "overflow" || told.Prev() != seq {
		t.Errorf("gap %s", told.Raw)
	}
	world.WantChain(t, told.Seq(), again.WantBodies(4, 5))
	old := loud.Resume(node)
	from := world.BodyNumber(t, old.Next())
	if from == 0 || from > count-4 {
		t.Errorf("the queue starts at message %d of %d", from, count)
	}
	old.WantBodies(from+1, count)
	world.Dial(t, node).Fence()
}

// R16: the store takes no more. Senders are told; what was acknowledged stays.
func TestStoreIsFull(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{MaxStore: 4 << 20})
	node := w.Start(t, "full store", map[string]string{"EDGE_MAILBOX_STREAMS": "1"})
	from, to := world.Dial(t, node), world.Dial(t, node)
	to.Close()
	w.WaitParked(t, to.ID)
	noise := make([]byte, 64<<10) // which does not compress
	random := harness.Rand(t.Name())
	accepted, refused := 0, 0
	for refused == 0 && accepted < 200 {
		for i := range noise {
			noise[i] = byte('0' + random.IntN(64))
		}
		text := strings.NewReplacer(`\`, "x", `"`, "x").Replace(string(noise))
		mid := from.Send(object{"to": to.Address(), "bdy": text})
		from.Fence()
		// The answer, if there is one, may take until the store has answered.
		if err := harness.Until(world.Patient(t), func() error {
			for _, m := range from.Inbox() {
				if m.Rmid() == mid && m.Error() != "" {
					refused++
					return nil
				}
			}
			return w.CountStored(t, to.ID, accepted+1)
		}); err != nil {
			t.Fatal(err)
		}
		if refused == 0 {
			accepted++
		}
	}
	if refused == 0 {
		t.Fatal("the store is never full")
	}
	if err := w.CountStored(t, to.ID, accepted); err != nil { // what was accepted stays
		t.Error(err)
	}
	if _, err := os.FindProcess(node.PID()); err != nil {
		t.Error(err)
	}
}
