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

	// Owned by outages, or by a scenario.
	chance *rand.Rand

	servers chan struct{} // holds a token while no NATS server is being harmed
}

// fault is one that was made.
type fault struct {
	s          *schedule
	what, whom string
	once       sync.Once
	done       chan struct{} // closed when it is known whether it bit
}

// note writes down that a fault is being made. It has to bite: the run is judged
// by that as well.
func (s *schedule) note(what, whom string) *fault {
	s.run.cfg.Log("%s: %s", what, whom)
	s.run.h.Add(history.Event{Kind: history.Fault, What: what, Node: whom})
	return &fault{s: s, what: what, whom: whom, done: make(chan struct{})}
}

// bit says that the fault had the effect that it is for, and how one sees that.
func (f *fault) bit(why string) {
	f.once.Do(func() {
		f.s.run.cfg.Log("%s: %s: %s", f.what, f.whom, why)
		f.s.run.h.Add(history.Event{Kind: history.Bit, What: f.what, Node: f.whom, Why: why})
		close(f.done)
	})
}

// missed says that it had not.
func (f *fault) missed(why string) {
	f.once.Do(func() {
		f.s.run.cfg.Log("%s: %s: missed: %s", f.what, f.whom, why)
		f.s.run.h.Add(history.Event{Kind: history.Missed, What: f.what, Node: f.whom, Why: why})
		close(f.done)
	})
}

// over reports whether it is known.
func (f *fault) over() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// await makes the end of the faults wait until this one has bitten, and does
// something for that every second.
func (s *schedule) await(f *fault, again func()) {
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		for {
			second, stop := context.WithTimeout(ctx, time.Second)
			select {
			case <-f.done:
				stop()
				return
			case <-second.Done():
				stop()
			}
			if ctx.Err() != nil {
				f.missed("not within " + harness.Patience.String())
				return
			}
			again()
		}
	})
}

// harm plays faults for the duration of the run, or its scenario, and returns when
// the last is over.
func (r *run) harm(ctx context.Context) error {
	s := &schedule{run: r, random: r.random("schedule"), chance: r.random("outages"), servers: make(chan struct{}, 1)}
	s.servers <- struct{}{}
	if r.cfg.measure != nil {
		return r.cfg.measure(s)
	}
	if r.cfg.Scenario != "" {
		defer s.running.Wait()
		return scenarios[r.cfg.Scenario].play(s)
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Duration)
	defer cancel()
	if err := s.syncs(); err != nil {
		return err
	}
	s.running.Go(func() { s.outages(ctx) })
	for {
		nap(ctx, time.Duration(100+s.random.IntN(700))*time.Millisecond)
		if ctx.Err() != nil {
			break
		}
		s.next()
	}
	s.running.Wait()
	return nil
}

// syncs writes down whether the servers sync every write.
func (s *schedule) syncs() error {
	if !s.run.cfg.Sync {
		return nil
	}
	f := s.note("sync always", "all")
	for _, server := range s.run.servers.Servers {
		v, err := server.Varz()
		if err != nil {
			return err
		}
		if !v.JetStream.Config.SyncAlways {
			f.missed(server.ServerName + " does not")
		}
	}
	f.bit("the servers say so")
	return nil
}

// choice is one kind of fault.
type choice struct {
	weight int
	start  func()
}

// choices are all kinds of faults.
func (s *schedule) choices() []choice {
	all := []choice{
		{30, s.order}, {8, s.flap}, {8, s.late}, {8, s.kill}, {6, s.terminate}, {8, s.freeze}, {6, s.cut}, {5, s.hole}, {4, s.lose}, {4, s.slow},
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
	kind := orderKind(s.random.IntN(int(orderPause) + 1))
	for range s.crowd() {
		s.orderOne(s.wild(), kind)
	}
}

// late makes some clients' requests arrive when they have their session elsewhere.
func (s *schedule) late() {
	for range s.crowd() {
		s.orderOne(s.wild(), orderLate)
	}
}

func (s *schedule) orderOne(c *client, kind orderKind) {
	if c.session() == "" || len(c.orders) == cap(c.orders) {
		return
	}
	f := s.note(kind.String(), c.name)
	tell := func() { c.tell(order{kind: kind, fault: f}) }
	tell()
	s.await(f, tell)
}

// flap makes some clients come back again and again.
func (s *schedule) flap() {
	for range s.crowd() {
		s.flapOne(s.wild())
	}
}

func (s *schedule) flapOne(c *client) {
	f := s.note("flap", c.name)
	moves := make([]orderKind, 5+s.random.IntN(10))
	for i := range moves {
		moves[i] = orderKind(s.random.IntN(int(orderTwins) + 1))
	}
	pause := s.between(5*time.Millisecond, 80*time.Millisecond)
	s.running.Go(func() {
		for _, kind := range moves {
			nap(context.Background(), pause)
			c.tell(order{kind: kind, fault: f})
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

// froze is what came of an attempt to freeze a process that runs.
func (f *fault) froze(err error) {
	if err == nil {
		f.bit("every thread has stopped")
	}
}

func (f *fault) cutOff(connections int) {
	if connections > 0 {
		f.bit(fmt.Sprint(connections, " connections"))
	}
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
	s.killAndStart(s.note("kill NATS", server.Name), server, away)
}

// killAndStart kills the server for a while, then gives the token back.
func (s *schedule) killAndStart(f *fault, server *harness.NATSServer, away time.Duration) {
	server.Kill()
	f.bit("the process is gone")
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
	all := streams
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
		s.killAndStart(s.note("kill leader", server.Name+" of "+name), server, away)
	})
}

// leader is the server that leads a stream; nil if nobody says.
func (s *schedule) leader(name string) *harness.NATSServer {
	return s.run.server(s.run.leaderBy(s.run.nc, name))
}

// stepDown makes the leader of a stream give up, again and again.
func (s *schedule) stepDown() {
	name, times, pause := s.stream(), 1+s.random.IntN(6), s.between(50*time.Millisecond, 600*time.Millisecond)
	f := s.note("step down", name)
	s.running.Go(func() {
		for i := 0; i < times || !f.over() && i < 100; i++ { // there may be no leader now
			if s.run.stepDown(s.run.nc, name, "") {
				f.bit("a leader gave up")
			}
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
	f := s.note("freeze all NATS", "")
	for _, server := range s.run.servers.Servers {
		f.froze(server.Freeze())
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
	f := s.note("freeze NATS", server.Name)
	f.froze(server.Freeze())
	s.during(d, func() {
		_ = server.Thaw()
		s.servers <- struct{}{}
	})
}

// heal waits until everything runs again. The faults have undone themselves.
func (r *run) heal(ctx context.Context) error {
	var err error
	for range 3 { // a server that catches up while others publish takes its time
		if err = r.servers.WaitReady(ctx); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	for _, n := range r.nodes {
		if err := n.heal(ctx); err != nil {
			return err
		}
	}
	return nil
}
