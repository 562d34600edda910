package wire

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPost: every posted function runs once, in order for each poster, however the
// loop sleeps and wakes.
func TestPost(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Inbox = 64
		s := serve(t, o, newRecorder(t), nil)
		l := s.Loops()[1]
		const posters, n = 6, 2000
		var next [posters]int // by the loop
		var wg sync.WaitGroup
		for p := range posters {
			wg.Go(func() {
				for i := range n {
					f := func() {
						if next[p] != i {
							t.Errorf("poster %d: %d ran, want %d", p, i, next[p])
						}
						next[p]++
					}
					if i%2 == 0 && l.Post(f) {
						continue
					}
					if err := l.PostWait(context.Background(), f); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		done := make(chan struct{})
		for !l.Post(func() { close(done) }) {
			time.Sleep(time.Millisecond)
		}
		receive(t, done, "the loop sleeps")
		for p, got := range next {
			if got != n {
				t.Errorf("poster %d: %d ran", p, got)
			}
		}
	})
}

// TestInboxFull: a full inbox refuses a task or makes its poster wait, and never
// grows.
func TestInboxFull(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Inbox = 8
		s := serve(t, o, newRecorder(t), nil)
		l := s.Loops()[0]
		entered, leave := make(chan struct{}), make(chan struct{})
		l.Post(func() { close(entered); <-leave })
		<-entered
		for i := range 8 {
			if !l.Post(func() {}) {
				t.Fatalf("full at %d", i)
			}
		}
		if l.Post(func() {}) {
			t.Error("over the bound")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := l.PostWait(ctx, func() {}); !errors.Is(err, context.Canceled) {
			t.Errorf("PostWait: %v", err)
		}
		waited := make(chan error, 1)
		go func() { waited <- l.PostWait(context.Background(), func() {}) }()
		close(leave)
		if err := receive(t, waited, "no room"); err != nil {
			t.Error(err)
		}
	})
}

// TestConnectWhileFull: new clients wait outside while a loop has no room for them,
// and none is turned away.
func TestConnectWhileFull(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Inbox = 8
		s := serve(t, o, newRecorder(t), nil)
		l := s.Loops()[0]
		entered, leave := make(chan struct{}), make(chan struct{})
		l.Post(func() { close(entered); <-leave })
		<-entered
		ran := 0 // by the loop
		for l.Post(func() { ran++ }) {
		}
		full := s.Stats().InboxFull
		var coming []*peer
		for range 2 * len(s.Loops()) {
			coming = append(coming, dialRaw(t, s))
		}
		eventually(t, "a client that meets the bound", func() bool { return s.Stats().InboxFull > full })
		close(leave)
		for _, p := range coming {
			p.send([]byte(upgradeRequest()))
			p.wantUpgraded()
		}
		done := make(chan int, 1)
		if err := l.PostWait(context.Background(), func() { done <- ran }); err != nil {
			t.Fatal(err)
		}
		if ran := receive(t, done, "the loop does not run"); ran != o.Inbox {
			t.Errorf("%d of what waited have run", ran)
		}
	})
}

// TestFlush: Flush ends each iteration in which something ran, before the writes.
func TestFlush(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Loops = 1
		h := newRecorder(t)
		var c *Conn // by the loop
		var pending atomic.Int32
		h.open = func(conn *Conn) { c = conn }
		h.message = func(*Conn, bool, []byte) { pending.Add(1) }
		h.flush = func(*Loop) {
			if n := pending.Swap(0); n > 0 {
				c.Send(bytes.Repeat([]byte("f"), int(n)))
			}
		}
		s := serve(t, o, h, nil)
		p := dial(t, s)
		p.send(bytes.Repeat(hello, 3))
		got := ""
		for len(got) < 3 {
			f, err := p.frame()
			if err != nil {
				t.Fatal(err)
			}
			got += string(f.payload)
		}
		// A timer counts, too.
		on(t, h.conn(), func() { c.Loop().AfterFunc(time.Millisecond, func() { pending.Add(5) }) })
		p.want(text, "fffff")
	})
}

// TestStalled: after a pause of its loop the handler gets Stalled before any other
// call, and before anything is written.
func TestStalled(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Loops = 1
		o.StallLimit = 60 * time.Millisecond
		h := newRecorder(t)
		var calls []string // by the loop
		var c *Conn
		discarded := false
		h.open = func(conn *Conn) { c = conn }
		h.message = func(c *Conn, _ bool, p []byte) {
			calls = append(calls, string(p))
			if string(p) == "freeze" {
				c.Send([]byte("stale"))
				time.Sleep(100 * time.Millisecond) // as SIGSTOP would
			}
		}
		frozen := make(chan struct{}, 1)
		h.stalled = func(_ *Loop, gap time.Duration) {
			if c == nil || len(calls) == 0 || discarded {
				return // a slow test machine
			}
			if gap < o.StallLimit {
				t.Errorf("gap %v", gap)
			}
			calls = append(calls, "stalled")
			c.Freeze()
			select {
			case frozen <- struct{}{}:
			default: // a slow test machine, again
			}
		}
		s := serve(t, o, h, nil)
		p := dial(t, s)
		conn := h.conn()
		p.send(join(clientFrame(text, "freeze"), clientFrame(text, "next")))
		receive(t, frozen, "no call of Stalled")
		on(t, conn, func() {
			if len(calls) < 2 || calls[0] != "freeze" || calls[1] != "stalled" {
				t.Errorf("calls %v", calls)
			}
			if conn.Buffered() != len("stale")+2 {
				t.Error("the stale message was written")
			}
			conn.Discard(4501, "")
			discarded = true
		})
		p.want(0x88, "\x11\x95")
		eventually(t, "counted", func() bool { return s.Stats().Stalls > 0 }) // at the end of an iteration
	})
}

