package wire

import (
	"net/netip"
	"slices"
	"strings"
)

// Request is a valid request for an upgrade. It is valid during the call of
// Handler.Upgrade; the strings it returns are copies.
type Request struct {
	head *head
	conn *Conn
}

// URI returns the path of the request target with its query, as they were sent.
func (r *Request) URI() string { return string(r.head.uri) }

// Host returns the host that the request is for, with the port if it names one.
func (r *Request) Host() string {
	if r.head.host != nil {
		return string(r.head.host)
	}
	return r.Header("Host")
}

// Header returns the value of a field, or "" if there is none. Of one that is there
// several times all values count, joined as RFC 9110 §5.3 has it: whoever looks at one
// of them may not look at the one that another looked at. Names are compared without
// case.
func (r *Request) Header(name string) string {
	first, n := r.head.get(name)
	if n <= 1 {
		return string(first)
	}
	separator := ", "
	if name == "Cookie" { // RFC 6265 §5.4
		separator = "; "
	}
	values := make([]string, 0, n)
	for v := range r.head.all(name) {
		values = append(values, string(v))
	}
	return strings.Join(values, separator)
}

// Protocols returns the subprotocols offered, in the client's order of preference.
func (r *Request) Protocols() []string {
	var list []string
	for p := range r.head.list("Sec-WebSocket-Protocol") {
		list = append(list, string(p))
	}
	return list
}

// ForwardedProto returns the values of X-Forwarded-Proto, separated by commas, if the
// peer is a trusted proxy.
func (r *Request) ForwardedProto() string {
	if !r.conn.has(flagProxy) {
		return ""
	}
	var b []byte
	for v := range r.head.list(forwardedProto) {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return string(b)
}

// Fields in which proxies tell the address of a client, and the scheme that it uses.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedProto = "X-Forwarded-Proto"
)

// RemoteAddr returns the client's address, as Conn.RemoteAddr does.
func (r *Request) RemoteAddr() netip.AddrPort { return r.conn.RemoteAddr() }

// Shared reports whether the client's address is not known: it is that of a trusted
// proxy, which does not say whom it speaks for.
func (r *Request) Shared() bool { return r.conn.has(flagTrusted) }

// Loop returns the loop that will own the connection.
func (r *Request) Loop() *Loop { return r.conn.l }

// forwarded returns the client's address that trusted proxies report in
// X-Forwarded-For: the last one that is not a trusted proxy itself. Each proxy
// appends the address of its peer, so anything before an untrusted address is
// only a claim of that peer.
func (h *head) forwarded(trusted func(netip.Addr) bool) (client netip.AddrPort, ok bool) {
	var hops [16]netip.AddrPort
	list := hops[:0]
	for v := range h.list(forwardedFor) {
		a, valid := parseHop(v)
		if !valid {
			list = list[:0] // do not believe anything before it
			continue
		}
		if len(list) == cap(hops[:]) {
			list = slices.Delete(list, 0, 1)
		}
		list = append(list, a)
	}
	for _, a := range slices.Backward(list) {
		client, ok = a, true
		if !trusted(a.Addr()) {
			break
		}
	}
	return client, ok
}

// parseHop reads an address with or without port, IPv6 with or without
// brackets.
func parseHop(b []byte) (netip.AddrPort, bool) {
	if len(b) > 64 {
		return netip.AddrPort{}, false
	}
	s := string(b)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), true
	}
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		s = s[1 : n-1]
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap().WithZone(""), 0), true
}
