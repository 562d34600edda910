package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// prelude handles the part of a TLS connection before the HTTP request: the PROXY
// header, which is not encrypted, and the TLS handshake. It has no clock of its own: the
// loop ends what takes too long (late).
func (n *netConn) prelude(proxied bool) error {
	under := n.sock
	if proxied {
		n.failed = DropProxyHeader
		rest, err := n.readProxy()
		if err != nil {
			n.excuse(err)
			return err
		}
		under = &prefixConn{Conn: n.sock, prefix: rest}
	}
	n.failed = DropTLS
	t := tls.Server(under, n.conf)
	if err := t.Handshake(); err != nil {
		if n.excuse(err) {
			n.tell(canceled)
		} else {
			n.tellPlain(err)
		}
		return err
	}
	n.nc, n.failed = t, 0
	return n.sock.SetDeadline(time.Time{})
}

// late has the prelude fail, because its time is over. It is called on the loop.
func (n *netConn) late() {
	n.isLate = true
	_ = n.sock.SetDeadline(time.Unix(1, 0))
	n.l.wheel.start(&n.c.timer, n.l.ticks()+ticksAfter(n.l.o.CloseTimeout))
}

// excuse reports whether the prelude fails for lack of time, and notes that.
func (n *netConn) excuse(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	n.failed = DropHandshakeTimeout
	return true
}

// complaintPause is the time between two lines in the log about failed handshakes.
const complaintPause = time.Minute

// complain says now and then in the log how many TLS handshakes have failed, and why the
// last one did. That a peer goes is no news: port checks do.
func (s *Server) complain(peer netip.AddrPort, why error) {
	if errors.Is(why, io.EOF) || errors.Is(why, syscall.ECONNRESET) {
		return
	}
	s.failures.Add(1)
	s.failureLog.Do(func() {
		s.log.Warn("wire: TLS handshakes fail", "count", s.failures.Swap(0), "address", peer.Addr(), "err", why)
	})
}

// Alerts (RFC 8446 §6), in plain text: before keys are agreed there is no other, and
// afterwards the peer fails all the same.
var (
	unexpectedMessage = []byte{0x15, 0x03, 0x01, 0, 2, 2, 10}
	canceled          = []byte{0x15, 0x03, 0x01, 0, 2, 1, 90, 0x15, 0x03, 0x01, 0, 2, 1, 0} // user_canceled, close_notify
)

// tellPlain answers a peer that does not speak TLS: HTTP in plain text, anything else
// with the alert that crypto/tls sends for messages, but not for what is no record.
func (n *netConn) tellPlain(err error) {
	var other tls.RecordHeaderError
	if !errors.As(err, &other) || other.Conn == nil {
		return
	}
	answer := unexpectedMessage
	if plausible(other.RecordHeader[:]) {
		const text = "this port speaks TLS: use wss:// or https://"
		answer = fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nDate: %s\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s",
			time.Now().UTC().Format(http.TimeFormat), len(text), text)
	}
	n.tell(answer)
}

// tell answers a peer with which there is no TLS, and waits for its end: a socket that is
// closed with unread bytes is reset, and the peer might not see the answer.
func (n *netConn) tell(answer []byte) {
	_ = n.sock.SetDeadline(time.Now().Add(n.l.o.CloseTimeout))
	if _, err := n.sock.Write(answer); err != nil {
		return
	}
	if s, ok := n.sock.(interface{ CloseWrite() error }); ok && s.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, n.sock)
	}
}

func (n *netConn) readProxy() (rest []byte, err error) {
	var buf [proxyMax]byte
	have := 0
	for {
		k, err := n.sock.Read(buf[have:])
		have += k
		size, bad := proxyHeaderLen(buf[:have])
		switch {
		case bad != nil:
			return nil, bad
		case size > 0:
			client, local, err := parseProxy(buf[:size])
			if err == nil && !local {
				n.client = client
			}
			return buf[size:have], err
		case err != nil:
			return nil, err
		case have == len(buf):
			return nil, errProxyHeader
		}
	}
}
