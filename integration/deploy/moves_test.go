package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// TestDashboardAndAlerts: every metric, and every label, in the alert rules and
// the dashboard is one that a real node has, and every metric of the dashboard
// changes when there is reason to, faults included.
func TestDashboardAndAlerts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w, frozen := startMoves(ctx, t), startMoves(ctx, t)
	t.Run("moves", func(t *testing.T) {
		t.Run("served", func(t *testing.T) {
			t.Parallel()
			w.moves(ctx, t, "hydrant_loop_lag_seconds_bucket", "process_cpu_seconds_total")
			exercise(ctx, t, w.node, w.other)
			exercise(ctx, t, w.other, w.node)
			w.junk(ctx, t)
			w.spoil(ctx, t)
			w.overflow(ctx, t)
			w.linger(ctx, t)
			w.slowClients(ctx, t)
			w.stall(ctx, t)
			w.slowNATS(ctx, t)
			w.crowdedOutbox(ctx, t)
		})
		t.Run("frozen", func(t *testing.T) { // which takes as long as all that
			t.Parallel()
			frozen.frozenNATS(ctx, t)
		})
	})
	maps.Copy(w.moved, frozen.moved)

	checkExpressions(t, w.last, alertExpressions(t))
	expressions := dashboardExpressions(t)
	checkExpressions(t, w.last, expressions)
	for _, e := range expressions {
		for _, m := range metricsIn(e) {
			if !w.moved[m] && m != momentary {
				t.Errorf("%s does not move, in %s", m, e)
			}
		}
	}
}

// moving is a node whose metrics are watched, and what it lives with.
type moving struct {
	servers     *harness.NATS
	uplink      *harness.Uplink // between NATS and network
	network     *harness.Proxy  // between uplink and node
	node, other *harness.Node
	last        *sample         // of node
	moved       map[string]bool // metrics of node that have changed
}

// queueLimit is what a mailbox takes. A client sends another a tenth of it, which is
// enough for what exercise sends.
const queueLimit = 400

// window is that of the nodes' acked clients.
const window = 32 // exercise leaves some unconfirmed

