package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The pause keeps what the node says, and begins anew after a connection that lasted.
func TestPauses(t *testing.T) {
	times := func(o *Options) { o.MinPause, o.MaxPause = 100*time.Millisecond, time.Second }
	play(t, nil, times, func(n *fakeNode, c *Client) {
		bounds := make(map[time.Duration]bool)
		for range 8 {
			c.mu.Lock()
			bounds[c.bound()] = true
			c.mu.Unlock()
			n.last().end(1006, "")
			before, began := n.count(), time.Now()
			for n.count() == before {
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
			if took := time.Since(began); took > time.Second+time.Millisecond {
				t.Errorf("a pause of %v", took)
			}
		}
		for _, d := range []time.Duration{100, 200, 400, 800, 1000} {
			expect(t, fmt.Sprint("a bound of ", d, " ms"), bounds[d*time.Millisecond], true)
		}
		n.last().welcome(t, object{"resumed": true})
		n.last().end(1012, "retry after 3000 ms retry=5000")
		before := n.count()
		time.Sleep(4999 * time.Millisecond)
		synctest.Wait()
		expect(t, "too early", n.count(), before)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		expect(t, "in time", n.count(), before+1)
		n.last().welcome(t, object{"resumed": true})
		time.Sleep(1001 * time.Millisecond)
		n.last().end(1006, "")
		c.mu.Lock()
		expect(t, "after one that lasted", c.bound(), 200*time.Millisecond)
		c.mu.Unlock()
	})
}

// The end of a client is told by everything that it does from then on.
func TestEnds(t *testing.T) {
	for _, code := range []int{4500, 4501, 4599, 4401} {
		play(t, nil, nil, func(n *fakeNode, c *Client) {
			n.last().end(code, "another connection has the session")
			synctest.Wait()
			_, err := c.Receive(n.t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Code != fmt.Sprint(code) || e.Text != "another connection has the session" {
				t.Error(err)
			}
			expect(t, "send", send(c, Message{To: "svc:/"}).is(), fmt.Sprint(code))
			time.Sleep(time.Minute)
			expect(t, "connections", n.count(), 1)
		})
	}
	for _, code := range []int{1000, 1001, 1006, 1008, 1013, 4408, 4409, 4600} {
		play(t, nil, nil, func(n *fakeNode, c *Client) {
			n.last().end(code, "")
			n.again(object{"resumed": true})
		})
	}
}

// Dial tells what kept it from a session.
func TestDialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		o := n.options()
		o.Timeout = time.Second
		mute := n.dial(o) // nobody greets
		time.Sleep(time.Second)
		synctest.Wait()
		mute.close()
		if mute.err == nil || !strings.Contains(mute.err.Error(), "no welcome") {
			t.Error(mute.err)
		}
		stopped := n.dial(o)
		stopped.close()
		if !errors.Is(stopped.err, context.Canceled) {
			t.Error(stopped.err)
		}
		o.Token = func(context.Context, Why) (string, error) { return "", errors.New("no idea") }
		if d := n.dial(o); d.err == nil || !strings.Contains(d.err.Error(), "no idea") {
			t.Error(d.err)
		}
		o = n.options()
		before := n.count()
		o.URLs = []string{"ws://one", "ws://two"} // each once
		d := n.dial(o)
		n.last().say(t, message(1, nil))
		n.last().welcome(t, nil)
		d.client(false)
		expect(t, "connections", n.count(), before+2)
		d.close()
		d = n.dial(n.options())
		n.last().end(1013, "draining")
		<-d.done
		expect(t, "closed", fmt.Sprint(d.err), "the node closed the connection: 1013 draining")
		if _, err := Dial(t.Context(), Options{}); err == nil {
			t.Error("without a URL")
		}
	})
}

// What a node says over HTTP is told, and kept.
func TestDialIsRefused(t *testing.T) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "no room", http.StatusServiceUnavailable)
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	_, err = Dial(t.Context(), Options{URLs: []string{"ws://" + listener.Addr().String()}})
	if err == nil || !strings.HasSuffix(err.Error(), "refuses: 503 Service Unavailable: no room") || hinted("", err) != 7*time.Second {
		t.Error(err)
	}
	_, err = Dial(t.Context(), Options{URLs: []string{"ws://127.0.0.1:1"}})
	if err == nil || !strings.HasPrefix(err.Error(), "no node at ws://127.0.0.1:1: ") {
		t.Error(err)
	}
}

