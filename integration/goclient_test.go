package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"hydrant/edge/client"
	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// outcomes are what became of the messages that a client was given.
type outcomes struct {
	calls sync.WaitGroup

	mu     sync.Mutex
	said   map[int]error
	failed []error // of requests
}

// C23: a program's node is killed, four times, under what comes for it, what it asks and
// what it sends: what comes arrives once and in order, and each message has one outcome,
// which is true.
func TestClientInGoSurvivesKills(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	nodes := []*harness.Node{w.Start(t, "a", nil), w.Start(t, "b", nil)}
	service := w.EchoService(t)
	urls := []string{nodes[0].URL("/"), nodes[1].URL("/")}
	other := goClient(t, client.Options{URLs: urls})
	away := other.Session() // what is sent to it waits
	other.Close()
	resumed := make(chan client.Session, 64)
	c := goClient(t, client.Options{URLs: urls, OnSession: func(s client.Session) { resumed <- s }})
	sid := (<-resumed).ID
	const rounds, pushes, says = 4, 100, 10
	got := received(t, c, (rounds+1)*pushes)
	o := &outcomes{said: make(map[int]error)}
	for round := range rounds + 1 {
		for i := range says {
			o.say(t, c, away.ID, round*says+i)
			o.ask(t, c, service)
		}
		for i := range pushes {
			if i == pushes/2 && round < rounds {
				nodes[round%2].Kill()
			}
			n := round*pushes + i
			w.Push(t, sid, object{"to": sid + "@client:/", "frm": "pusher:/", "mid": fmt.Sprint("push-", n), "bdy": object{"n": n}})
		}
		if round < rounds {
			if s := await(t, resumed); !s.Resumed || s.ID != sid {
				t.Fatalf("%+v", s)
			}
			if err := nodes[round%2].Start(); err != nil {
				t.Fatal(err)
			}
			if err := nodes[round%2].WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, n := range await(t, got) {
		if i != n {
			t.Fatalf("push %d is %d", i, n)
		}
	}
	o.calls.Wait()
	for _, err := range o.failed {
		t.Errorf("a request: %v", err)
	}
	o.check(t, goClient(t, client.Options{URLs: urls, Resume: away}), rounds*says+says)
}

// goClient connects as a program does that means to get in.
func goClient(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	var c *client.Client
	if err := harness.Until(world.Patient(t), func() (err error) {
		c, err = client.Dial(t.Context(), o)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// received sends the numbers of so many deliveries, in their order.
func received(t *testing.T, c *client.Client, count int) <-chan []int {
	all := make(chan []int, 1)
	go func() {
		var numbers []int
		for len(numbers) < count {
			d, err := c.Receive(t.Context())
			if err != nil {
				break
			}
			var body struct{ N int }
			if d.Gap != nil || json.Unmarshal(d.Body, &body) != nil {
				body.N = -1
			}
			numbers = append(numbers, body.N)
			d.Done()
		}
		all <- numbers
	}()
	return all
}

func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-world.Patient(t).Done():
		t.Fatal("waited in vain")
	}
	return v
}

func (o *outcomes) say(t *testing.T, c *client.Client, sid string, n int) {
	o.calls.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		err := c.Send(ctx, client.Message{To: sid + "@client:/", Body: map[string]int{"say": n}})
		o.mu.Lock()
		defer o.mu.Unlock()
		o.said[n] = err
	})
}

func (o *outcomes) ask(t *testing.T, c *client.Client, service string) {
	o.calls.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		answer, err := c.Request(ctx, client.Message{To: service + ":[GET]/x", Body: "ask"})
		if err == nil && string(answer.Body) == `"ask"` {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.failed = append(o.failed, err)
	})
}

// check reads what was stored, and compares it with what was told.
func (o *outcomes) check(t *testing.T, other *client.Client, count int) {
	t.Helper()
	if err := other.Send(t.Context(), client.Message{To: other.Session().ID + "@client:/", Body: map[string]int{"say": count}}); err != nil {
		t.Fatal(err)
	}
	stored := make(map[int]int)
	for stored[count] == 0 {
		d, err := other.Receive(world.Patient(t))
		if err != nil {
			t.Fatal(err)
		}
		var body struct{ Say int }
		if err := json.Unmarshal(d.Body, &body); err != nil {
			t.Fatal(err)
		}
		stored[body.Say]++
		d.Done()
	}
	for n, err := range o.said {
		if accepted := err == nil; accepted && stored[n] != 1 || !accepted && (!errors.Is(err, client.ErrUnknown) || stored[n] > 1) {
			t.Errorf("message %d is there %d times: %v", n, stored[n], err)
		}
	}
	if len(o.said) != count {
		t.Errorf("%d of %d messages have an outcome", len(o.said), count)
	}
}
