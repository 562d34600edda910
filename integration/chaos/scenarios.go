package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"hydrant/integration/chaos/history"
)

// A scenario is one chain of events that has to happen, instead of faults at
// random. Clients and publishers go about their business meanwhile, and the same
// checker judges what came of it.
type scenario struct {
	about   string
	servers int
	sync    bool // sync every write
	play    func(*schedule) error
}

// scenarios by their names.
var scenarios = map[string]scenario{
	"deposed-directory": {"sessions begin while the directory's leader is cut off, and are then asked for at its nodes", 3, false,
		func(s *schedule) error { return s.alone(splitDirectory) }},
	"stale-mailbox": {"the leader of the mailbox streams hears nothing of its peers, and clients come to the nodes beside it", 3, false,
		(*schedule).staleMailboxes},
	"checkpoint-in-flight": {"sessions move while the directory's last writes are not yet acknowledged", 3, true, (*schedule).inFlight},
	"minority-server":      {"a node's server is cut off from its peers, and the node has to find another", 3, false, func(s *schedule) error { return s.alone(minority) }},
	"late-request":         {"requests for sessions arrive after their clients have gone elsewhere", 1, false, (*schedule).lateRequests},
	"servers-return":       {"all servers go, or all but one, and the leader of the work queue is cut off: nodes and work have to be back soon after the servers", 3, false, (*schedule).serversReturn},
	"restored-store":       {"sessions move, and the store is replaced by a copy of before", 1, false, func(s *schedule) error { return s.alone(restoreStores) }},
}

// Scenarios are the names that [Config.Scenario] may have, each with what it is
// about.
func Scenarios() (names []string, about map[string]string) {
	about = make(map[string]string)
	for name, s := range scenarios {
		about[name] = s.about
	}
	return slices.Sorted(maps.Keys(scenarios)), about
}

// ErrScenario is returned where there is none of that name.
var ErrScenario = errors.New("chaos: no such scenario")

// direct sets what a scenario asks for.
func (c *Config) direct() error {
	if c.Scenario == "" {
		return nil
	}
	s, ok := scenarios[c.Scenario]
	if !ok {
		names, _ := Scenarios()
		return fmt.Errorf("%w: %q; there are %v", ErrScenario, c.Scenario, names)
	}
	c.Servers, c.Sync, c.Clocks = max(c.Servers, s.servers), s.sync, false
	if !c.Network && (s.servers > 1 || s.sync) {
		return fmt.Errorf("chaos: %s needs servers in network namespaces", c.Scenario)
	}
	return nil
}

// alone plays one outage between two moments of quiet.
func (s *schedule) alone(o outage) error {
	s.hold(time.Second, 2*time.Second)
	s.play(o)
	s.hold(time.Second, 2*time.Second)
	return nil
}

// staleMailboxes has the leader of all mailbox streams hear nothing of its peers, so that
// it matters for every session: the moment in which it does not know of its fall is short.
func (s *schedule) staleMailboxes() error {
	leader, _, err := s.leadWithNodes(streams[1])
	if err != nil {
		return err
	}
	for _, stream := range streams[1:] {
		if err := sometime(func() error {
			if s.leader(stream) == leader {
				return nil
			}
			s.run.stepDown(s.run.nc, stream, leader.ServerName)
			return errNotYet
		}); err != nil {
			return err
		}
	}
	return s.alone(deafMailbox)
}

// inFlight plays the same one several times.
func (s *schedule) inFlight() error {
	if err := s.syncs(); err != nil {
		return err
	}
	for range 4 {
		if err := s.alone(stillPeers); err != nil {
			return err
		}
	}
	return nil
}

// serversReturn has all servers go, then all but one, and then the one that work is asked
// of. One more behind that would find the copies of the first so far behind that nothing
// can be stored without it.
func (s *schedule) serversReturn() error {
	for _, o := range []outage{serversAway, quorumAway, workLeaderGone} {
		if err := s.alone(o); err != nil {
			return err
		}
	}
	return nil
}

// lateRequests has every client be late once that can be, a few of them at a time.
func (s *schedule) lateRequests() error {
	for i, c := range s.run.clients[calmClients:] {
		if c.class == history.Managed {
			continue
		}
		s.orderOne(c, orderLate)
		if i%8 == 7 {
			nap(context.Background(), 250*time.Millisecond)
		}
	}
	return nil
}
