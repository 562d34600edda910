package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"hydrant/integration/chaos/history"
)

// schedule is the state of the faults of a run. Each kind of fault is a method.
type schedule struct {
	run     *run
	running sync.WaitGroup

	// Owned by harm.
	random *rand.Rand
	deck   []int // the first faults, one of each kind
	drawn  int   // of deck

	// Owned by outages, or by a scenario.
	chance *rand.Rand

	servers chan struct{}   // holds a token while no NATS server is being harmed
	calm    <-chan struct{} // closed when no more faults begin; nil: that is no matter
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
	s.calm = ctx.Done()
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
		c := s.wild()
		for c.class == history.Managed { // which gives up no request that the network still has
			c = s.wild()
		}
		s.orderOne(c, orderLate)
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

// heal waits until everything runs again. The faults have undone themselves.
func (r *run) heal(ctx context.Context) error {
	if err := r.servers.WaitServing(ctx); err != nil {
		return err
	}
	return r.returns(ctx, r.nodes)
}
