//go:build haproxy || docker

package deploy

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
	"hydrant/integration/chaos/check"
	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// load is clients of each class that get messages and come back whenever
// their socket ends, and the publishers of these messages.
type load struct {
	// Immutable after startLoad.
	url     string
	publish func(ctx context.Context, sid, mid string) (seq uint64, err error)
	text    *bytes.Buffer
	history *history.Writer
	clients []*loadClient
	stop    context.CancelFunc // of the publishers
	quit    context.CancelFunc // of the clients
	senders sync.WaitGroup
	readers sync.WaitGroup

	// Guarded by mu.
	mu    sync.Mutex
	conns int
}

// loadClient is one session.
type loadClient struct {
	load  *load
	class string

	// Immutable after the first connection.
	sid, token string

	// Guarded by mu.
	mu     sync.Mutex
	last   uint64          // x-seq of the last message
	stored map[string]bool // mids that the store acknowledged
	got    map[string]bool
}

// pace is the time between two messages to one session.
const pace = 25 * time.Millisecond

// startLoad connects n clients to url and begins to send.
func startLoad(ctx context.Context, t *testing.T, url string, n int, publish func(ctx context.Context, sid, mid string) (uint64, error)) *load {
	t.Helper()
	l := &load{url: url, publish: publish, text: &bytes.Buffer{}}
	l.history = history.NewWriter(l.text)
	l.history.Add(history.Event{Kind: history.Start, Seed: harness.Seed()})
	sending, stop := context.WithCancel(ctx)
	reading, quit := context.WithCancel(ctx)
	l.stop, l.quit = stop, quit
	for i := range n {
		class := []string{history.Plain, history.Acked, history.Managed}[i%3]
		c := &loadClient{load: l, class: class, stored: make(map[string]bool), got: make(map[string]bool)}
		if err := c.begin(ctx, reading); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		l.clients = append(l.clients, c)
	}
	for i, c := range l.clients {
		l.senders.Go(func() { c.send(sending, i) })
	}
	return l
}

// publishTo stores over a connection to NATS. A publish that a dying server
// did not answer is tried again with the same id, so it is stored once.
func publishTo(js jetstream.JetStream) func(ctx context.Context, sid, mid string) (uint64, error) {
	return func(ctx context.Context, sid, mid string) (uint64, error) {
		subject := scheme.MailboxSubject(scheme.SID(sid))
		body := fmt.Sprintf(`{"to":"%s@client:/","frm":"load:/","mid":"%s","bdy":{"for":"%s"}}`, sid, mid, sid)
		for {
			attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
			ack, err := js.Publish(attempt, subject, []byte(body), jetstream.WithMsgID(sid+":"+mid))
			cancel()
			if err == nil {
				return ack.Sequence, nil
			}
			if ctx.Err() != nil {
				return 0, err
			}
		}
	}
}

func (l *load) conn() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns++
	return l.conns
}

// begin connects, and reads until reading ends.
func (c *loadClient) begin(ctx, reading context.Context) error {
	if c.class == history.Managed {
		return c.beginProgram(ctx, reading)
	}
	socket, err := harness.Dial(ctx, c.load.url, harness.DialOptions{Acked: c.class == history.Acked})
	if err != nil {
		return err
	}
	c.sid, c.token = socket.ID, socket.Token
	conn := c.load.conn()
	c.load.history.Add(history.Event{Kind: history.Open, Conn: conn, SID: c.sid, Class: c.class})
	c.load.readers.Go(func() { c.run(reading, conn, socket) })
	return nil
}

// send publishes at its pace until ctx ends; what has begun is finished.
func (c *loadClient) send(ctx context.Context, i int) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		mid := fmt.Sprintf("load-%d-%d", i, n)
		c.load.history.Add(history.Event{Kind: history.Send, Mid: mid, SID: c.sid, Source: history.ByNATS})
		patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), harness.Patience)
		seq, err := c.load.publish(patient, c.sid, mid)
		cancel()
		if err != nil {
			c.load.history.Add(history.Event{Kind: history.Failed, Mid: mid, Why: err.Error()})
			continue
		}
		c.load.history.Add(history.Event{Kind: history.Stored, Mid: mid, SID: c.sid, Seq: seq})
		c.mu.Lock()
		c.stored[mid] = true
		c.mu.Unlock()
	}
}

// run reads until ctx ends, over as many sockets as it takes.
func (c *loadClient) run(ctx context.Context, conn int, socket *harness.Client) {
	for {
		c.read(ctx, conn, socket)
		code, why := 0, ""
		if ctx.Err() == nil {
			code, why, _ = socket.Closed(ctx)
		}
		socket.Drop()
		c.load.history.Add(history.Event{Kind: history.Close, Conn: conn, Code: code, Why: why})
		if socket, conn = c.back(ctx); socket == nil {
			return
		}
	}
}

