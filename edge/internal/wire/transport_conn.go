package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	smallRead = 2 << 10  // the buffer of a waiting connection
	bigRead   = 16 << 10 // the buffer after a read has filled that: a TLS record
)

var bigReads = sync.Pool{New: func() any { return new([bigRead]byte) }}

// command is the loop's answer to the reading goroutine after each read.
type command uint8

const (
	readOn command = iota
	stopReading
	handToHTTP // give the connection to net/http
)

// netConn reads and writes a net.Conn on behalf of a loop. One goroutine reads. It
// hands each piece to the loop and waits for a command before it reads on, so
// there is never a second buffer, and Pause works. Another goroutine writes, and
// lives as long as there is something to write. Both reach the loop through its
// inbox, so on the loop the connection is like any other.
type netConn struct {
	// Immutable after the accept.
	c    *Conn
	l    *Loop
	sock net.Conn // as accepted
	conf *tls.Config
	next chan command // the loop sends, at most one ahead; never closed

	// Owned by the reading goroutine, and by the loop between a task and its
	// command.
	nc     net.Conn // sock, or TLS over it
	got    []byte
	err    error
	failed Drop // why the prelude failed
	client netip.AddrPort
	handed *prefixConn // for net/http

	// Owned by the writing goroutine, and by the loop after its task.
	writeErr error
	written  atomic.Int64 // bytes of writing that have left; the loop reads it meanwhile

	// Owned by the loop.
	writing *outbound // with the writing goroutine
	reading bool      // the reading goroutine reads, or its task is on its way
	begun   bool      // the prelude is over, if there is one
	isLate  bool      // its time was
	noticed int64     // written, when progressed looked last
}

func (s *Server) acceptConn(nc net.Conn) {
	c := s.newConn(peerOf(nc))
	if c == nil {
		_ = nc.Close()
		return
	}
	c.readBy(nc, s.o.TLS)
	s.post(c)
}

// peerOf is the address of a connection's peer.
func peerOf(nc net.Conn) netip.AddrPort {
	a, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	addr := a.AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
}

// readBy has a goroutine read the connection from nc. conf is nil where there is no TLS to begin.
func (c *Conn) readBy(nc net.Conn, conf *tls.Config) {
	c.nc = &netConn{c: c, l: c.l, sock: nc, nc: nc, conf: conf, next: make(chan command, 1)}
}

// post gives a new connection to its loop.
func (s *Server) post(c *Conn) {
	if c.l.postWait(nil, c, nil) != nil { // the loop has stopped
		c.shut()
		s.countOut(c.ticket())
	}
}

// readopt gives a connection that net/http has had back to a loop, with bytes that it has
// sent. Its PROXY header, if it had one, is behind it.
func (s *Server) readopt(pc *prefixConn, sent []byte) {
	c := s.newConn(peerOf(pc.Conn))
	if c == nil {
		_ = pc.Conn.Close()
		return
	}
	c.state = stateHandshake
	c.setAddr(pc.from.addr)
	c.setTrusted(pc.from.relays)
	if s.o.Transport != TransportEpoll {
		c.readBy(&prefixConn{Conn: pc.Conn, prefix: sent}, nil)
		sent = nil
	} else if err := c.takeBack(pc.Conn); err != nil {
		s.log.Warn("wire: cannot take a socket back", "err", err)
		s.countOut(c.ticket())
		return
	}
	if c.l.postWait(nil, &comeback{c, sent}, nil) != nil {
		c.shut()
		s.countOut(c.ticket())
	}
}

// comeback is a connection that net/http has had.
type comeback struct {
	c    *Conn
	sent []byte // by its peer, and not to be read from it
}

func (t *comeback) run() {
	c := t.c
	c.l.adopt(c)
	c.l.count.accepted-- // it was counted
	if len(t.sent) > 0 {
		c.stash(t.sent, true)
	}
	switch {
	case c.nc != nil:
		c.nc.start()
	case c.state != stateClosed:
		c.watch()
	}
}

// start starts the reading goroutine. It is called on the loop.
func (n *netConn) start() {
	n.reading = true
	go n.read(n.c.state == stateProxy)
}

// read is the reading goroutine.
func (n *netConn) read(proxied bool) {
	small := make([]byte, smallRead)
	buf, big := small, (*[bigRead]byte)(nil)
	if n.conf != nil {
		n.err = n.prelude(proxied)
		n.got = nil
		if !n.report() {
			return
		}
	}
	for {
		k, err := n.nc.Read(buf)
		n.got, n.err = buf[:k], err
		if !n.report() {
			return
		}
		switch {
		case k == len(buf) && big == nil:
			big = bigReads.Get().(*[bigRead]byte)
			buf = big[:]
		case k <= smallRead && big != nil:
			bigReads.Put(big)
			buf, big = small, nil
		}
	}
}