// Each Dial with a session that was kept has a higher number than all connections before
// it, also those of which the program was not told.
func TestDialAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		o := n.options()
		o.Resume, o.Timeout = Session{ID: "S1", Token: "T1", Attempt: 4, Handled: 9}, time.Second
		o.URLs = []string{"ws://one", "ws://two", "ws://three"}
		var last uint64
		for range 3 {
			d := n.dial(o) // nobody greets
			for range o.URLs {
				synctest.Wait()
				offer := n.last().offer
				number := strings.Split(offer[len(offer)-1], ".")[4]
				attempt, err := strconv.ParseUint(number, 10, 64)
				if err != nil || attempt <= last {
					t.Errorf("connection %d after %d: %v", attempt, last, err)
				}
				last = attempt
				time.Sleep(time.Second)
			}
			<-d.done
			d.close()
		}
	})
}

// A session of another process is gone on with.
func TestResumeOption(t *testing.T) {
	const now, later = 946_684_800_000, 1 << 50 // the clock of these tests, and what is after it
	for given, attempt := range map[Session]uint64{
		{ID: "S1", Token: "T1", Attempt: 4, Handled: 9}: now + 1,
		{ID: "S1", Token: "T1", Attempt: later}:         later + 1,
		{ID: "S1", Token: "T1"}:                         now + 1,
		{ID: "S1", Attempt: 4}:                          now + 1,
	} {
		offer := ""
		if given.Token != "" {
			offer = fmt.Sprint("umf.resume.S1.T1.", attempt)
		}
		if given.Handled != 0 {
			offer += ".9"
		}
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t)
			o := n.options()
			o.Resume = given
			d := n.dial(o)
			defer d.close()
			p := n.last()
			expect(t, "offer", p.offer[len(p.offer)-1], offer)
			if offer == "" {
				p.welcome(t, object{"id": "S2", "token": "T2", "caps": nil})
				expect(t, "asks", string(p.sent[0].Body), fmt.Sprintf(`{"id":"S1","attempt":%d}`, attempt))
				p.welcome(t, object{"resumed": true, "token": nil, "caps": nil})
				d.client(true)
				p.end(1006, "")
				expect(t, "comes back alike", strings.Join(n.again(nil).offer, " "), "")
				return
			}
			p.welcome(t, object{"resumed": true, "token": nil})
			c := d.client(true)
			p.say(t, message(9, nil))
			p.say(t, message(10, nil))
			if is := c.Session(); !is.Resumed || is.ID != "S1" || is.Token != given.Token || is.Attempt != attempt {
				t.Errorf("%+v", is)
			}
			if given.Handled == 9 {
				expect(t, "got", n.bodies(), `{"n":10}`)
			}
			expect(t, "handled", c.Session().Handled, uint64(10))
		})
	}
}

// A token is asked for once more when it is refused, and again after it was let in.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		o := n.options()
		var asked []Why
		o.Token = func(_ context.Context, why Why) (string, error) {
			asked = append(asked, why)
			return fmt.Sprint("t", len(asked)), nil
		}
		d := n.dial(o)
		defer d.close()
		n.last().end(4401, "authentication failed")
		p := n.again(nil)
		expect(t, "offer", strings.Join(p.offer, " "), "umf.ack.v1 umf.auth.t2")
		p.welcome(t, nil)
		d.client(true)
		p.end(1006, "")
		n.again(object{"resumed": true}).end(4401, "token expired")
		n.again(nil).end(4401, "authentication failed")
		synctest.Wait()
		expect(t, "asked", fmt.Sprint(asked), "[first refused refused]")
		expect(t, "ended", send(d.c, Message{To: "svc:/"}).is(), "4401")
	})
}

// Close leaves nothing, whatever is under way, and confirms what was handled.
func TestCloseLeavesNothing(t *testing.T) {
	hold(t, object{"exp": time.Now().Add(time.Hour).UnixMilli()}, func(n *fakeNode, c *Client, next func() *Delivery) {
		p := n.last()
		said, asked := send(c, Message{To: "S2@client:/", Body: 1}), request(n.t.Context(), c, Message{To: "svc:/"})
		p.say(t, message(1, nil))
		p.say(t, message(2, nil))
		next().Done()
		waits := make(chan error)
		d := next()
		go func() {
			_, err := c.Receive(n.t.Context())
			waits <- err
		}()
		synctest.Wait()
		c.Close()
		c.Close()
		if err := <-waits; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		synctest.Wait()
		expect(t, "outcomes", said.is()+" "+asked.is(), "unknown unknown")
		expect(t, "confirmed", strings.Join(p.acks, " "), "1")
		expect(t, "left", p.left, true)
		d.Done()
		expect(t, "handled", c.Session().Handled, uint64(2))
	})
}

// Silence of a node that does not even read ends a Close.
func TestCloseBesideAFrozenNode(t *testing.T) {
	play(t, nil, nil, func(n *fakeNode, c *Client) {
		p := n.last()
		p.mu.Lock()
		p.deaf = make(chan struct{})
		p.mu.Unlock()
		defer close(p.deaf)
		for range 3 {
			send(c, Message{To: "svc:/", Body: strings.Repeat("x", 1<<14)})
		}
		began := time.Now()
		c.Close()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
