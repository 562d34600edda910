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

// plainServer passes requests that are no upgrades to net/http. A connection is kept
// alive, unless half of MaxPlain are in use, the server is full, or it accepts no more;
// an upgrade that follows on it goes back to a loop. On a proxy's connection each request
// may be another client's: see [plainServer.identify].
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
			ConnContext:       noteConn,
			ReadHeaderTimeout: s.o.HandshakeTimeout,
			ReadTimeout:       s.o.WriteTimeout,
			IdleTimeout:       plainIdle,
			MaxHeaderBytes:    s.o.MaxHandshake,
			ErrorLog:          slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelDebug),
		}
	}
	return p
}

// plainIdle is how long a connection may wait for its next request: longer than proxies
// keep theirs (nginx a minute, Traefik 90 s). A request that meets the end of its
// connection is lost, unless it may be sent twice.
const plainIdle = 2 * time.Minute

// plainKey is the context's key for the connection of a plain request.
type plainKey struct{}

func noteConn(ctx context.Context, nc net.Conn) context.Context {
	pc, _ := nc.(*prefixConn)
	return context.WithValue(ctx, plainKey{}, pc)
}

// plainConn is the connection of a plain request; nil: it has none of this package.
func plainConn(ctx context.Context) *prefixConn {
	pc, _ := ctx.Value(plainKey{}).(*prefixConn)
	return pc
}

// SharedAddress is [Request.Shared] for a plain request, of which this is the context.
// It is for the goroutine that serves the request.
func SharedAddress(ctx context.Context) bool {
	pc := plainConn(ctx)
	return pc != nil && pc.shared
}

// hideForwarded takes X-Forwarded-Proto off requests whose peer is no trusted proxy.
func hideForwarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pc := plainConn(r.Context()); pc == nil || !pc.from.proxy {
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
func (c *Conn) plain(h *head, b []byte, from origin) {
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
	pc := &prefixConn{prefix: slices.Clone(b), plain: p, from: from, remote: c.RemoteAddr(), shared: c.has(flagTrusted), ticket: c.ticket()}
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
	plain *plainServer
	from  origin

	// Owned by the goroutine that serves it.
	remote netip.AddrPort // of the client whose request it serves
	shared bool           // that is a proxy's, which does not say whom it speaks for

	// Guarded by mu.
	mu     sync.Mutex
	ticket ticket
	gone   bool // it is counted out
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
	if c.plain == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.gone = true
		c.plain.count.Add(-1)
		c.plain.srv.countOut(c.ticket)
	}
}

// countFor counts the connection by another address from here on, and reports whether
// that has not too many. An invalid one is not counted.
func (c *prefixConn) countFor(a netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone || c.plain.srv.recount(&c.ticket, a)
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
