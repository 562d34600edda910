package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"

	proxyproto "github.com/pires/go-proxyproto"
)

// errProxyHeader is the error for an unusable PROXY header.
var errProxyHeader = errors.New("wire: invalid PROXY header")

// proxyMax bounds a PROXY header: version 2 with room for a few TLVs. Version
// 1 has at most 107 bytes.
const (
	proxyMax   = 1024
	proxyV1Max = 107
)

// readProxy takes the PROXY header off the start of a connection from a trusted
// proxy, and returns the bytes after it.
func (c *Conn) readProxy(b []byte) (rest []byte) {
	n, err := proxyHeaderLen(b)
	if err == nil && n == 0 {
		c.stash(b, false)
		return nil
	}
	var client netip.AddrPort
	var local bool
	if err == nil {
		client, local, err = parseProxy(b[:n])
	}
	if err != nil {
		c.drop(DropProxyHeader)
		return nil
	}
	if !local && !c.proxied(client) {
		return nil
	}
	c.state = stateHandshake
	return b[n:]
}

// proxied sets the address from a PROXY header, and counts the connection by it.
// It returns false if it has dropped the connection because the client has too
// many.
func (c *Conn) proxied(client netip.AddrPort) bool {
	c.setAddr(client)
	c.setTrusted(c.l.srv.trusted(client.Addr()))
	if !c.l.srv.countAddress(c) {
		c.drop(DropAddressFull)
		return false
	}
	return true
}

// proxyHeaderLen returns the length of the PROXY header at the start of b, or 0 if
// b does not hold all of it.
func proxyHeaderLen(b []byte) (int, error) {
	v1, v2 := proxyproto.SIGV1, proxyproto.SIGV2
	switch {
	case bytes.HasPrefix(b, v2):
		if len(b) < 16 {
			return 0, nil
		}
		n := 16 + int(binary.BigEndian.Uint16(b[14:]))
		if n > proxyMax {
			return 0, errProxyHeader
		}
		if len(b) < n {
			return 0, nil
		}
		return n, nil
	case bytes.HasPrefix(b, v1):
		i := bytes.IndexByte(b[:min(len(b), proxyV1Max)], '\n')
		if i < 0 && len(b) >= proxyV1Max {
			return 0, errProxyHeader
		}
		return i + 1, nil
	case bytes.HasPrefix(v1, b) || bytes.HasPrefix(v2, b):
		return 0, nil
	}
	return 0, errProxyHeader
}

// parseProxy reads a complete header. local: the proxy speaks for itself, as in a
// health check, and the peer's own address is right.
func parseProxy(b []byte) (client netip.AddrPort, local bool, err error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), proxyMax))
	if err != nil {
		return client, false, errors.Join(errProxyHeader, err)
	}
	if h.Command.IsLocal() || h.TransportProtocol.IsUnspec() {
		return client, true, nil
	}
	src, _, ok := h.TCPAddrs()
	if !ok {
		return client, false, errProxyHeader
	}
	a := src.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), false, nil
}

// origin is where a connection comes from, before one of its requests says more.
type origin struct {
	addr   netip.AddrPort // the peer's, or the one in its PROXY header
	proxy  bool           // the peer is a trusted proxy
	relays bool           // so has addr: each request says in X-Forwarded-For whose it is
}

// origin is to be called before locate.
func (c *Conn) origin() origin {
	return origin{addr: c.RemoteAddr(), proxy: c.has(flagProxy), relays: c.has(flagTrusted)}
}

// locate takes the client's address from X-Forwarded-For, if the peer is a
// trusted proxy.
func (c *Conn) locate(h *head) {
	if !c.has(flagTrusted) {
		return
	}
	if a, ok := h.forwarded(c.l.srv.trusted); ok {
		c.setAddr(a)
		c.setTrusted(c.l.srv.trusted(a.Addr()))
	}
}

func (c *Conn) setTrusted(yes bool) {
	c.clear(flagTrusted)
	if yes {
		c.set(flagTrusted)
	}
}

// trusted reports whether a trusted proxy has the address.
func (s *Server) trusted(a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range s.o.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
