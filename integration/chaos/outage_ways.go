package chaos

import (
	"fmt"
	"slices"
	"time"

	"hydrant/integration/harness"
)

// oneWayServers drops what one server sends to another.
func (s *schedule) oneWayServers(f *fault) error {
	servers := s.run.servers.Servers
	from := s.chance.IntN(len(servers))
	to := (from + 1 + s.chance.IntN(len(servers)-1)) % len(servers)
	return s.cutFor(f, []harness.Link{{From: servers[from].Host, To: servers[to].Host}}, time.Second, 8*time.Second)
}

// cutFor cuts for a while, at least until something was dropped.
func (s *schedule) cutFor(f *fault, links []harness.Link, low, high time.Duration) error {
	for _, l := range links {
		f.whom += " " + l.String()
	}
	if err := cutAll(links); err != nil {
		return err
	}
	s.hold(low, high)
	s.soon(func() bool {
		dropped, err := links[0].Dropped()
		return err != nil || dropped > 0
	})
	dropped, err := mendAll(links)
	if dropped > 0 {
		f.bit(fmt.Sprint(dropped, " packets were dropped"))
	}
	return err
}

// nodeOneWay cuts a node off from its server, this way, that way or both.
func (s *schedule) nodeOneWay(f *fault) error {
	n := s.run.nodes[1+s.chance.IntN(len(s.run.nodes)-1)]
	var server *harness.NATSServer
	err := sometime(func() error {
		if server = s.run.uplink(n); server == nil {
			return fmt.Errorf("chaos: %s is connected to no server", n.name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.cutFor(f, s.ways(n.host, server.Host), time.Second, 8*time.Second)
}

// ways are this way, that way, or both, as chance has it.
func (s *schedule) ways(a, b *harness.Host) []harness.Link {
	both := harness.Both(a, b)
	return [][]harness.Link{both[:1], both[1:], both}[s.chance.IntN(3)]
}

// clientsOneWay cuts a node off from the clients, this way, that way or both.
func (s *schedule) clientsOneWay(f *fault) error {
	n := s.run.nodes[1+s.chance.IntN(len(s.run.nodes)-1)]
	return s.cutFor(f, s.ways(s.run.network.Clients, n.host), 500*time.Millisecond, 6*time.Second)
}

// splitNode cuts a node off from all servers for a moment.
func (s *schedule) splitNode() {
	n := s.victim(1)
	if n == nil {
		return
	}
	d := s.between(300*time.Millisecond, 4*time.Second)
	var links []harness.Link
	for _, server := range s.run.servers.Servers {
		links = append(links, harness.Both(n.host, server.Host)...)
	}
	f := s.note("blackhole NATS", n.name)
	if err := cutAll(links); err != nil {
		n.release()
		s.broken(n.name, err)
		return
	}
	s.during(d, func() {
		defer n.release()
		s.soon(func() bool {
			for _, l := range links {
				if dropped, err := l.Dropped(); err != nil || dropped > 0 {
					return true
				}
			}
			return false
		})
		dropped, err := mendAll(links)
		if dropped > 0 {
			f.bit(fmt.Sprint(dropped, " packets were dropped"))
		}
		if err != nil {
			s.broken(n.name, err)
		}
	})
}

// refuse resets the connections of a node to NATS.
func (s *schedule) refuse(n *node) {
	server := s.run.uplink(n)
	if server == nil || !n.claim() {
		return
	}
	before := n.connections(server)
	f := s.note("cut node from NATS", n.name)
	links := harness.Both(n.host, server.Host)
	for _, l := range links {
		if err := l.Refuse(); err != nil {
			s.broken(n.name, err)
		}
	}
	s.running.Go(func() {
		defer n.release()
		if sometime(func() error {
			if !gone(server, n, before) {
				return errNotYet
			}
			return nil
		}) == nil {
			f.bit("it has another connection, or none")
		}
		for _, l := range links {
			if err := l.Accept(); err != nil {
				s.broken(n.name, err)
			}
		}
	})
}

// gone reports whether a connection that a node had to a server has ended.
func gone(server *harness.NATSServer, n *node, before []string) bool {
	now := n.connections(server)
	return slices.ContainsFunc(before, func(port string) bool { return !slices.Contains(now, port) })
}
