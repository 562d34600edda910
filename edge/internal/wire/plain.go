package wire

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// plainServer passes requests that are no upgrades to net/http. A client's connection
// is kept alive, unless half of MaxPlain are in use or the server is full; an upgrade
// that follows on it goes back to a loop. A proxy's connection serves one request: the
// next may be another client's, whose address counts.
type plainServer struct {
	// Immutable after newPlainServer.
	srv  *Server
	http *http.Server  // nil: no handler
	done chan struct{} // closed by the serving goroutine

	// The loops and reading goroutines send, net/http receives. Never closed;
	// it has room for MaxPlain connections, so sending does not block.
	conns chan net.Conn

	// Any goroutine.
	count atomic.Int64

	// Guarded by mu.
	mu     sync.Mutex
	closed bool
	quit   chan struct{} // closed by Close
}

func newPlainServer(s *Server, h http.Handler) *plainServer {
	p := &plainServer{
		srv:   s,
		done:  make(chan struct{}),
		conns: make(chan net.Conn, s.o.MaxPlain),
		quit:  make(chan struct{}),
	}
	if h != nil {
		p.http = &http.Server{
			Handler:           p.keep(hideForwarded(h)),
			ConnContext:       noteProxy,
			ReadHeaderTimeout: s.o.HandshakeTimeout,
			ReadTimeout:       s.o.WriteTimeout,
			IdleTimeout:       s.o.HandshakeTimeout,
			MaxHeaderBytes:    s.o.MaxHandshake,
			ErrorLog:          slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelDebug),
		}
	}
	return p
}

// proxyKey is the context's key for whether the peer is a trusted proxy.
type proxyKey struct{}

// noteProxy keeps for the requests of a connection whether its peer is a trusted
// proxy.
func noteProxy(ctx context.Context, nc net.Conn) context.Context {
	pc, ok := nc.(*prefixConn)
	ctx = context.WithValue(context.WithValue(ctx, proxyKey{}, ok && pc.proxy), plainKey{}, pc)
	return context.WithValue(ctx, sharedKey{}, ok && pc.shared)
}

// sharedKey is the context's key for what [SharedAddress] says.
type sharedKey struct{}

// SharedAddress is [Request.Shared] for a plain request, of which this is the context.
func SharedAddress(ctx context.Context) bool {
	shared, _ := ctx.Value(sharedKey{}).(bool)
	return shared
}

// hideForwarded takes X-Forwarded-Proto off requests whose peer is no trusted proxy.
func hideForwarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trusted, _ := r.Context().Value(proxyKey{}).(bool); !trusted {
			r.Header.Del(forwardedProto)
		}
		h.ServeHTTP(w, r)
	})
}

func (p *plainServer) start() {
	if p.http == nil {
		close(p.done)
		return
	}
	go func() {
		defer close(p.done)
		_ = p.http.Serve(p) // returns when p is closed
	}()
}

func (p *plainServer) open() int64 { return p.count.Load() }

// plain hands a connection to net/http, with the bytes that it has sent so far.
func (c *Conn) plain(h *head, b []byte) {
	l := c.l
	p := l.srv.plain
	if p.http == nil {
		c.refuse(h, http.StatusUpgradeRequired, "this server speaks WebSocket only", upgradeOffer, DropHandshakeInvalid)
		return
	}
	if p.count.Add(1) > int64(l.o.MaxPlain) {
		p.count.Add(-1)
		c.refuse(h, http.StatusServiceUnavailable, "too many requests at once", retryAfter, DropPlainFull)
		return
	}
	pc := &prefixConn{prefix: slices.Clone(b), remote: c.RemoteAddr(), proxy: c.has(flagProxy), shared: c.has(flagTrusted), ticket: c.ticket(), plain: p}
	c.leave()
	if n := c.nc; n != nil {
		pc.Conn = n.nc
		n.handed = pc
		n.next <- handToHTTP
		return
	}
	nc, err := c.takeSocket()
	if err != nil {
		p.count.Add(-1)
		l.srv.countOut(pc.ticket)
		l.o.Logger.Warn("wire: cannot hand over a socket", "err", err)
		return
	}
	pc.Conn = nc
	p.offer(pc)
}

// offer passes a connection to net/http. It is counted already.
func (p *plainServer) offer(pc *prefixConn) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.conns <- pc
	}
	p.mu.Unlock()
	if closed {
		_ = pc.Close()
	}
}

// Accept implements net.Listener.
func (p *plainServer) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.quit:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It closes connections that were not accepted.
func (p *plainServer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.quit)
	for {
		select {
		case nc := <-p.conns:
			_ = nc.Close()
		default:
			return nil
		}
	}
}

// Addr implements net.Listener.
func (p *plainServer) Addr() net.Addr { return &net.TCPAddr{} }

// shutdown waits for requests under way, but no longer than CloseTimeout: a request
// that its peer does not complete would delay the end of everything else.
func (p *plainServer) shutdown(ctx context.Context) error {
	if p.http == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.srv.o.CloseTimeout)
	defer cancel()
	err := p.http.Shutdown(ctx)
	if err != nil {
		_ = p.http.Close()
	}
	<-p.done
	return err
}

// prefixConn is a connection whose first bytes have been read already.
type prefixConn struct {
	net.Conn
	prefix []byte

	// Set if it was handed to net/http; then it is counted until Close.
	plain  *plainServer
	remote netip.AddrPort
	proxy  bool // the peer is a trusted one
	shared bool // and does not say whom it speaks for
	ticket ticket
	once   sync.Once
}

func (c *prefixConn) Read(p []byte) (int, error) {
	if len(c.prefix) > 0 {
		n := copy(p, c.prefix)
		if c.prefix = c.prefix[n:]; len(c.prefix) == 0 {
			c.prefix = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// Write gives up when the peer takes nothing for WriteTimeout. net/http bounds only
// the time of the whole answer, in which the handler's own time counts.
func (c *prefixConn) Write(p []byte) (n int, err error) {
	if c.plain == nil {
		return c.Conn.Write(p)
	}
	for n < len(p) && err == nil {
		var k int
		_ = c.SetWriteDeadline(time.Now().Add(c.plain.srv.o.WriteTimeout)) // fails only with the write
		k, err = c.Conn.Write(p[n:min(len(p), n+bigRead)])
		n += k
	}
	return n, err
}

func (c *prefixConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// release ends the counting of a connection that net/http has had.
func (c *prefixConn) release() {
	if c.plain != nil {
		c.once.Do(func() {
			c.plain.count.Add(-1)
			c.plain.srv.countOut(c.ticket)
		})
	}
}

// CloseWrite ends this half of the stream.
func (c *prefixConn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return nil
}

// RemoteAddr returns the client's address, as Conn.RemoteAddr does.
func (c *prefixConn) RemoteAddr() net.Addr {
	if c.plain != nil {
		return net.TCPAddrFromAddrPort(c.remote)
	}
	return c.Conn.RemoteAddr()
}