// read takes messages until the socket or ctx ends.
func (c *loadClient) read(ctx context.Context, conn int, socket *harness.Client) {
	for {
		m, err := socket.Next(ctx)
		if err != nil {
			if ctx.Err() == nil && socket.Alive() {
				continue // nothing came for a while
			}
			return
		}
		e := history.Event{Conn: conn, SID: c.sid, Mid: m.Mid(), Seq: m.Seq(), Prev: m.Prev()}
		switch {
		case m.Type() == "gap":
			e.Kind, e.Mid = history.Gap, ""
			e.From, e.To = number(m.At("bdy", "from")), number(m.At("bdy", "to"))
			e.Why, _ = m.At("bdy", "why").(string)
		case strings.HasPrefix(m.Mid(), "load-"):
			e.Kind = history.Receive
			e.For, _ = m.At("bdy", "for").(string)
		default:
			continue
		}
		c.load.history.Add(e)
		c.mu.Lock()
		c.got[m.Mid()] = true
		c.last = max(c.last, m.Seq())
		c.mu.Unlock()
		if c.class == history.Acked && socket.Ack(m.Seq()) != nil {
			return
		}
	}
}

func number(v any) uint64 {
	n, _ := strconv.ParseUint(fmt.Sprint(v), 10, 64)
	return n
}

// back connects again, as often as it takes, and takes the session back; nil
// when ctx has ended.
func (c *loadClient) back(ctx context.Context) (socket *harness.Client, conn int) {
	err := harness.Until(ctx, func() error {
		var err error
		socket, conn, err = c.resume(ctx)
		return err
	})
	if err != nil {
		return nil, 0
	}
	return socket, conn
}

// resume tries once.
func (c *loadClient) resume(ctx context.Context) (*harness.Client, int, error) {
	socket, err := harness.Dial(ctx, c.load.url, harness.DialOptions{Acked: c.class == history.Acked})
	if err != nil {
		return nil, 0, err
	}
	conn := c.load.conn()
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	body := harness.Object{"id": c.sid, "token": c.token}
	if c.class == history.Acked {
		body["seq"] = strconv.FormatUint(last, 10)
	}
	c.load.history.Add(history.Event{Kind: history.Resuming, Conn: conn, SID: c.sid, Class: c.class, Seq: last})
	answer, err := socket.Resume(ctx, "reconnect", body)
	if err == nil {
		if resumed, _ := answer.At("bdy", "resumed").(bool); resumed {
			c.load.history.Add(history.Event{Kind: history.Resumed, Conn: conn, SID: c.sid, Class: c.class})
			return socket, conn, nil
		}
		why, _ := answer.At("bdy", "why").(string)
		c.load.history.Add(history.Event{Kind: history.Denied, Conn: conn, SID: c.sid, Why: why})
		err = fmt.Errorf("session %s was not given back: %s", c.sid, why)
	}
	socket.Drop()
	c.load.history.Add(history.Event{Kind: history.Close, Conn: conn})
	return nil, 0, err
}

// missing says what this client still waits for.
func (c *loadClient) missing() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	count, one := 0, ""
	for mid := range c.stored {
		if !c.got[mid] {
			count, one = count+1, mid
		}
	}
	if count > 0 {
		return fmt.Errorf("%d messages have not come, among them %s", count, one)
	}
	return nil
}

// advance returns when every client has got n more messages than it has now.
func (l *load) advance(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	patient, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	goals := make([]int, len(l.clients))
	for i, c := range l.clients {
		goals[i] = c.count() + n
	}
	for i, c := range l.clients {
		if err := harness.Until(patient, func() error {
			if have := c.count(); have < goals[i] {
				return fmt.Errorf("session %s has %d of %d messages", c.sid, have, goals[i])
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *loadClient) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

// finish stops the senders, waits until everything has come, and judges.
func (l *load) finish(ctx context.Context, t *testing.T) *check.Report {
	t.Helper()
	l.stop()
	l.senders.Wait()
	patient, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	drained := true
	for _, c := range l.clients {
		if err := harness.Until(patient, c.missing); err != nil {
			drained = false
			l.history.Add(history.Event{Kind: history.Stuck, SID: c.sid, Why: err.Error()})
		}
	}
	if drained {
		l.history.Add(history.Event{Kind: history.Drained})
	}
	l.quit()
	l.readers.Wait()
	l.history.Add(history.Event{Kind: history.End})
	if err := l.history.Flush(); err != nil {
		t.Fatal(err)
	}
	report, err := check.History(l.text)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	for _, v := range report.Violations {
		t.Error(v)
	}
	if report.Delivered == 0 || report.Resumes == 0 {
		t.Error("nothing was delivered, or nobody came back: the run shows nothing")
	}
	return report
}

// connectNATS is a publisher's connection, which outlives servers.
func connectNATS(t *testing.T, url string, options ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := harness.ConnectNATS(url, append([]nats.Option{nats.ReconnectWait(100 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
