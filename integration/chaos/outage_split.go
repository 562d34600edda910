package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// leadWithNodes returns the server that leads a stream, and the nodes that are
// connected to it; it makes another one lead where there is no node.
func (s *schedule) leadWithNodes(stream string) (leader *harness.NATSServer, nodes []*node, err error) {
	r := s.run
	err = sometime(func() error {
		if leader = s.leader(stream); leader == nil {
			return fmt.Errorf("chaos: %s has no leader", stream)
		}
		if nodes = r.nodesOn(leader); len(nodes) > 0 {
			return nil
		}
		for _, other := range r.peers(leader) {
			if len(r.nodesOn(other)) > 0 {
				r.stepDown(r.nc, stream, other.ServerName)
				break
			}
		}
		return fmt.Errorf("chaos: no node is connected to %s, which leads %s", leader.ServerName, stream)
	})
	return leader, nodes, err
}

// splitLeader cuts the leader of a stream off from its peers until they have
// another one, while nodes are connected to it. Clients begin meanwhile elsewhere,
// and come to those nodes while the old leader does not know yet that it is none:
// it looks every ten seconds whether it still has a quorum, and when the network is
// whole again, each connection between servers is so only when it sends again what
// was lost, those of clients' requests often a second before those of the leaders.
func (s *schedule) splitLeader(f *fault, stream string) error {
	leader, nodes, err := s.leadWithNodes(stream)
	if err != nil {
		return err
	}
	f.whom = leader.ServerName + " of " + stream
	newcomers := s.newcomers(leader, nodes)
	links := s.run.around(leader)
	if err := cutAll(links); err != nil {
		return err
	}
	cut := time.Now()
	err = s.deposed(f, stream, leader, newcomers, harness.Patience, func() error { return nil })
	if err == nil {
		s.soon(func() bool { return haveSessions(newcomers) })
		s.crowdTo(nodes, 1, crowdPause)
		nap(context.Background(), s.pause(7*time.Second, 9*time.Second)-time.Since(cut))
		s.crowdTo(nodes, 2, crowdPause)
	}
	_, mending := mendAll(links)
	s.crowdTo(nodes, 48, crowdPause/4) // the moment in which the old leader knows nothing is short
	return errors.Join(err, mending)
}

// deafLeader lets nothing pass between the leader of a stream and its peers of what servers
// tell one another over connections of their own, while what is for clients passes, until
// there is another leader and a while longer. Clients begin meanwhile elsewhere, and come
// to the nodes beside the old one, which answers as a leader for up to ten seconds.
func (s *schedule) deafLeader(f *fault, stream string) error {
	leader, nodes, err := s.leadWithNodes(stream)
	if err != nil {
		return err
	}
	f.whom = leader.ServerName + " of " + stream
	var stuck []int
	stick := func() error { // also those that are made again
		ports, err := s.run.ownRoutes(leader)
		ports = slices.DeleteFunc(ports, func(port int) bool { return slices.Contains(stuck, port) })
		if err != nil || len(ports) == 0 {
			return err
		}
		stuck = append(stuck, ports...)
		return s.eachServer((*harness.Host).Stick, ports)
	}
	err = s.deposed(f, stream, leader, s.newcomers(leader, nodes), electionPatience, stick)
	switch {
	case err == nil:
		s.crowdTo(nodes, 24, crowdPause/4)
	case errors.Is(err, errNobody):
		err = nil // it is made again
	}
	return errors.Join(err, s.eachServer((*harness.Host).Loose, stuck))
}

// eachServer does something about connections between servers, at each of them.
func (s *schedule) eachServer(do func(*harness.Host, []int) error, ports []int) (err error) {
	for _, server := range s.run.servers.Servers {
		err = errors.Join(err, do(server.Host, ports))
	}
	return err
}

// newcomers are clients that begin at the peers of a stream's leader, some with a socket at
// one of the nodes beside it.
func (s *schedule) newcomers(leader *harness.NATSServer, nodes []*node) []*client {
	newcomers := s.bear(s.batch(), s.run.nodesOn(s.run.peers(leader)[0]), nodes)
	for _, c := range newcomers {
		if c.spare != nil {
			<-c.spare.ready
		}
	}
	return newcomers
}

