package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// schedule is the state of the faults of a run.
type schedule struct {
	run     *run
	random  *rand.Rand // owned by harm
	running sync.WaitGroup
	servers chan struct{} // holds a token while no NATS server is being harmed
}

// harm plays faults for the duration of the run, and returns when the last is
// over.
func (r *run) harm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Duration)
	defer cancel()
	s := &schedule{run: r, random: r.random("schedule"), servers: make(chan struct{}, 1)}
	s.servers <- struct{}{}
	for {
		nap(ctx, time.Duration(100+s.random.IntN(700))*time.Millisecond)
		if ctx.Err() != nil {
			break
		}
		s.next()
	}
	s.running.Wait()
}

// next starts one fault.
func (s *schedule) next() {
	type choice struct {
		weight int
		start  func()
	}
	choices := []choice{
		{30, s.order}, {8, s.flap}, {10, s.kill}, {8, s.freeze}, {6, s.cut}, {5, s.hole}, {4, s.lose}, {4, s.slow},
		{4, s.cutUplink}, {4, s.holeUplink}, {4, s.killServer}, {3, s.freezeServer},
	}
	total := 0
	for _, c := range choices {
		total += c.weight
	}
	at := s.random.IntN(total)
	for _, c := range choices {
		if at -= c.weight; at < 0 {
			c.start()
			return
		}
	}
}

func (s *schedule) note(what, whom string) {
	s.run.cfg.Log("%s: %s", what, whom)
	s.run.h.Add(history.Event{Kind: history.Fault, What: what, Node: whom})
}

// between is a duration of the schedule's choice.
func (s *schedule) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.random.Int64N(int64(high-low)))
}

// during makes a fault last: undo runs after d, while the schedule goes on.
func (s *schedule) during(d time.Duration, undo func()) {
	s.running.Go(func() {
		nap(context.Background(), d)
		undo()
	})
}

// wild is a client that may be harmed.
func (s *schedule) wild() *client {
	return s.run.clients[calmClients+s.random.IntN(len(s.run.clients)-calmClients)]
}

func (s *schedule) order() {
	c := s.wild()
	o := order(s.random.IntN(int(orderPause) + 1))
	what := [...]string{"reset", "close", "takeover", "stop reading", "pause"}[o]
	select {
	case c.orders <- o:
		s.note(what, c.name)
	default: // it has enough to do
	}
}

// flap makes one client come back again and again.
func (s *schedule) flap() {
	c := s.wild()
	s.note("flap", c.name)
	moves := make([]order, 5+s.random.IntN(10))
	for i := range moves {
		moves[i] = order(s.random.IntN(int(orderTakeover) + 1))
	}
	pause := s.between(5*time.Millisecond, 80*time.Millisecond)
	s.running.Go(func() {
		for _, o := range moves {
			nap(context.Background(), pause)
			select {
			case c.orders <- o:
			default:
			}
		}
	})
}

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
	s.note("kill node", n.name)
	n.process.Kill()
	s.during(away, func() {
		defer n.release()
		if err := n.process.Start(); err != nil {
			s.note("start failed: "+err.Error(), n.name) // heal says so again
		}
	})
}

func (s *schedule) freeze() {
	d := s.between(300*time.Millisecond, 4*time.Second)
	n := s.victim(1)
	if n == nil {
		return
	}
	s.note("freeze node", n.name)
	_ = n.process.Freeze() // of a process that runs: it is claimed
	s.during(d, func() {
		defer n.release()
		_ = n.process.Thaw()
	})
}

// cut resets all connections of a node's clients, and those of the node
// itself. It takes no time, so it may fall into another fault.
func (s *schedule) cut() {
	n := s.run.nodes[s.random.IntN(len(s.run.nodes))]
	s.note("cut clients", n.name)
	n.front.Cut()
}

func (s *schedule) cutUplink() {
	n := s.run.nodes[s.random.IntN(len(s.run.nodes))]
	s.note("cut node from NATS", n.name)
	for _, uplink := range n.uplinks {
		uplink.Cut()
	}
}

func (s *schedule) weather(what string, w harness.Weather, d time.Duration, proxies func(*node) []*harness.Proxy) {
	n := s.victim(0)
	if n == nil {
		return
	}
	s.note(what, n.name)
	for _, p := range proxies(n) {
		p.Set(w)
	}
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
	s.weather("blackhole NATS", harness.Weather{Blackhole: true}, s.between(300*time.Millisecond, 4*time.Second), uplinks)
}

// lose makes the clients of a node half-open.
func (s *schedule) lose() {
	d := s.between(500*time.Millisecond, 3*time.Second)
	n := s.victim(0)
	if n == nil {
		return
	}
	s.note("lose clients", n.name)
	n.front.LoseClients()
	s.during(d, func() {
		defer n.release()
		n.front.Set(harness.Weather{})
	})
}

// server is a NATS server that may be harmed: one at a time, so that three
// keep their quorum.
func (s *schedule) server() *harness.NATSServer {
	chosen := s.run.servers.Servers[s.random.IntN(len(s.run.servers.Servers))]
	select {
	case <-s.servers:
		return chosen
	default:
		return nil
	}
}

func (s *schedule) killServer() {
	away := s.between(100*time.Millisecond, 2*time.Second)
	server := s.server()
	if server == nil {
		return
	}
	s.note("kill NATS", server.Name)
	server.Kill()
	s.during(away, func() {
		defer func() { s.servers <- struct{}{} }()
		if err := server.Start(); err != nil {
			s.note("start failed: "+err.Error(), server.Name)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		_ = s.run.servers.WaitReady(ctx) // heal says so again
	})
}

func (s *schedule) freezeServer() {
	d := s.between(300*time.Millisecond, 3*time.Second)
	server := s.server()
	if server == nil {
		return
	}
	s.note("freeze NATS", server.Name)
	_ = server.Freeze()
	s.during(d, func() {
		_ = server.Thaw()
		s.servers <- struct{}{}
	})
}

// heal waits until everything runs again. The faults have undone themselves.
func (r *run) heal(ctx context.Context) error {
	if err := r.servers.WaitReady(ctx); err != nil {
		return err
	}
	for _, n := range r.nodes {
		if err := n.heal(ctx); err != nil {
			return err
		}
	}
	return nil
}
