package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// ErrServerClosed is returned by Serve once the server accepts no more.
var ErrServerClosed = errors.New("wire: server closed")

// Server accepts connections and spreads them over its loops. Any goroutine may
// call its methods.
type Server struct {
	// Immutable after NewServer.
	o     Options
	h     Handler
	log   *slog.Logger
	loops []*Loop
	plain *plainServer

	// Any goroutine.
	next    atomic.Uint32 // loop of the next connection
	sockets atomic.Int64  // accepted and not closed, plain HTTP included
	memory  budget
	drops   [numDrops]atomic.Uint64 // those outside a loop

	failures   atomic.Uint64  // TLS handshakes that the log has not told of
	failureLog rate.Sometimes // once in complaintPause

	// Guarded by mu.
	mu        sync.Mutex
	listeners map[listener]struct{}
	addresses map[netip.Addr]int32 // connections by address, if that is bounded
	closed    bool
}

// listener is the part of a listener that ends Serve's wait.
type listener interface{ Close() error }

// NewServer makes a server that has not started yet. plain serves the requests that
// are no WebSocket upgrades; if it is nil, they are answered 426.
func NewServer(o Options, h Handler, plain http.Handler) (*Server, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{
		o: o, h: h, log: o.Logger,
		listeners: make(map[listener]struct{}),
		addresses: make(map[netip.Addr]int32), failureLog: rate.Sometimes{Interval: complaintPause},
	}
	s.memory.limit = o.BufferMemory
	s.plain = newPlainServer(s, plain)
	for i := range o.Loops {
		p, err := newPoller(o.Transport)
		if err != nil {
			for _, l := range s.loops {
				_ = l.poll.close()
			}
			return nil, err
		}
		s.loops = append(s.loops, newLoop(s, i, p))
	}
	return s, nil
}

// Start starts the loops. From here on they call the handler, with or without
// connections (Handler.Stalled). A server that was started must be shut down.
func (s *Server) Start() {
	s.plain.start()
	for _, l := range s.loops {
		go l.run()
	}
}

// Loops returns the server's loops, by Loop.Index.
func (s *Server) Loops() []*Loop { return s.loops }

// Serve accepts connections on ln and takes ln over: StopAccepting and Shutdown
// close it; closing it elsewhere does not stop Serve. Serve returns
// ErrServerClosed, or the error that made accepting impossible.
func (s *Server) Serve(ln net.Listener) error {
	if tcp, ok := ln.(*net.TCPListener); ok && s.o.Transport == TransportEpoll {
		return s.serveRaw(tcp)
	}
	if !s.track(ln) {
		_ = ln.Close()
		return ErrServerClosed
	}
	defer s.untrack(ln)
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.acceptConn(nc)
		case s.isClosed():
			return ErrServerClosed
		case temporary(err):
			pause = s.backOff(pause, err)
		default:
			return err
		}
	}
}

// backOff waits before the next accept, because descriptors or memory are short.
func (s *Server) backOff(pause time.Duration, err error) time.Duration {
	pause = min(max(2*pause, 5*time.Millisecond), time.Second)
	s.log.Warn("wire: cannot accept", "err", err, "retry", pause)
	time.Sleep(pause)
	return pause
}

func (s *Server) track(ln listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) untrack(ln listener) {
	s.mu.Lock()
	delete(s.listeners, ln)
	s.mu.Unlock()
	_ = ln.Close()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// StopAccepting closes the listeners. Connections stay.
func (s *Server) StopAccepting() {
	s.mu.Lock()
	s.closed = true
	open := s.listeners
	s.listeners = make(map[listener]struct{})
	s.mu.Unlock()
	for ln := range open {
		_ = ln.Close()
	}
}

// Shutdown stops accepting, closes all connections with 1001, whose messages are
// taken until their peers' close frames, and waits until they are gone. It aborts the connections that are left when ctx ends, and plain HTTP
// after CloseTimeout; its error says so. Then the loops end.
func (s *Server) Shutdown(ctx context.Context) error {
	s.StopAccepting()
	err := s.plain.shutdown(ctx)
	for _, l := range s.loops {
		// The inbox may be full of earlier work. If ctx ends while this waits,
		// teardown does the rest.
		_ = l.PostWait(ctx, l.closeAll)
	}
	for _, l := range s.loops {
		if e := l.awaitEmpty(ctx); e != nil {
			err = e
		}
	}
	for _, l := range s.loops {
		_ = l.PostWait(context.Background(), func() { l.stopping = true })
		<-l.done
	}
	return err
}

// closeAll closes the loop's connections with 1001.
func (l *Loop) closeAll() {
	for _, c := range l.conns {
		switch {
		case c == nil:
		case c.state < stateOpen:
			c.drop(DropShutdown)
		default:
			if !c.has(flagPaused) { // or nobody would resume it
				c.TakeRest()
			}
			c.close(CodeGoingAway, "", DropShutdown)
		}
	}
}

// awaitEmpty waits until the loop has no connection left.
func (l *Loop) awaitEmpty(ctx context.Context) error {
	empty := make(chan struct{})
	var check func()
	check = func() {
		if l.live == 0 {
			close(empty)
			return
		}
		l.AfterFunc(20*time.Millisecond, check)
	}
	if err := l.PostWait(ctx, check); err != nil {
		return err
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newConn makes the connection of an accepted socket, or returns nil to refuse it.
func (s *Server) newConn(addr netip.AddrPort) *Conn {
	c := &Conn{l: s.loops[int(s.next.Add(1))%len(s.loops)], fd: -1, state: stateHandshake}
	c.setAddr(addr)
	c.setTrusted(s.trusted(addr.Addr()))
	if c.has(flagTrusted) {
		c.set(flagProxy)
		if s.o.ProxyProtocol {
			c.state = stateProxy
		}
	}
	if drop := s.admit(c); drop != 0 {
		s.drops[drop].Add(1)
		return nil
	}
	return c
}
