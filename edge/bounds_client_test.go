package edge

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/integration/harness"
)

// The bounds of one client, each of them hit.

// closes expects the end of a connection, with this code and a reason.
func (r *running) closes(c *harness.Client, code protocol.Close) {
	r.t.Helper()
	got, reason, err := c.Closed(context.WithoutCancel(r.t.Context()))
	if got != code.Number() || reason == "" || err != nil {
		r.t.Errorf("closed with %d %q, %v, want %s", got, reason, err, code)
	}
}

// TestRequestsFull: as many requests of a client as may wait for an answer.
func TestRequestsFull(t *testing.T) {
	r := run(t, func(*Config) {})
	c, other := r.dial(harness.DialOptions{}), r.dial(harness.DialOptions{})
	subject, err := bus.ServiceSubject("busy")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan *nats.Msg, 2*maxRequestsPerClient)
	if _, err := r.nc.ChanSubscribe(subject, asked); err != nil {
		t.Fatal(err)
	}
	question := func() harness.Object { return harness.Object{"to": "busy:[GET]/", "bdy": 1} }
	for range maxRequestsPerClient {
		r.send(c, question())
	}
	r.moves(`hydrant_requests_total{result="refused"}`, func() { r.refuses(c, protocol.CodeOverload, question()) })
	r.serves(c)
	r.send(other, question()) // is asked
	answered := 0
	r.moves(`hydrant_requests_total{result="answered"}`, func() {
		for range maxRequestsPerClient + 1 {
			if err := (<-asked).Respond([]byte(`"answer"`)); err != nil {
				t.Fatal(err)
			}
		}
	})
	for ; answered < maxRequestsPerClient; answered++ {
		if m, err := c.Next(context.WithoutCancel(t.Context())); err != nil || m.Body() != `"\"answer\""` {
			t.Fatalf("answer %d is %s, %v", answered, m.Raw, err)
		}
	}
	if m, err := other.Next(context.WithoutCancel(t.Context())); err != nil || m.Rmid() == "" {
		t.Errorf("the other client's answer is %s, %v", m.Raw, err)
	}
}

// TestLoopRequestsFull: as many requests of all clients of a loop as may wait for
// an answer.
func TestLoopRequestsFull(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, elsewhere := r.crowd(1)
	subject, err := bus.ServiceSubject("busy")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan *nats.Msg, maxRequests+2)
	if _, err := r.nc.ChanSubscribe(subject, asked); err != nil {
		t.Fatal(err)
	}
	r.onLoop(w, func() { // a crowd of clients, each with one
		for i := range maxRequests {
			if !w.ask(&client{w: w}, subject, nil, []byte("1"), nil, func(*nats.Msg) {}) {
				t.Errorf("refused after %d", i)
				return
			}
		}
	})
	question := func() harness.Object { return harness.Object{"to": "busy:[GET]/", "bdy": 1} }
	r.moves(`hydrant_requests_total{result="refused"}`, func() { r.refuses(here[0], protocol.CodeOverload, question()) })
	r.serves(here[0])
	answers := func(c *harness.Client) {
		t.Helper()
		r.moves(`hydrant_requests_total{result="answered"}`, func() {
			r.send(c, question())
			for {
				m := <-asked
				if string(m.Data) == "1" {
					continue // of the crowd
				}
				if err := m.Respond([]byte(`"answer"`)); err != nil {
					t.Fatal(err)
				}
				return
			}
		})
		if m, err := c.Next(context.WithoutCancel(t.Context())); err != nil || m.Body() != `"\"answer\""` {
			t.Errorf("answered with %s, %v", m.Raw, err)
		}
	}
	answers(elsewhere)
	r.onLoop(w, func() { w.finish(w.requests.last, nil, stats.RequestTimeout) })
	answers(here[0]) // there is room again
}

