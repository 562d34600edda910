package wire

import "net/netip"

// admit counts a socket in, unless there are too many. 0: the socket may stay.
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

// Reserve returns how many sockets beyond MaxConnections a server accepts: to
// answer them 503, or to serve them if they ask for plain HTTP. A health check
// must get through when the server is full.
func Reserve(maxConnections int) int { return 64 + maxConnections/64 }

// full reports whether there are too many WebSockets. The connection in question
// is counted already.
func (s *Server) full() bool {
	return s.o.MaxConnections > 0 && s.sockets.Load() > int64(s.o.MaxConnections)
}

// countAddress counts the connection by its address, once, and reports whether it
// may stay. A trusted proxy is not counted, since it stands for many clients.
// They are counted as soon as it has reported their addresses.
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

// AddressKey maps the addresses that count as one to one of them. All of an IPv6
// /64 counts as one, since a subscriber commonly has that many.
func AddressKey(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// ticket says how a socket was counted. It outlives the Conn when net/http takes
// the socket over.
type ticket struct {
	address netip.Addr // invalid: not counted by address
}

func (c *Conn) ticket() ticket {
	if !c.has(flagCounted) {
		return ticket{}
	}
	return ticket{AddressKey(c.RemoteAddr().Addr())}
}

// countOut counts a socket out.
func (s *Server) countOut(t ticket) {
	s.sockets.Add(-1)
	if !t.address.IsValid() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveAddress(t)
}

// recount counts a socket by another address in place of the one that it was counted by,
// and reports whether that has not too many. An invalid address is not counted.
func (s *Server) recount(t *ticket, a netip.Addr) bool {
	if s.o.MaxConnectionsPerAddress <= 0 || t.address == a {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.IsValid() && int(s.addresses[a]) >= s.o.MaxConnectionsPerAddress {
		return false
	}
	s.leaveAddress(*t)
	if t.address = a; a.IsValid() {
		s.addresses[a]++
	}
	return true
}

// leaveAddress counts a socket out by its address. The caller holds mu.
func (s *Server) leaveAddress(t ticket) {
	if !t.address.IsValid() {
		return
	}
	if s.addresses[t.address]--; s.addresses[t.address] <= 0 {
		delete(s.addresses, t.address)
	}
}