// TestNothingIsCalledBeforeStart: a process that is stopped while it starts finds its
// handler complete when it goes on. The race detector sees any call that comes too
// early.
func TestNothingIsCalledBeforeStart(t *testing.T) {
	h := newRecorder(t)
	var complete bool
	stalled := make(chan bool, 1)
	h.stalled = func(*Loop, time.Duration) {
		select {
		case stalled <- complete:
		default:
		}
	}
	s, err := NewServer(Options{Loops: 1, StallLimit: 1}, h, nil) // each iteration is a stall
	if err != nil {
		t.Fatal(err)
	}
	complete = true
	s.Start()
	if !receive(t, stalled, "no stall") {
		t.Error("the handler was called before Start")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWallClock: the wall clock of a suspended machine runs ahead of the monotonic
// one. A wall clock that was set back means nothing.
func TestWallClock(t *testing.T) {
	var gaps []time.Duration
	h := newRecorder(t)
	h.stalled = func(_ *Loop, gap time.Duration) { gaps = append(gaps, gap) }
	b := newBare(t, Options{StallLimit: time.Minute}, h)
	b.l.readClocks()
	b.l.wall -= int64(time.Hour)
	b.l.readClocks()
	b.l.wall += int64(time.Hour)
	b.l.readClocks()
	b.l.readClocks()
	if len(gaps) != 1 || gaps[0].Round(time.Minute) != time.Hour {
		t.Errorf("stalled %v", gaps)
	}
}

// TestKeepalive: a peer that answers pings stays, one that does not is closed after
// two intervals.
func TestKeepalive(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.PingInterval, o.StallLimit = time.Hour, unstalled
		h := newRecorder(t)
		ponged := make(chan struct{}, 8)
		h.pong = func(*Conn, []byte) { ponged <- struct{}{} }
		s := serve(t, o, h, nil)
		alive := dial(t, s)
		conns := []*Conn{h.conn()}
		dead := dial(t, s)
		conns = append(conns, h.conn())
		for range 3 {
			for _, c := range conns {
				allWritten(t, c)
			}
			s.pass(t, o.PingInterval+time.Minute)
			alive.want(ping, "")
			alive.send(clientFrame(pong, ""))
			receive(t, ponged, "no pong")
		}
		dead.want(ping, "") // and no answer
		h.wantClosed(DropPingTimeout, CodeAbnormal)
		dead.wantGone()
		if len(h.closed) != 0 {
			t.Errorf("the other was closed too: %+v", <-h.closed)
		}
	})
}

// TestOpenConnections: Loop.Open yields each once.
func TestOpenConnections(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		want := map[*Conn]bool{}
		for range 5 {
			dial(t, s)
			want[h.conn()] = true
		}
		raw := dialRaw(t, s) // not upgraded
		raw.send([]byte("GET "))
		for _, l := range s.Loops() {
			done := make(chan struct{})
			l.Post(func() {
				for c := range l.Open() {
					if !want[c] || c.Loop() != l {
						t.Error("a connection that is not open here")
					}
					delete(want, c)
				}
				close(done)
			})
			<-done
		}
		if len(want) != 0 {
			t.Errorf("%d are missing", len(want))
		}
	})
}

// TestFairness: a connection that sends without end does not keep another one
// waiting.
func TestFairness(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Loops = 1
		h := newRecorder(t)
		h.message = func(c *Conn, text bool, p []byte) {
			if string(p) == "Hello" {
				echoTo(c, text, p)
			}
		}
		s := serve(t, o, h, nil)
		hog := dial(t, s)
		other := dial(t, s)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			flood := bytes.Repeat(clientFrame(text, "x"), 5000)
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := hog.Write(flood); err != nil {
						return
					}
				}
			}
		})
		for range 50 {
			other.send(hello)
			other.want(text, "Hello")
		}
		close(stop)
		wg.Wait()
	})
}

// TestBorrowed: under the race detector a borrowed buffer is useless afterwards.
func TestBorrowed(t *testing.T) {
	if !raceEnabled {
		t.Skip("buffers are poisoned under the race detector only")
	}
	var kept [][]byte
	h := newRecorder(t)
	h.message = func(_ *Conn, _ bool, p []byte) { kept = append(kept, p) }
	h.pong = func(_ *Conn, p []byte) { kept = append(kept, p) }
	b := newBare(t, Options{}, h)
	b.c.state = stateOpen
	h.alive[b.c] = true
	b.feed(hello)
	b.feed(join(clientFrame(start, "Hel"), clientFrame(last, "lo")))
	b.feed(clientFrame(pong, "p"))
	if len(kept) != 3 {
		t.Fatalf("%d messages", len(kept))
	}
	for _, p := range kept {
		for _, x := range p {
			if x != 0xDB {
				t.Fatalf("still there: %q", p)
			}
		}
	}
}
