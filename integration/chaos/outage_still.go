package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hydrant/integration/harness"
)

// jumpClock sets the clock of a node an hour ahead, or behind, and back.
func (s *schedule) jumpClock(f *fault) error {
	n := s.run.nodes[1+s.chance.IntN(len(s.run.nodes)-1)]
	if err := sometime(func() error {
		if !n.claim() {
			return errNotYet
		}
		return nil
	}); err != nil {
		return err
	}
	defer n.release()
	ahead := time.Hour - time.Duration(s.chance.IntN(2))*2*time.Hour
	f.whom = fmt.Sprint(n.name, " by ", ahead)
	if err := n.process.SetClock(ahead); err != nil {
		return err
	}
	err := sometime(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
		defer cancel()
		ws, err := harness.Dial(ctx, n.process.URL("/"), harness.DialOptions{})
		if err != nil {
			return err
		}
		defer ws.Drop()
		at, err := harness.Timestamp(ws.Welcome)
		if err != nil {
			return err
		}
		if off := time.Until(at) - ahead; off.Abs() > ahead.Abs()/2 {
			return fmt.Errorf("chaos: the clock of %s is wrong by %v, not by %v", n.name, off+ahead, ahead)
		}
		f.bit("its messages say so")
		return nil
	})
	s.hold(500*time.Millisecond, 4*time.Second)
	return errors.Join(err, n.process.SetClock(0))
}

// stillPeers freezes the peers of the directory's leader, so that its writes stay
// in flight, while sessions move over sockets that were opened before: among the nodes
// that are connected to it, since no other can write anything.
func (s *schedule) stillPeers(f *fault) error {
	leader, nodes, err := s.leadWithNodes(directory)
	if err != nil {
		return err
	}
	f.whom = "beside " + leader.ServerName
	movers, opened := s.movers(nodes), s.run.spares.Load()
	for _, m := range movers {
		m.client.tell(order{kind: orderSpare, to: m.to})
	}
	s.soon(func() bool { return s.run.spares.Load() >= opened+int64(len(movers)) })
	peers := s.run.peers(leader)
	for _, peer := range peers {
		if err := peer.Freeze(); err != nil {
			return errors.Join(err, thaw(peers))
		}
	}
	s.hold(600*time.Millisecond, 900*time.Millisecond) // nodes write down positions that are half a second old
	asked := s.run.asked.Load()
	for _, m := range movers {
		m.client.tell(order{kind: orderTakeover, to: m.to})
	}
	if s.soon(func() bool { return s.run.asked.Load() > asked }) {
		f.bit("sessions were asked for meanwhile")
	}
	s.hold(200*time.Millisecond, 1500*time.Millisecond) // the peers call an election after four
	return thaw(peers)
}

// mover is a client that is to come to a node.
type mover struct {
	client *client
	to     *node
}

// movers are some clients of these nodes that were there from the beginning, with
// another of the nodes for each, or the same.
func (s *schedule) movers(nodes []*node) (movers []mover) {
	r := s.run
	for _, i := range s.chance.Perm(r.cfg.Clients) {
		c := r.clients[calmClients+i]
		if slices.ContainsFunc(nodes, c.isOn) && len(movers) < 20*s.crowd() {
			movers = append(movers, mover{c, nodes[s.chance.IntN(len(nodes))]})
		}
	}
	return movers
}

func thaw(servers []*harness.NATSServer) error {
	var errs []error
	for _, server := range servers {
		errs = append(errs, server.Thaw())
	}
	return errors.Join(errs...)
}
