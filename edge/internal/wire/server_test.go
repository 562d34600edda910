package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of the tests. A test that succeeds does not use it up.
const patience = time.Minute

// recorder is a handler for tests: an echo that can be told otherwise, and
// that keeps account of the calls.
type recorder struct {
	upgrade  func(*Request) (Accept, error)
	open     func(*Conn)
	message  func(c *Conn, text bool, p []byte)
	pong     func(*Conn, []byte)
	writable func(*Conn)
	flush    func(*Loop)
	stalled  func(*Loop, time.Duration)
	hangup   func(*Conn)

	conns  chan *Conn       // each Open
	closed chan CloseReason // each Closed
	t      testing.TB

	mu    sync.Mutex
	alive map[*Conn]bool // between Open and Closed
}

func newRecorder(t testing.TB) *recorder {
	return &recorder{
		t:      t,
		conns:  make(chan *Conn, 4096),
		closed: make(chan CloseReason, 4096),
		alive:  make(map[*Conn]bool),
	}
}

// check fails the test if c is not between Open and Closed.
func (r *recorder) check(c *Conn, call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.alive[c] {
		r.t.Errorf("%s outside of Open and Closed", call)
	}
}

func (r *recorder) Upgrade(q *Request) (Accept, error) {
	if r.upgrade != nil {
		return r.upgrade(q)
	}
	return Accept{}, nil
}

func (r *recorder) Open(c *Conn) {
	r.mu.Lock()
	if r.alive[c] {
		r.t.Error("Open twice")
	}
	r.alive[c] = true
	r.mu.Unlock()
	if r.open != nil {
		r.open(c)
	}
	r.conns <- c
}

func (r *recorder) Message(c *Conn, text bool, p []byte) {
	r.check(c, "Message")
	if r.message != nil {
		r.message(c, text, p)
		return
	}
	echoTo(c, text, p)
}

// echoTo echoes as wireecho does.
func echoTo(c *Conn, text bool, p []byte) {
	var queued, room bool
	if text {
		queued, room = c.Send(p)
	} else {
		queued, room = c.SendBinary(p)
	}
	if queued && !room {
		c.Pause()
	}
}

func (r *recorder) Pong(c *Conn, p []byte) {
	r.check(c, "Pong")
	if r.pong != nil {
		r.pong(c, p)
	}
}

func (r *recorder) Writable(c *Conn) {
	r.check(c, "Writable")
	if r.writable != nil {
		r.writable(c)
		return
	}
	c.Resume()
}

func (r *recorder) Hangup(c *Conn) {
	r.check(c, "Hangup")
	if r.hangup != nil {
		r.hangup(c)
	}
}

func (r *recorder) Closed(c *Conn, reason CloseReason) {
	r.check(c, "Closed")
	r.mu.Lock()
	delete(r.alive, c)
	r.mu.Unlock()
	r.closed <- reason
}

func (r *recorder) Flush(l *Loop) {
	if r.flush != nil {
		r.flush(l)
	}
}

func (r *recorder) Stalled(l *Loop, gap time.Duration) {
	if r.stalled != nil {
		r.stalled(l, gap)
	}
}

// conn waits for the next Open.
func (r *recorder) conn() *Conn {
	r.t.Helper()
	return receive(r.t, r.conns, "no connection was opened")
}

// wantClosed waits for the next Closed and checks its cause and code.
func (r *recorder) wantClosed(cause Drop, code int) {
	r.t.Helper()
	got := receive(r.t, r.closed, "Closed was not called")
	if got.Cause != cause || got.Code != code {
		r.t.Errorf("Closed(%v, %d), want (%v, %d)", got.Cause, got.Code, cause, code)
	}
}

func receive[T any](t testing.TB, ch <-chan T, why string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal(why)
		panic("unreachable")
	}
}

// on runs f on the connection's loop and waits for it.
func on(t testing.TB, c *Conn, f func()) {
	t.Helper()
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Loop().PostWait(ctx, func() { f(); close(done) }); err != nil {
		t.Fatal(err)
	}
	receive(t, done, "the loop does not run")
}

// eventually waits until a condition holds that nothing announces.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// testServer is a server and its address.
type testServer struct {
	*Server
	addr string
}

// serve starts a server that is shut down with the test.
func serve(t testing.TB, o Options, h Handler, plain http.Handler) *testServer {
	t.Helper()
	return serveOn(t, net.ListenConfig{}, o, h, plain)
}

// serveNarrow is serve with small kernel buffers, so that they are full soon.
func serveNarrow(t testing.TB, o Options, h Handler) *testServer {
	t.Helper()
	narrow := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { // accepted sockets inherit it
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 32<<10)
		}), err)
	}}
	return serveOn(t, narrow, o, h, nil)
}

func serveOn(t testing.TB, lc net.ListenConfig, o Options, h Handler, plain http.Handler) *testServer {
	t.Helper()
	if o.Loops == 0 {
		o.Loops = 2
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := NewServer(o, h, plain)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what is open is aborted
		_ = s.Shutdown(ctx)
		if err := receive(t, served, "Serve does not return"); err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		if n := s.Stats().Connections; n != 0 {
			t.Errorf("%d connections are left", n)
		}
		eventually(t, "buffers are given back", func() bool { return s.memory.used.Load() == 0 })
	})
	return &testServer{s, ln.Addr().String()}
}

// unstalled is a StallLimit that no test reaches with pass.
const unstalled = 10_000 * time.Hour

// pass lets d go by on the loops' clocks, and returns when they have fired the
// timers that were due then. With time-outs of an hour a test so decides itself
// what happens before one and what after, however slow the machine is. The
// server needs StallLimit unstalled.
func (s *testServer) pass(t testing.TB, d time.Duration) {
	t.Helper()
	for _, l := range s.Loops() {
		for _, f := range []func(){
			func() { l.base = l.base.Add(-d) },
			func() {}, // runs in a later iteration
		} {
			done := make(chan struct{})
			if err := l.PostWait(t.Context(), func() { f(); close(done) }); err != nil {
				t.Fatal(err)
			}
			receive(t, done, "the loop does not run")
		}
	}
}

// allWritten waits until the connection has nothing to write.
func allWritten(t testing.TB, c *Conn) {
	t.Helper()
	eventually(t, "all is written", func() (yes bool) {
		on(t, c, func() { yes = c.out == nil && !c.has(flagBlocked) })
		return yes
	})
}

// wantDrop waits until a reason has been counted n times.
func (s *testServer) wantDrop(t testing.TB, d Drop, n uint64) {
	t.Helper()
	eventually(t, d.String()+" counted", func() bool { return s.Stats().Drops[d] == n })
}

// transports runs a test on every transport that this system has.
func transports(t *testing.T, test func(t *testing.T, o Options)) {
	for _, tr := range []Transport{TransportEpoll, TransportConn} {
		if tr == TransportEpoll && !haveEpoll {
			continue
		}
		t.Run(string(tr), func(t *testing.T) { test(t, Options{Transport: tr}) })
	}
	t.Run("tls", func(t *testing.T) { test(t, Options{TLS: testCertificates(t).Config()}) })
}
