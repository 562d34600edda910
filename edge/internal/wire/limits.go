package wire

import "net/netip"

// admit counts a socket in, unless there are too many; 0: it may stay.
func (s *Server) admit(c *Conn) Drop {
	n := s.sockets.Add(1)
	if limit := int64(s.o.MaxConnections); limit > 0 && n > limit+int64(Reserve(s.o.MaxConnections)) {
		s.sockets.Add(-1)
		return DropNodeFull
	}
	if !s.countAddress(c) {
		s.sockets.Add(-1)
		return DropAddressFull
	}
	return 0
}

// Reserve is how many sockets more than MaxConnections are let in, to be
// answered 503, or to be served if they want plain HTTP: a health check must
// get through when the node is full.
func Reserve(maxConnections int) int { return 64 + maxConnections/64 }

// full reports whether one more WebSocket would be too many. The connection
// that asks is counted already.
func (s *Server) full() bool {
	return s.o.MaxConnections > 0 && s.sockets.Load() > int64(s.o.MaxConnections)
}

// countAddress counts the connection by its address, once, and reports whether
// it may stay. A trusted proxy stands for many clients: it is not counted, and
// they are once it has told their addresses.
func (s *Server) countAddress(c *Conn) bool {
	if s.o.MaxConnectionsPerAddress <= 0 || c.has(flagCounted|flagTrusted) {
		return true
	}
	key := AddressKey(c.RemoteAddr().Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(s.addresses[key]) >= s.o.MaxConnectionsPerAddress {
		return false
	}
	s.addresses[key]++
	c.set(flagCounted)
	return true
}

// AddressKey is what counts as one address: a /64 is what one IPv6 subscriber
// has.
func AddressKey(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// ticket is what a socket is counted by. It outlives the Conn when net/http
// takes the socket over.
type ticket struct {
	address netip.Addr // invalid: not counted by address
}

func (c *Conn) ticket() ticket {
	if !c.has(flagCounted) {
		return ticket{}
	}
	return ticket{AddressKey(c.RemoteAddr().Addr())}
}

// release counts a socket out.
func (s *Server) release(t ticket) {
	s.sockets.Add(-1)
	if !t.address.IsValid() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addresses[t.address]--; s.addresses[t.address] <= 0 {
		delete(s.addresses, t.address)
	}
}