// TestOpenTimeout: a session that cannot be opened in time.
func TestOpenTimeout(t *testing.T) {
	r := run(t, func(cfg *Config) { cfg.HandshakeTimeout = 100 * time.Millisecond })
	r.network.Set(harness.Weather{Blackhole: true})
	defer r.network.Set(harness.Weather{})
	r.moves(`hydrant_dropped_total{reason="open_timeout"}`, func() {
		r.until(func() error { // the upgrade before it has no more time
			_, err := harness.Dial(t.Context(), r.url, harness.DialOptions{})
			if code, reason := harness.CloseCode(err); code != protocol.CloseOverload.Number() {
				return fmt.Errorf("closed with %d %s", code, reason)
			}
			return nil
		})
	})
}

// TestAnswersNotRead: a client that asks and does not read what it is told.
func TestAnswersNotRead(t *testing.T) {
	r := run(t, func(*Config) {})
	deaf, other := r.dial(harness.DialOptions{Manual: true, ReadBytes: 4096}), r.dial(harness.DialOptions{})
	long := strings.Repeat("x", 200<<10) // comes back in the answer
	// No longer than that: what it sends when its close frame is due is read for
	// CloseTimeout only.
	r.until(func() error {
		if r.metric(`hydrant_dropped_total{reason="slow"}`) > 0 {
			return nil
		}
		if err := deaf.Send(harness.Object{"to": "hydra-router:/", "frm": deaf.Address(), "mid": "m", "typ": "wsdir.loc", "bdy": harness.Object{"clientID": long}}); err != nil {
			return err
		}
		return errNotYet
	})
	r.closes(deaf, protocol.CloseSlow)
	r.serves(other)
}

// TestAskingBehindLargeMessages: a client that is busy with messages larger than
// the bound of its queue may ask meanwhile, and is answered. Nor does it matter
// that word of room was kept until there was none.
func TestAskingBehindLargeMessages(t *testing.T) {
	r := run(t, func(*Config) {})
	const messages = 12
	clients := make([]*harness.Client, 6)
	for i := range clients { // what stays in the queue is a matter of luck
		clients[i] = r.dial(harness.DialOptions{Manual: true, ReadBytes: 4096})
		r.store(clients[i].ID, 0, messages, 500<<10+i*80<<10)
	}
	r.until(func() error {
		if n := r.metric(`hydrant_sessions{state="behind"}`); n < float64(len(clients)) {
			return fmt.Errorf("%v sessions are behind", n)
		}
		return nil
	})
	for _, c := range clients {
		w := r.owner(c)
		w.post(func() { r.Writable(w.attachments[c.ID].client.conn) })
		r.send(c, harness.Object{"to": "hydra-router:/", "mid": "asked", "typ": "ping", "bdy": 1})
	}
	for _, c := range clients {
		for stored, answered := 0, false; stored < messages || !answered; {
			m, err := c.Next(context.WithoutCancel(t.Context()))
			switch {
			case err != nil:
				t.Fatal(err)
			case m.Rmid() == "asked":
				answered = true
			case m.Mid() == fmt.Sprint("stored-", stored):
				stored++
			default:
				t.Fatalf("%.200s comes", m.Raw)
			}
		}
	}
}

// TestPushesNotRead: at-most-once pushes to a client that does not read. What is
// in its mailbox waits.
func TestPushesNotRead(t *testing.T) {
	r := run(t, func(*Config) {})
	deaf, other := r.dial(harness.DialOptions{Manual: true, ReadBytes: 4096}), r.dial(harness.DialOptions{})
	live, err := bus.LiveSubject(deaf.ID)
	if err != nil {
		t.Fatal(err)
	}
	push := []byte(`{"to":"` + deaf.Address() + `","frm":"test:/","mid":"pushed","bdy":"` + strings.Repeat("x", 200<<10) + `"}`)
	r.moves(`hydrant_dropped_total{reason="push_slow"}`, func() {
		for range 100 {
			if err := r.nc.Publish(live, push); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.store(deaf.ID, 0, 3, 1)
	r.serves(other)
	for i := range 3 {
		m, err := deaf.Find(context.WithoutCancel(t.Context()), func(m harness.Message) bool { return m.Mid() != "pushed" })
		if want := fmt.Sprint("stored-", i); err != nil || m.Mid() != want {
			t.Fatalf("%.200s comes where %s is next, %v", m.Raw, want, err)
		}
	}
}