func startMoves(ctx context.Context, t *testing.T) *moving {
	t.Helper()
	servers, err := harness.StartNATS(ctx, harness.NATSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	uplink, err := harness.NewUplink(strings.TrimPrefix(servers.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(uplink.Close)
	network, err := harness.NewProxy(uplink.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	w := &moving{servers: servers, uplink: uplink, network: network, moved: make(map[string]bool)}
	t.Cleanup(func() {
		for _, s := range servers.Servers {
			_ = s.Thaw() // a frozen one cannot be stopped; one that has ended needs nothing
		}
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	w.node, w.other = startMoving(ctx, t, "nats://"+network.Addr()), startMoving(ctx, t, servers.URL())
	echo, err := harness.StartEcho(servers.URL(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(echo.Kill)
	return w
}

// startMoving starts a node.
func startMoving(ctx context.Context, t *testing.T, url string) *harness.Node {
	t.Helper()
	// One loop, so that it is known whose queues are filled.
	env := map[string]string{"EDGE_QUEUE_LIMIT": fmt.Sprint(queueLimit), "EDGE_WINDOW": fmt.Sprint(window), "GOMAXPROCS": "1",
		"EDGE_ADMIN_TOKEN": adminToken, "EDGE_REQUEST_TIMEOUT": "1h"} // what waits, waits until it is full
	node, err := harness.StartNode(ctx, harness.NodeOptions{Name: "edge", NATS: url, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	return node
}

// take looks at the node and notes what has changed since the last time.
func (w *moving) take() error {
	now, err := scrape(w.node)
	if err != nil {
		return err
	}
	if w.last != nil {
		for series, value := range now.series {
			if before, ok := w.last.series[series]; !ok && value != 0 || ok && before != value {
				metric, _, _ := strings.Cut(series, "{")
				w.moved[metric] = true
			}
		}
	}
	w.last = now
	return nil
}

// until looks at the node until a condition holds.
func (w *moving) until(ctx context.Context, t *testing.T, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	if err := harness.UntilEvery(ctx, 50*time.Millisecond, func() error { // a page of metrics costs both sides
		if err := w.take(); err != nil {
			return err
		}
		return condition()
	}); err != nil {
		t.Fatal(err)
	}
}

// moves returns when each of the metrics has changed at least once.
func (w *moving) moves(ctx context.Context, t *testing.T, metrics ...string) {
	t.Helper()
	w.until(ctx, t, func() error {
		if still := slices.DeleteFunc(slices.Clone(metrics), func(m string) bool { return w.moved[m] }); len(still) > 0 {
			return fmt.Errorf("%v do not change", still)
		}
		return nil
	})
}

// drained returns when the node is ready and nothing waits in it for NATS. A
// machine that has much else to do may have lost it the connection.
func (w *moving) drained(ctx context.Context, t *testing.T) {
	t.Helper()
	w.until(ctx, t, func() error {
		if n := w.last.series["hydrant_outbox_operations"] + w.last.series["hydrant_outbox_unacknowledged"]; n > 0 {
			return fmt.Errorf("%v operations wait for NATS", n)
		}
		return w.node.Ready()
	})
}

func (w *moving) dial(ctx context.Context, t *testing.T, o harness.DialOptions) *harness.Client {
	t.Helper()
	c, err := harness.Enter(ctx, w.node.URL("/"), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// junk puts what is no UMF into a session's mailbox, and waits for what comes
// behind it.
func (w *moving) junk(ctx context.Context, t *testing.T) {
	t.Helper()
	c := w.dial(ctx, t, harness.DialOptions{})
	defer c.Close()
	w.store(ctx, t, c.ID, "no UMF", umfText(c.ID, "behind", "x"))
	if _, err := c.Find(ctx, func(m harness.Message) bool { return m.Mid() == "behind" }); err != nil {
		t.Fatal(err)
	}
	w.moves(ctx, t, "hydrant_mailbox_junk_total")
}

// spoil writes over the entry of a session that its client then asks for.
func (w *moving) spoil(ctx context.Context, t *testing.T) {
	t.Helper()
	nc, err := w.servers.Connect("spoils")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := w.dial(ctx, t, harness.DialOptions{})
	c.Drop()
	again := w.dial(ctx, t, harness.DialOptions{})
	defer again.Close()
	var answer harness.Message
	err = harness.Until(ctx, func() error { // the node may park the session behind that
		if _, err := nc.Request(scheme.SessionKey(scheme.SID(c.ID)), []byte("no entry"), harness.Patience); err != nil {
			return err
		}
		var err error
		if answer, err = again.Resume(ctx, "reconnect", harness.Object{"id": c.ID, "token": c.Token}); err == nil && answer.At("bdy", "resumed") == true {
			again.Drop()
			again = w.dial(ctx, t, harness.DialOptions{})
			return errors.New("it was parked since")
		}
		return err
	})
	if err != nil || answer.At("bdy", "why") != "expired" {
		t.Fatalf("%s %v", answer.Raw, err)
	}
	w.moves(ctx, t, "hydrant_spoiled_entries_total")
}

// overflow has a client come back to more than a mailbox takes.
func (w *moving) overflow(ctx context.Context, t *testing.T) {
	t.Helper()
	c := w.dial(ctx, t, harness.DialOptions{})
	c.Drop()
	texts := make([]string, queueLimit*5/4)
	for i := range texts {
		texts[i] = umfText(c.ID, fmt.Sprint("waits-", i), "x")
	}
	w.store(ctx, t, c.ID, texts...)
	again := w.dial(ctx, t, harness.DialOptions{})
	defer again.Close()
	if answer, err := again.Resume(ctx, "reconnect", harness.Object{"id": c.ID, "token": c.Token, "seq": "0"}); err != nil || answer.At("bdy", "resumed") != true {
		t.Fatalf("resume: %s %v", answer.Raw, err)
	}
	w.moves(ctx, t, "hydrant_gaps_total")
}

// linger has a client with a delivered message stay, ask in vain for another
// session and for what is for administrators, and one be turned away. Meanwhile there are sessions, and somebody at
// the administrators' listener, to be counted.
func (w *moving) linger(ctx context.Context, t *testing.T) {
	t.Helper()
	c := w.dial(ctx, t, harness.DialOptions{})
	defer c.Close()
	if _, err := c.Resume(ctx, "reconnect", harness.Object{"id": strings.Repeat("a", 26)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(ctx, harness.Object{"to": "hydra-router:[GET]/v1/router/log", "aut": "Bearer wrong", "bdy": 1}); err != nil {
		t.Fatal(err)
	}
	var refused *harness.Refused
	_, err := harness.Dial(ctx, w.node.URL("/"), harness.DialOptions{Header: http.Header{"Origin": {"https://elsewhere.example"}}})
	if !errors.As(err, &refused) {
		t.Fatalf("a foreign origin got in: %v", err)
	}
	w.store(ctx, t, c.ID, umfText(c.ID, "one", "x"))
	idle, err := net.Dial("tcp", w.node.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	w.moves(ctx, t, "hydrant_checkpoint_age_seconds_bucket", "hydrant_checkpoint_lag_seconds", "hydrant_sessions", "hydrant_connections",
		"hydrant_dropped_total", "hydrant_wrong_admin_tokens_total", "go_goroutines", "process_open_fds")
}

// momentary is held only while mailboxes are read for many sessions: who looks now and then
// may never see it.
const momentary = "hydrant_pass_bytes"

// slowClients has one client that does not read, and one that reads and does
// not confirm.
func (w *moving) slowClients(ctx context.Context, t *testing.T) {
	t.Helper()
	deaf := w.dial(ctx, t, harness.DialOptions{Manual: true, ReadBytes: 4096})
	defer deaf.Drop()
	silent := w.dial(ctx, t, harness.DialOptions{Acked: true})
	defer silent.Close()
	big := strings.Repeat("x", 200_000)
	var bigOnes, smallOnes []string
	for i := range 15 {
		bigOnes = append(bigOnes, umfText(deaf.ID, fmt.Sprint("big", i), big))
	}
	for i := range window + 5 {
		smallOnes = append(smallOnes, umfText(silent.ID, fmt.Sprint("small", i), "x"))
	}
	w.store(ctx, t, deaf.ID, bigOnes...)
	w.store(ctx, t, silent.ID, smallOnes...)
	w.moves(ctx, t, "hydrant_socket_buffer_bytes", "hydrant_window_messages", "hydrant_window_full_sessions",
		"hydrant_mailbox_reads_total")
}

// stall freezes the node for longer than its stall limit of 0.75 s: until the
// other one, whose loop has a timer of 100 ms, has had it fifteen times.
func (w *moving) stall(ctx context.Context, t *testing.T) {
	t.Helper()
	ticks := func() float64 {
		page, err := scrape(w.other)
		if err != nil {
			t.Fatal(err)
		}
		return page.series["hydrant_loop_lag_seconds_count"]
	}
	if err := w.node.Freeze(); err != nil {
		t.Fatal(err)
	}
	limit := ticks() + 15
	waiting, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	err := harness.Until(waiting, func() error {
		if now := ticks(); now < limit {
			return fmt.Errorf("%v ticks of %v", now, limit)
		}
		return nil
	})
	if err := errors.Join(err, w.node.Thaw()); err != nil {
		t.Fatal(err)
	}
	w.moves(ctx, t, "hydrant_stalls_total")
}

// slowNATS has a session wait for its marker until it asks for another.
func (w *moving) slowNATS(ctx context.Context, t *testing.T) {
	t.Helper()
	defer w.network.Set(harness.Weather{})
	w.network.Set(harness.Weather{Delay: 200 * time.Millisecond}) // longer than a session waits for its marker
	w.dial(ctx, t, harness.DialOptions{}).Close()
	w.moves(ctx, t, "hydrant_session_machine_total")
	w.network.Set(harness.Weather{})
}

// crowdedOutbox has clients send more than the node keeps, while it does not get to
// know whether anybody is there to have it.
func (w *moving) crowdedOutbox(ctx context.Context, t *testing.T) {
	t.Helper()
	w.drained(ctx, t)
	w.uplink.Withhold(func(subject string) bool { return strings.Contains(subject, ".GET."+scheme.SessionStream) })
	const size = 900_000                   // nearly what NATS takes
	clients := make([]*harness.Client, 40) // each has one message read once half of 32 MiB waits
	for i := range clients {
		clients[i] = w.dial(ctx, t, harness.DialOptions{})
		defer clients[i].Drop()
	}
	big := strings.Repeat("x", size)
	var senders sync.WaitGroup
	defer senders.Wait()
	defer w.uplink.Withhold(nil) // those that wait go on
	sending, enough := context.WithCancel(ctx)
	defer enough()
	for _, c := range clients {
		senders.Go(func() {
			for sending.Err() == nil { // what a connection that was lost has cost is sent again
				if err := c.Send(harness.Object{"to": scheme.NewSID() + "@client:/", "frm": c.Address(), "mid": c.Mid(), "bdy": big}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	w.moves(ctx, t, "hydrant_held_back_total", "hydrant_outbox_operations", "hydrant_outbox_bytes", "hydrant_outbox_full_total")
}

// frozenNATS lets pile up what waits for an answer of NATS, until the node has
// had enough of it, gives the connection up, and finds NATS again.
func (w *moving) frozenNATS(ctx context.Context, t *testing.T) {
	t.Helper()
	w.drained(ctx, t) // or what is sent now would wait behind it until the connection is given up
	c := w.dial(ctx, t, harness.DialOptions{})
	defer c.Drop()
	var curious []*harness.Client // together they ask for more than the pool has workers
	for range 5 {
		asks := w.dial(ctx, t, harness.DialOptions{})
		defer asks.Drop()
		curious = append(curious, asks)
	}
	if err := w.servers.Servers[0].Freeze(); err != nil {
		t.Fatal(err)
	}
	for _, asks := range curious {
		for range 30 {
			if err := asks.Send(harness.Object{"to": "hydra-router:/", "typ": "wsdir.loc", "frm": asks.Address(), "mid": asks.Mid(),
				"bdy": harness.Object{"clientID": scheme.NewSID()}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	messages := []harness.Object{{"to": c.Address(), "bdy": "to a session of this node"}}
	for range 20 {
		messages = append(messages, harness.Object{"to": scheme.NewSID() + "@client:/", "bdy": "to nobody"})
	}
	for _, m := range messages {
		m["frm"], m["mid"] = c.Address(), c.Mid()
		if err := c.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	w.moves(ctx, t, "hydrant_outbox_unacknowledged", "hydrant_pool_queue", "hydrant_pool_busy",
		"hydrant_nats_connected", "hydrant_ready", "hydrant_nats_errors_total", "hydrant_client_errors_total")
	if err := w.servers.Servers[0].Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.servers.WaitReady(ctx), w.node.WaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	w.moves(ctx, t, "hydrant_nats_events_total")
}

func umfText(sid, mid, body string) string {
	return fmt.Sprintf(`{"to":"%s@client:/","frm":"test:/","mid":"%s","bdy":"%s"}`, sid, mid, body)
}

// store publishes to a mailbox, acknowledged.
func (w *moving) store(ctx context.Context, t *testing.T, sid string, payloads ...string) {
	t.Helper()
	nc, err := w.servers.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	subject := scheme.MailboxSubject(scheme.SID(sid))
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	for _, payload := range payloads {
		if _, err := nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
}