// deposed waits until the peers of a stream's leader have another one, does something about
// that meanwhile, and lets newcomers begin then.
func (s *schedule) deposed(f *fault, stream string, leader *harness.NATSServer, newcomers []*client, patience time.Duration, meanwhile func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := harness.Until(ctx, func() error {
		if err := meanwhile(); err != nil {
			return err
		}
		for _, peer := range s.run.peers(leader) { // asked itself, since the old leader answers for the stream where it is heard
			if now, err := peer.Leader(stream); err == nil && now != "" && now != leader.ServerName {
				f.bit(leader.ServerName + " to " + now)
				return nil
			}
		}
		return errNobody
	})
	for _, c := range newcomers {
		if c.spare != nil {
			close(c.spare.start)
		}
	}
	return err
}

// errNobody: a leader that was cut off has no successor.
var errNobody = errors.New("chaos: its peers elect nobody")

// electionPatience is longer than peers wait that hear nothing of their leader, and not
// much: what servers write to a connection over which nothing passes fails after ten seconds,
// and they make another.
const electionPatience = 12 * time.Second

// batch is how many clients begin at once.
func (s *schedule) batch() int {
	if s.run.cfg.Scenario != "" {
		return lateComers
	}
	return lateComers / 4
}

// soon waits a few seconds for what helps and need not be.
func (s *schedule) soon(condition func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return harness.Until(ctx, func() error {
		if condition() {
			return nil
		}
		return errNotYet
	}) == nil
}

var errNotYet = errors.New("chaos: not yet")

// bear lets clients begin that have not, as far as there are any, on some nodes, or
// anywhere, and returns them. Those that get a spare socket wait for its start; a managed
// client opens one at a time.
func (s *schedule) bear(n int, nodes, spares []*node) (newcomers []*client) {
	for _, c := range s.run.clients {
		if len(newcomers) < n && !c.hasBegun() {
			if len(nodes) > 0 {
				c.goTo(nodes[s.chance.IntN(len(nodes))])
			}
			if len(spares) > 0 && c.class != history.Managed {
				c.spare = newSpare(spares[s.chance.IntN(len(spares))])
			}
			c.begin()
			newcomers = append(newcomers, c)
		}
	}
	return newcomers
}

func haveSessions(clients []*client) bool {
	for _, c := range clients {
		if c.session() == "" {
			return false
		}
	}
	return true
}

// crowdPause is the usual one of crowdTo.
const crowdPause = 500 * time.Millisecond

// crowdTo sends all that began late, and a few others, to some nodes, several times,
// with a pause between.
func (s *schedule) crowdTo(nodes []*node, times int, pause time.Duration) {
	all := s.run.clients
	var newcomers []*client
	for _, c := range all[calmClients+s.run.cfg.Clients:] {
		if c.session() != "" {
			newcomers = append(newcomers, c)
		}
	}
	for range times {
		for _, c := range newcomers {
			to := nodes[s.chance.IntN(len(nodes))]
			if c.spare != nil && slices.Contains(nodes, c.spare.at) {
				to = c.spare.at
			}
			c.tell(order{kind: orderReset, to: to})
		}
		for range 4 * s.crowd() {
			c := all[calmClients+s.chance.IntN(s.run.cfg.Clients)]
			c.tell(order{kind: orderKind(s.chance.IntN(int(orderTwins))), to: nodes[s.chance.IntN(len(nodes))]})
		}
		nap(context.Background(), pause)
	}
}

// minority cuts a server off from its peers until every node has left it.
func (s *schedule) minority(f *fault) error {
	r := s.run
	server := r.servers.Servers[s.chance.IntN(len(r.servers.Servers))]
	if n := r.uplink(r.nodes[1+s.chance.IntN(len(r.nodes)-1)]); n != nil {
		server = n // one that matters
	}
	f.whom = server.ServerName
	links := r.around(server)
	if err := cutAll(links); err != nil {
		return err
	}
	err := sometime(func() error {
		v, err := server.Varz()
		if err != nil {
			return err
		}
		if meta := v.JetStream.Meta; meta != nil && meta.Leader != "" {
			return fmt.Errorf("chaos: %s still believes in %s", server.ServerName, meta.Leader)
		}
		f.bit("it knows no leader")
		return nil
	})
	if err == nil {
		err = s.left(server)
	}
	s.hold(0, 2*time.Second)
	_, mending := mendAll(links)
	return errors.Join(err, mending)
}

// left waits until no node is connected to a server that has no quorum.
func (s *schedule) left(server *harness.NATSServer) error {
	return sometime(func() error {
		for _, n := range s.run.nodesOn(server) {
			return fmt.Errorf("chaos: %s stays with %s, which has no quorum", n.name, server.ServerName)
		}
		return nil
	})
}
