package wire

import (
	"context"
	"crypto/tls"
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
		return err
	}
	n.nc, n.failed = t, 0
	return n.sock.SetDeadline(time.Time{})
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
