package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// prelude handles the part of a TLS connection before the HTTP request: the PROXY
// header, which is not encrypted, and the TLS handshake.
func (n *netConn) prelude(proxied bool) error {
	limit := time.Now().Add(n.l.o.HandshakeTimeout)
	_ = n.sock.SetDeadline(limit)
	under := n.sock
	if proxied {
		n.failed = DropProxyHeader
		rest, err := n.readProxy()
		if err != nil {
			return err
		}
		under = &prefixConn{Conn: n.sock, prefix: rest}
	}
	n.failed = DropTLS
	t := tls.Server(under, n.conf)
	ctx, cancel := context.WithDeadline(context.Background(), limit)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		n.tellPlain(err)
		return err
	}
	n.nc, n.failed = t, 0
	return n.sock.SetDeadline(time.Time{})
}

// unexpectedMessage is a fatal alert (RFC 8446 §6).
var unexpectedMessage = []byte{0x15, 0x03, 0x01, 0, 2, 2, 10}

// tellPlain answers a peer that does not speak TLS: HTTP in plain text, anything else
// with the alert that crypto/tls sends for messages, but not for what is no record. It
// then waits for the peer's end: a socket that is closed with unread bytes is reset, and
// the peer might not see the answer.
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
