package chaos

import (
	"context"
	"fmt"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// victim is a node other than the calm one that has no fault now; nil if the
// schedule's choice has.
func (s *schedule) victim(from int) *node {
	n := s.run.nodes[from+s.random.IntN(len(s.run.nodes)-from)]
	if !n.claim() {
		return nil
	}
	return n
}

func (s *schedule) kill() {
	away := s.between(200*time.Millisecond, 2*time.Second)
	n := s.victim(1)
	if n == nil {
		return
	}
	f := s.note(history.KillNode, n.name)
	n.process.Kill()
	f.bit("the process is gone")
	s.during(away, func() { s.startAgain(n) })
}

func (s *schedule) startAgain(n *node) {
	defer n.release()
	if err := n.process.Start(); err != nil {
		s.broken(n.name, err) // heal says so again
		return
	}
	// A process that has hardly begun to run knows no SIGTERM yet.
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, n.process.Alive); err != nil {
		s.broken(n.name, err)
	}
}

// terminate has a node drain, which must end by itself.
func (s *schedule) terminate() {
	away := s.between(0, time.Second)
	n := s.victim(1)
	if n == nil {
		return
	}
	f := s.note("terminate node", n.name)
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), terminatePatience)
		defer cancel()
		if err := n.process.Terminate(ctx); err != nil {
			s.broken(n.name, fmt.Errorf("does not drain: %w", err))
			n.process.Kill()
		}
		f.bit("the process has ended")
		nap(context.Background(), away)
		s.startAgain(n)
	})
}

// terminatePatience is much longer than the nodes' time for a drain, since NATS
// may be away meanwhile.
const terminatePatience = harness.Patience

func (s *schedule) freeze() {
	d := s.between(300*time.Millisecond, 4*time.Second)
	n := s.victim(1)
	if n == nil {
		return
	}
	f := s.note("freeze node", n.name)
	f.froze(n.process.Freeze())
	s.during(d, func() {
		defer n.release()
		_ = n.process.Thaw()
	})
}

// cut resets all connections of a node's clients, and those of the node
// itself. It takes no time, so it may fall into another fault.
func (s *schedule) cut() {
	n := s.run.nodes[s.random.IntN(len(s.run.nodes))]
	if n.front.Links() == 0 {
		return
	}
	f := s.note("cut clients", n.name)
	f.cutOff(n.front.Cut())
}

func (s *schedule) cutUplink() {
	n := s.run.nodes[s.random.IntN(len(s.run.nodes))]
	if s.run.network != nil {
		s.refuse(n)
		return
	}
	connections := 0
	for _, uplink := range n.uplinks {
		connections += uplink.Links()
	}
	if connections == 0 {
		return
	}
	f := s.note("cut node from NATS", n.name)
	for _, uplink := range n.uplinks {
		uplink.Cut()
	}
	f.cutOff(connections)
}

func (s *schedule) weather(what string, w harness.Weather, d time.Duration, proxies func(*node) []*harness.Proxy) {
	n := s.victim(0)
	if n == nil {
		return
	}
	connections := 0
	for _, p := range proxies(n) {
		connections += p.Links()
	}
	if connections == 0 {
		n.release()
		return
	}
	f := s.note(what, n.name)
	for _, p := range proxies(n) {
		p.Set(w)
	}
	f.cutOff(connections)
	s.during(d, func() {
		defer n.release()
		for _, p := range proxies(n) {
			p.Set(harness.Weather{})
		}
	})
}

func front(n *node) []*harness.Proxy   { return []*harness.Proxy{n.front} }
func uplinks(n *node) []*harness.Proxy { return n.uplinks }

func (s *schedule) hole() {
	s.weather("blackhole clients", harness.Weather{Blackhole: true}, s.between(300*time.Millisecond, 3*time.Second), front)
}

func (s *schedule) slow() {
	s.weather("slow clients", harness.Weather{Delay: 30 * time.Millisecond, Rate: 20_000}, s.between(time.Second, 4*time.Second), front)
}

func (s *schedule) holeUplink() {
	if s.run.network != nil {
		s.splitNode()
		return
	}
	s.weather("blackhole NATS", harness.Weather{Blackhole: true}, s.between(300*time.Millisecond, 4*time.Second), uplinks)
}

// lose makes the clients of a node half-open.
func (s *schedule) lose() {
	d := s.between(500*time.Millisecond, 3*time.Second)
	n := s.victim(0)
	if n == nil {
		return
	}
	if n.front.Links() == 0 {
		n.release()
		return
	}
	f := s.note("lose clients", n.name)
	f.cutOff(n.front.LoseClients())
	s.during(d, func() {
		defer n.release()
		n.front.Set(harness.Weather{})
	})
}