// report hands the bytes read to the loop, waits for its command, and reports
// whether to read on.
func (n *netConn) report() bool {
	if n.l.postWait(n.l.done, (*readTask)(n), n.stopped) != nil {
		_ = n.sock.Close()
		return false
	}
	select {
	case v := <-n.next:
		if v == handToHTTP {
			n.l.srv.plain.offer(n.handed)
		}
		return v == readOn
	case <-n.l.done:
		_ = n.sock.Close()
		return false
	}
}

func (n *netConn) stopped() error { return ErrLoopStopped }

// readTask is a netConn that has read something.
type readTask netConn

func (t *readTask) run() {
	n := (*netConn)(t)
	c, l := n.c, n.l
	n.reading = false
	if c.state == stateClosed {
		n.next <- stopReading
		return
	}
	if n.failed != 0 {
		if n.failed != DropProxyHeader {
			l.srv.complain(c.RemoteAddr(), n.err)
		}
		c.drop(n.failed)
		return
	}
	n.begun = true
	if c.state == stateProxy && n.conf != nil {
		if n.client.IsValid() && !c.proxied(n.client) {
			return
		}
		c.state = stateHandshake
	}
	if len(n.got) > 0 {
		l.count.reads++
		b := n.got
		if c.in != nil && len(c.in.stashed) > 0 {
			k := copy(l.buf, c.in.stashed)
			c.unstash(c.in)
			b = l.buf[:k+copy(l.buf[k:], b)]
		}
		c.arrived(len(n.got))
		c.receive(b)
		poison(b)
		poison(n.got)
	}
	n.more()
}

// more lets the reading goroutine read on, unless the connection is paused or
// ending. The end of the stream counts only now, after the bytes that came with
// it.
func (n *netConn) more() {
	c := n.c
	if n.reading || c.state == stateClosed || c.has(flagEOF) ||
		c.has(flagPaused) && c.state <= stateClosing || c.in != nil && c.in.unparsed {
		return
	}
	switch {
	case n.err == nil:
		n.reading = true
		n.next <- readOn
	case errors.Is(n.err, io.EOF):
		c.ended()
	default:
		c.lost(DropReset)
	}
}

// flush hands the queue to a writing goroutine. It reports whether nothing is left
// to write.
func (n *netConn) flush() bool {
	c := n.c
	if n.writing != nil || c.out == nil {
		return n.writing == nil
	}
	n.writing, c.out = c.out, nil
	n.written.Store(0)
	n.noticed = 0
	c.clear(flagBlocked)
	c.blocked()
	go n.write(n.nc, n.writing.buf)
	return false
}

// write is the writing goroutine. It writes in pieces, which show the progress of a
// slow peer.
func (n *netConn) write(nc net.Conn, b []byte) {
	n.writeErr = nil
	for len(b) > 0 && n.writeErr == nil {
		var k int
		k, n.writeErr = nc.Write(b[:min(len(b), bigRead)])
		n.written.Add(int64(k))
		b = b[k:]
	}
	if n.l.postWait(n.l.done, (*writeTask)(n), n.stopped) != nil {
		n.l.buffers.lose(n.writing.buf) // the loop has ended
	}
}

// writeTask is a netConn that has written its queue.
type writeTask netConn

func (t *writeTask) run() {
	n := (*netConn)(t)
	c, l := n.c, n.l
	l.count.writes++
	l.count.bytesOut += uint64(n.written.Load())
	l.buffers.putOut(n.writing)
	n.writing = nil
	if c.state == stateClosed {
		return
	}
	c.clear(flagBlocked)
	if n.writeErr != nil {
		c.lost(DropReset)
		return
	}
	l.soil(c)
}

// queued returns how many bytes the writing goroutine still has to write.
func (n *netConn) queued() int {
	if n.writing == nil {
		return 0
	}
	return len(n.writing.buf) - int(n.written.Load())
}

// progressed reports whether bytes have left since it last looked.
func (n *netConn) progressed() bool {
	w := n.written.Load()
	if w == n.noticed {
		return false
	}
	n.noticed = w
	return true
}

// discard reports whether nothing is on its way.
func (n *netConn) discard() bool { return n.writing == nil }

// closeWrite ends our half of the stream. With TLS that means to write an alert,
// which may block, so a goroutine does it.
func (n *netConn) closeWrite() {
	if n.nc == n.sock {
		if t, ok := n.sock.(interface{ CloseWrite() error }); ok {
			_ = t.CloseWrite()
		}
		return
	}
	_ = n.sock.SetWriteDeadline(time.Now().Add(n.l.o.CloseTimeout))
	go func(t *tls.Conn, sock net.Conn) {
		_ = t.CloseWrite()
		if s, ok := sock.(interface{ CloseWrite() error }); ok {
			_ = s.CloseWrite()
		}
	}(n.nc.(*tls.Conn), n.sock)
}

// close closes the socket, which ends both goroutines.
func (n *netConn) close() {
	_ = n.sock.Close()
	if n.reading {
		return // the task of the read will find the connection closed
	}
	select {
	case n.next <- stopReading:
	default: // not started
	}
}

func (n *netConn) linger() {
	if t, ok := n.sock.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}
