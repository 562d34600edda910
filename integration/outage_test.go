package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R7: sockets stay; nothing that was acknowledged is lost.
func TestNATSKilledAndRestarted(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	a, b := w.Start(t, "a", nil), w.Start(t, "b", nil)
	plain, acked, away := world.Dial(t, a), world.DialAcked(t, b), world.Dial(t, a)
	away.Close()
	w.WaitParked(t, away.ID)
	for _, sid := range []string{plain.ID, acked.ID, away.ID} {
		w.PushNumbers(t, sid, 0, 10)
	}
	plain.WantBodies(0, 10)
	messages := acked.WantBodies(0, 10)

	server := w.NATS.Servers[0]
	server.Kill()
	pong := plain.Call(object{"to": "hydra-router:/", "typ": "ping", "bdy": 1}) // needs no NATS
	if pong.Type() != "pong" {
		t.Errorf("while NATS is away: %s", pong.Raw)
	}
	// Over HTTP as well the node says so, once it knows: it takes nothing for
	// later, and no silence for an empty list.
	for method, path := range map[string]string{"POST": "send", "GET": "list/services"} {
		if err := harness.Until(world.Patient(t), func() error {
			status, e, _ := fetch(t, method, a.HTTP("/v1/router/"+path), `{"to":"svc:/","frm":"web:/","bdy":1}`, nil)
			if status != http.StatusServiceUnavailable {
				return fmt.Errorf("status %d, %s", status, e.Result)
			}
			return nil
		}); err != nil {
			t.Errorf("%s %s while NATS is away: %v", method, path, err)
		}
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.NATS.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, node := range []*harness.Node{a, b} {
		if err := node.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, sid := range []string{plain.ID, acked.ID, away.ID} {
		if err := harness.Until(world.Patient(t), func() error { // the test's own connection may be on its way back
			_, err := w.Publish(t.Context(), sid, world.Pushed(sid, "n10", 10), nil)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		w.PushNumbers(t, sid, 11, 20)
	}
	plain.WantBodies(10, 20)
	world.WantChain(firstPrev(t, append(messages, acked.WantBodies(10, 20)...)))
	away.Resume(b).WantBodies(0, 20)
	plain.Quiet()
	acked.Quiet()
}

// R11: all of NATS stands still, in a long run three servers for half a minute
// under load. Sockets stay, clients are told, memory is bounded, and it goes on
// where it was.
func TestNATSFrozen(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{Servers: scaled(1, 3)})
	node := w.Start(t, "node", map[string]string{"EDGE_REQUEST_TIMEOUT": "300ms", "EDGE_QUEUE_LIMIT": "10000"})
	c, to := world.Dial(t, node), world.Dial(t, node)
	senders := make([]*sender, 8)
	for i := range senders {
		senders[i] = &sender{Client: world.Dial(t, node).Client}
	}
	w.PushNumbers(t, c.ID, 0, 3)
	c.WantBodies(0, 3)
	before := residentBytes(t, node)
	for _, server := range w.NATS.Servers {
		if err := server.Freeze(); err != nil {
			t.Fatal(err)
		}
	}
	fault := lasts(t, 30*time.Second)
	if m := c.Call(object{"to": "hydra-router:/", "typ": "ping", "bdy": 1}); m.Type() != "pong" {
		t.Errorf("while NATS is frozen: %s", m.Raw)
	}
	if m := c.Call(object{"to": "svc:[GET]/p", "bdy": 1}); m.Body() == "" {
		t.Errorf("a request while NATS is frozen: %s", m.Raw)
	}
	var sending sync.WaitGroup
	thawing := make(chan struct{})
	for _, s := range senders {
		sending.Go(func() { s.flood(to.Address(), thawing) })
	}
	grown := int64(0)
	for more := true; more; more = fault.more() {
		grown = max(grown, residentBytes(t, node)-before)
		c.Fence()
	}
	close(thawing)
	for _, server := range w.NATS.Servers {
		if err := server.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	sending.Wait()
	// 32 MiB may wait for NATS in each loop, and the collector lets twice that
	// be. In a long run far more was sent.
	if bound := int64(runtime.GOMAXPROCS(0))*2*(32<<20) + 64<<20; grown > bound {
		t.Errorf("the node grew by %d MiB, want %d at the most", grown>>20, bound>>20)
	}
	w.Settle(t, node)
	sent, arrived, told := 0, make(map[string]bool), make(map[string]int)
	for _, s := range senders {
		sent += len(s.sent)
		s.outcome(t, to, arrived, told)
	}
	t.Logf("%d messages of %d KiB; the node grew by %d MiB; senders were told %v", sent, floodBytes>>10, grown>>20, told)
	if *long && told["unavailable"] == 0 {
		t.Error("nobody was told that messaging is unavailable")
	}
	w.PushNumbers(t, c.ID, 3, 6)
	c.Find(func(m message) bool { return m.Body() == "5" })
	c.Fence()
}

// floodBytes is the size of a message of a sender: with eight of them, a hundred
// a second each, a gigabyte in half a minute.
const floodBytes = 64 << 10

// sender floods a session.
type sender struct {
	*harness.Client
	sent map[string]bool // mids
	err  error
}

// flood sends until stop is closed, and at least once. Each message has been
// read by the node before the next one leaves.
func (s *sender) flood(to string, stop <-chan struct{}) {
	s.sent = make(map[string]bool)
	padding := strings.Repeat("x", floodBytes)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		mid := s.Mid()
		s.sent[mid] = true
		if s.err = s.Send(object{"to": to, "frm": s.Address(), "mid": mid, "bdy": padding}); s.err != nil {
			return
		}
		if _, s.err = s.Call(context.Background(), object{"to": "hydra-router:/", "typ": "ping", "bdy": 1}); s.err != nil {
			return
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// outcome waits until each message has arrived, or its sender was told; that it
// was both is possible, for an acknowledgement can be lost.
func (s *sender) outcome(t *testing.T, to *world.Client, arrived map[string]bool, told map[string]int) {
	t.Helper()
	if s.err != nil {
		t.Fatal(s.err)
	}
	for mid := range s.sent {
		if err := harness.Until(world.Patient(t), func() error {
			for _, m := range s.Inbox() {
				if code, _ := m.At("bdy", "code").(string); code != "" && s.sent[m.Rmid()] {
					told[code]++
					s.sent[m.Rmid()] = false
				}
			}
			for _, m := range to.Inbox() {
				arrived[m.Mid()] = true
			}
			if s.sent[mid] && !arrived[mid] {
				return fmt.Errorf("%s has not arrived, and nobody was told", mid)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// R12: a node that is cut off from NATS without an end of the connection
// notices within two pings, says so, and comes back.
func TestNodeCutOffFromNATS(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	proxy, err := harness.NewProxy(w.NATS.Servers[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	behind := w.Start(t, "behind a proxy", map[string]string{"NATS_URL": "nats://" + proxy.Addr()})
	other := w.Start(t, "other", nil)
	c := world.DialAcked(t, behind)
	w.PushNumbers(t, c.ID, 0, 3)
	messages := c.WantBodies(0, 3)
	proxy.Set(harness.Weather{Blackhole: true})
	w.PushNumbers(t, c.ID, 3, 6)
	// That nothing is acknowledged it says sooner. Only with the end of the connection
	// is what lies in it gone.
	if err := harness.Until(world.Patient(t), func() error {
		_, status, err := statusOf(behind.AdminHTTP("/readyz"))
		if err != nil {
			return err
		}
		if !strings.Contains(status, "not connected") {
			return &wrongStatus{status}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// Another node takes the session over meanwhile; the first cannot be asked.
	again := c.ResumeAcked(other, messages[2].Seq())
	world.WantChain(t, messages[2].Seq(), again.WantBodies(3, 6))
	proxy.Set(harness.Weather{})
	if err := behind.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.PushNumbers(t, c.ID, 6, 9)
	again.WantBodies(6, 9)
	// I5: the node that came back wrote nothing to the old socket.
	if code, reason := c.Closed(); code != 4501 {
		t.Errorf("the old socket was closed with %d %s, want 4501", code, reason)
	}
	if late := c.Inbox(); len(late) > 0 {
		t.Errorf("the old socket got %s", late[0].Raw)
	}
}

// R49, I5: a node whose NATS is silent for a while, too briefly for it to notice,
// gets all that it missed at once: the request for a session, and what was
// stored after the session had gone elsewhere. It writes none of that.
func TestSessionsMoveWhileNATSIsSilent(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	uplink, err := harness.NewProxy(w.NATS.Servers[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer uplink.Close()
	silent, other := w.Start(t, "silent", map[string]string{"NATS_URL": "nats://" + uplink.Addr()}), w.Start(t, "other", nil)
	old := make([]*world.Client, 60)
	for i := range old {
		old[i] = world.Dial(t, silent)
		old[i].Fence()
	}
	uplink.Set(harness.Weather{Blackhole: true})
	moved := make([]*harness.Client, len(old))
	var moving sync.WaitGroup
	for i, c := range old {
		moving.Go(func() {
			next, err := comeBack(t.Context(), other, c.ID)
			if err != nil {
				t.Errorf("session %s: %v", c.ID, err)
			}
			moved[i] = next
		})
	}
	moving.Wait()
	if t.Failed() {
		return
	}
	for _, c := range old {
		w.PushNumbers(t, c.ID, 0, 5)
	}
	uplink.Set(harness.Weather{})
	for i, c := range old {
		world.Wrap(t, moved[i]).WantBodies(0, 5)
		if code, reason := c.Closed(); code != 4501 {
			t.Errorf("the old socket was closed with %d %s, want 4501", code, reason)
		}
		if late := c.Inbox(); len(late) > 0 {
			t.Errorf("the old socket got %s", late[0].Raw)
		}
		moved[i].Drop()
	}
}

// R15: not ready, and says why.
func TestJetStreamIsMissing(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{NoStore: true})
	node, err := harness.LaunchNode(harness.NodeOptions{Name: "no JetStream", NATS: w.NATS.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Kill()
	if err := harness.Until(world.Patient(t), func() error {
		select {
		case <-node.Exited(): // refusing to start is an answer, too
			if said := string(node.Log.Since(0)); !strings.Contains(said, "JetStream") {
				t.Errorf("it ends, and says only %s", said)
			}
			return nil
		default:
		}
		_, status, err := statusOf(node.AdminHTTP("/readyz"))
		if err != nil {
			return err
		}
		if !strings.Contains(status, "JetStream") {
			return &wrongStatus{status}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := node.Ready(); err == nil {
		t.Error("ready without JetStream")
	}
}

// R21: the store goes back in time, under running clients.
func TestStoreGoesBackInTime(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "node", map[string]string{"EDGE_MAILBOX_STREAMS": "1"})
	plain, acked := world.Dial(t, node), world.DialAcked(t, node)
	for _, c := range []*world.Client{plain, acked} {
		w.PushNumbers(t, c.ID, 0, 3)
		c.WantBodies(0, 3)
	}
	server := w.NATS.Servers[0]
	older := filepath.Join(t.TempDir(), "older")
	server.Kill()
	if err := os.CopyFS(older, os.DirFS(server.Store)); err != nil {
		t.Fatal(err)
	}
	w.RestartNATS(t, node)
	for _, c := range []*world.Client{plain, acked} {
		w.PushNumbers(t, c.ID, 3, 10)
		c.WantBodies(3, 10)
	}
	server.Kill()
	if err := os.RemoveAll(server.Store); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(server.Store, os.DirFS(older)); err != nil {
		t.Fatal(err)
	}
	w.RestartNATS(t, node)
	for _, c := range []*world.Client{plain, acked} {
		w.PushNumbers(t, c.ID, 100, 103)
	}
	// New ones have sequences that were old ones' before: they are not taken
	// for those. What the older copy still holds may come again.
	gaps := 0
	for _, c := range []*world.Client{plain, acked} {
		for next := 100; next < 103; {
			m := c.Next()
			if m.Type() == "gap" {
				if why := world.ReadGap(t, m).Why; why != "rollback" {
					t.Errorf("gap %q", why)
				}
				gaps++
				continue
			}
			if n := world.BodyNumber(t, m); n >= 3 && n != next {
				t.Fatalf("%s comes where %d is next", m.Raw, next)
			} else if n == next {
				next++
			}
		}
	}
	if gaps != 1 {
		t.Errorf("%d gap messages, want one, to the acked session", gaps)
	}
}

// statusOf is a page whatever its status.
func statusOf(url string) (int, string, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, body, err := harness.Do(request)
	if err != nil {
		return 0, "", err
	}
	return response.StatusCode, strconv.Itoa(response.StatusCode) + " " + string(body), nil
}

type wrongStatus struct{ text string }

func (w *wrongStatus) Error() string { return "it says only " + w.text }
