package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// schedule is the state of the faults of a run.
type schedule struct {
	run     *run
	running sync.WaitGroup

	// Owned by harm.
	random *rand.Rand
	deck   []int // the first faults, one of each kind
	drawn  int   // of deck

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

// choice is one kind of fault.
type choice struct {
	weight int
	start  func()
}

// choices are all kinds of faults.
func (s *schedule) choices() []choice {
	all := []choice{
		{30, s.order}, {8, s.flap}, {8, s.kill}, {6, s.terminate}, {8, s.freeze}, {6, s.cut}, {5, s.hole}, {4, s.lose}, {4, s.slow},
		{4, s.cutUplink}, {4, s.holeUplink}, {3, s.killServer}, {3, s.freezeServer},
	}
	if len(s.run.servers.Servers) > 1 {
		all = append(all, choice{3, s.killLeader}, choice{2, s.freezeServers}, choice{4, s.stepDown})
	}
	return all
}

// next starts one fault: at first each kind once, so that no run is without it,
// then by weight.
func (s *schedule) next() {
	if s.deck == nil {
		s.deck = s.random.Perm(len(s.choices()))
	}
	all := s.choices()
	if s.drawn < len(s.deck) {
		s.drawn++
		all[s.deck[s.drawn-1]].start()
		return
	}
	total := 0
	for _, c := range all {
		total += c.weight
	}
	at := s.random.IntN(total)
	for _, c := range all {
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

// crowd is how many clients are harmed at once by an order: a fiftieth.
func (s *schedule) crowd() int { return 1 + len(s.run.clients)/50 }

func (s *schedule) order() {
	o := order(s.random.IntN(int(orderPause) + 1))
	what := [...]string{"reset", "close", "takeover", "resume on two nodes", "stop reading", "pause"}[o]
	for range s.crowd() {
		c := s.wild()
		select {
		case c.orders <- o:
			s.note(what, c.name)
		default: // it has enough to do
		}
	}
}

// flap makes some clients come back again and again.
func (s *schedule) flap() {
	for range s.crowd() {
		s.flapOne(s.wild())
	}
}

func (s *schedule) flapOne(c *client) {
	s.note("flap", c.name)
	moves := make([]order, 5+s.random.IntN(10))
	for i := range moves {
		moves[i] = order(s.random.IntN(int(orderTwins) + 1))
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
	s.note(history.KillNode, n.name)
	n.process.Kill()
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

// broken writes down that a process did not do what it must.
func (s *schedule) broken(whom string, err error) {
	s.run.cfg.Log("broken: %s: %v", whom, err)
	s.run.h.Add(history.Event{Kind: history.Broken, Node: whom, Why: err.Error()})
}

// terminate has a node drain, which must end by itself.
func (s *schedule) terminate() {
	away := s.between(0, time.Second)
	n := s.victim(1)
	if n == nil {
		return
	}
	s.note("terminate node", n.name)
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), terminatePatience)
		defer cancel()
		if err := n.process.Terminate(ctx); err != nil {
			s.broken(n.name, fmt.Errorf("does not drain: %w", err))
			n.process.Kill()
		}
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
	s.killAndStart(server, away)
}

// killAndStart kills the server for a while, then gives the token back.
func (s *schedule) killAndStart(server *harness.NATSServer, away time.Duration) {
	server.Kill()
	s.during(away, func() {
		defer func() { s.servers <- struct{}{} }()
		if err := server.Start(); err != nil {
			s.broken(server.Name, err)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		_ = s.run.servers.WaitReady(ctx) // heal says so again
	})
}

// stream is one of those that a run depends on.
func (s *schedule) stream() string {
	all := []string{"KV_UMF_SESSIONS", "UMF_OUT_0", "UMF_OUT_1", "UMF_OUT_2", "UMF_OUT_3"}
	return all[s.random.IntN(len(all))]
}

// killLeader kills the server that leads a stream.
func (s *schedule) killLeader() {
	away, name := s.between(100*time.Millisecond, 2*time.Second), s.stream()
	if s.server() == nil {
		return
	}
	s.running.Go(func() {
		server := s.leader(name)
		if server == nil {
			s.servers <- struct{}{}
			return
		}
		s.note("kill leader", server.Name+" of "+name)
		s.killAndStart(server, away)
	})
}

// leader is the server that leads a stream; nil if nobody says.
func (s *schedule) leader(name string) *harness.NATSServer {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	stream, err := s.run.js.Stream(ctx, name)
	if err != nil || stream.CachedInfo().Cluster == nil {
		return nil
	}
	for _, server := range s.run.servers.Servers {
		if server.ServerName == stream.CachedInfo().Cluster.Leader {
			return server
		}
	}
	return nil
}

// stepDown makes the leader of a stream give up, again and again.
func (s *schedule) stepDown() {
	name, times, pause := s.stream(), 1+s.random.IntN(6), s.between(50*time.Millisecond, 600*time.Millisecond)
	s.note("step down", name)
	s.running.Go(func() {
		for range times {
			_ = s.run.nc.Publish("$JS.API.STREAM.LEADER.STEPDOWN."+name, nil) // there may be no leader now
			nap(context.Background(), pause)
		}
	})
}

// freezeServers freezes all of NATS.
func (s *schedule) freezeServers() {
	d := s.between(300*time.Millisecond, 4*time.Second)
	if s.server() == nil {
		return
	}
	s.note("freeze all NATS", "")
	for _, server := range s.run.servers.Servers {
		_ = server.Freeze()
	}
	s.during(d, func() {
		for _, server := range s.run.servers.Servers {
			_ = server.Thaw()
		}
		s.servers <- struct{}{}
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
