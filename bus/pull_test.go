package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// asked is a question that a puller has asked.
type asked struct {
	reply string
	Batch int
	Hb    time.Duration `json:"idle_heartbeat"`
}

// consumer stands for a consumer: the test answers its questions.
type consumer struct {
	t        *testing.T
	nc       *nats.Conn
	asked    chan asked
	troubles chan error
	p        *puller
	stored   int
}

func newConsumer(t *testing.T, room int) *consumer {
	t.Helper()
	url := natstest.StartServer(t, server.Options{}).ClientURL()
	c := &consumer{t: t, nc: connect(t, url), asked: make(chan asked, 1000), troubles: make(chan error, 1000)}
	if _, err := c.nc.Subscribe("$JS.API.CONSUMER.MSG.NEXT.S.C", func(m *nats.Msg) {
		q := asked{reply: m.Reply}
		if err := json.Unmarshal(m.Data, &q); err != nil {
			t.Error(err)
		}
		c.asked <- q
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.p, err = newPuller(connect(t, url), scheme.APIPrefix+"CONSUMER.MSG.NEXT.S.C", room, func(err error) { c.troubles <- err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.p.stop()
		<-c.p.Closed()
	})
	return c
}

// question waits for the next one.
func (c *consumer) question(batch int) asked {
	c.t.Helper()
	select {
	case q := <-c.asked:
		if q.Batch != batch || q.Hb != pullHeartbeat {
			c.t.Fatalf("asked for %d messages with a heartbeat of %v, want %d", q.Batch, q.Hb, batch)
		}
		return q
	case <-natstest.Context(c.t).Done():
		c.t.Fatal("nothing is asked")
		return asked{}
	}
}

// says answers a question with a status.
func (c *consumer) says(q asked, status, description string, pending int) {
	c.t.Helper()
	m := nats.NewMsg(q.reply)
	m.Header.Set("Status", status)
	m.Header.Set("Description", description)
	if pending > 0 {
		m.Header.Set("Nats-Pending-Messages", fmt.Sprint(pending))
	}
	if err := c.nc.PublishMsg(m); err != nil {
		c.t.Fatal(err)
	}
}

// sends answers it with messages.
func (c *consumer) sends(q asked, n int) {
	c.t.Helper()
	for range n {
		c.stored++
		if err := c.nc.PublishMsg(&nats.Msg{Subject: q.reply, Data: fmt.Append(nil, c.stored)}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// takes takes the next message.
func (c *consumer) takes(want int) {
	c.t.Helper()
	select {
	case m := <-c.p.msgs:
		if string(m.Data) != fmt.Sprint(want) {
			c.t.Fatalf("got %s, want %d", m.Data, want)
		}
		c.p.took()
	case <-natstest.Context(c.t).Done():
		c.t.Fatal("no message comes")
	}
}

// TestPullLost: a question that nobody knows of any more is asked again after two
// heartbeats, and one that the server knows of is not.
func TestPullLost(t *testing.T) {
	t.Parallel() // it waits for heartbeats
	c := newConsumer(t, 4)
	q := c.question(4)
	beats := time.NewTicker(pullHeartbeat / 4)
	defer beats.Stop()
	for end := time.Now().Add(4 * pullHeartbeat); time.Now().Before(end); <-beats.C {
		c.says(q, "100", "Idle Heartbeat", 0)
	}
	if len(c.asked) > 0 {
		t.Error("asked again although the server knows of it")
	}
	q = c.question(4) // silence
	if err := <-c.troubles; !errors.Is(err, errNoHeartbeat) {
		t.Errorf("told %v", err)
	}
	c.sends(q, 1)
	c.takes(1)
	if err := <-c.troubles; err != nil {
		t.Errorf("not told that it is over, but %v", err)
	}
}

// TestPullRefused: where there is no leader, no consumer, or nothing that answers, it
// is asked again; an end that is as it should be is no trouble.
func TestPullRefused(t *testing.T) {
	t.Parallel() // it waits before it asks again
	c := newConsumer(t, 4)
	c.says(c.question(4), "409", "Leadership Change", 4)
	if err := <-c.troubles; !errors.Is(err, ErrUnavailable) {
		t.Errorf("told %v", err)
	}
	c.says(c.question(4), "503", "", 0)
	<-c.troubles
	q := c.question(4)
	c.sends(q, 1)
	<-c.troubles // it is over
	c.says(q, "408", "Request Timeout", 3)
	c.question(3)
	c.takes(1)
	if len(c.troubles) > 0 {
		t.Errorf("told %v", <-c.troubles)
	}
}

// TestPullAhead: never more is asked for than there is room, however long what was
// taken is not worked on, and room is filled when half of it is free.
func TestPullAhead(t *testing.T) {
	t.Parallel() // it waits for heartbeats that do not come
	c := newConsumer(t, 4)
	c.sends(c.question(4), 4)
	natstest.WaitFor(t, func() bool { return len(c.p.msgs) == 4 })
	time.Sleep(3 * pullHeartbeat) // the handlers are busy
	if len(c.asked)+len(c.troubles) > 0 {
		t.Fatal("asked for more than there is room for")
	}
	c.takes(1)
	if len(c.asked) > 0 {
		t.Error("asked for one message")
	}
	c.takes(2)
	c.question(2)
	c.p.drain()
	c.takes(3)
	c.takes(4)
	<-c.p.Closed()
	if len(c.asked) > 0 {
		t.Error("asked after the end")
	}
}
