package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// An outage is a fault of the servers, or of the network beneath them, that takes
// seconds to have its effect: one at a time, beside the lesser ones.
type outage struct {
	what string
	play func(s *schedule, f *fault) error
}

// All of these wait for what they are for, and hold it for a while then. They
// return an error where a process or the network does not do as told.
var (
	splitDirectory = outage{"split directory leader", func(s *schedule, f *fault) error { return s.splitLeader(f, directory) }}
	splitMailbox   = outage{"split mailbox leader", func(s *schedule, f *fault) error { return s.splitLeader(f, s.mailboxStream()) }}
	minority       = outage{"server in a minority", (*schedule).minority}
	oneWayServers  = outage{"one way between servers", (*schedule).oneWayServers}
	stillPeers     = outage{"writes in flight", (*schedule).stillPeers}
	restoreStores  = outage{"restore stores", (*schedule).restoreStores}
	rotate         = outage{"rotate credentials", (*schedule).rotate}
	fillDisk       = outage{"disk full", (*schedule).fillDisk}
	nodeOneWay     = outage{"one way between node and NATS", (*schedule).nodeOneWay}
	jumpClock      = outage{"clock jumps", (*schedule).jumpClock}
	clientsOneWay  = outage{"one way between clients and node", (*schedule).clientsOneWay}
)

// outagesOf are those that a number of servers can have, in the order in which
// runs with successive seeds play them.
func outagesOf(servers int) []outage {
	if servers == 1 {
		return []outage{restoreStores, nodeOneWay, rotate, clientsOneWay, fillDisk, jumpClock}
	}
	return []outage{splitDirectory, nodeOneWay, stillPeers, minority, restoreStores, splitMailbox, clientsOneWay, rotate, jumpClock, oneWayServers, fillDisk}
}

// outagesARun is about how many fit into a minute, so that the next seed goes on
// where this one ends.
const outagesARun = 4

// outages plays them until ctx ends. Only a run with a network has any.
func (s *schedule) outages(ctx context.Context) {
	if s.run.network == nil {
		return
	}
	all := outagesOf(len(s.run.servers.Servers))
	at := int(s.run.cfg.Seed % uint64(len(all)) * outagesARun)
	for ; ; at++ {
		nap(ctx, s.pause(500*time.Millisecond, 3*time.Second))
		select {
		case <-s.servers:
		case <-ctx.Done():
			return
		}
		if ctx.Err() == nil {
			s.play(all[at%len(all)])
		}
		s.servers <- struct{}{}
	}
}

// play makes one outage. The token of the servers is held.
func (s *schedule) play(o outage) {
	if o.what == jumpClock.what && s.run.binary == "" {
		return
	}
	f := s.note(o.what, "")
	if err := o.play(s, f); err != nil {
		s.broken(o.what, err)
	}
	f.missed("it was made, and nothing was seen of it") // unless it bit
}

// pause is a duration of the outages' own choice: they have their own goroutine.
func (s *schedule) pause(low, high time.Duration) time.Duration {
	return low + time.Duration(s.chance.Int64N(int64(high-low)))
}

// hold lets some time of the outages' choice pass.
func (s *schedule) hold(low, high time.Duration) { nap(context.Background(), s.pause(low, high)) }

// sometime waits for a condition as long as anything may take.
func sometime(condition func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	return harness.Until(ctx, condition)
}

// mailboxStream is one of the mailboxes' streams.
func (s *schedule) mailboxStream() string { return streams[1+s.chance.IntN(len(streams)-1)] }

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
	peer := s.run.peers(leader)[0]
	newcomers := s.bear(s.batch(), s.run.nodesOn(peer), nodes)
	for _, c := range newcomers {
		<-c.spare.ready
	}
	links := s.run.around(leader)
	if err := cutAll(links); err != nil {
		return err
	}
	cut := time.Now()
	err = sometime(func() error {
		if now := s.run.leaderBy(s.run.admin(peer), stream); now != "" && now != leader.ServerName {
			f.bit(leader.ServerName + " to " + now)
			return nil
		}
		return errors.New("chaos: its peers elect nobody")
	})
	for _, c := range newcomers {
		close(c.spare.start)
	}
	if err == nil {
		s.soon(func() bool { return haveSessions(newcomers) })
		s.crowdTo(nodes, 1)
		nap(context.Background(), s.pause(7*time.Second, 9*time.Second)-time.Since(cut))
		s.crowdTo(nodes, 2)
	}
	_, mending := mendAll(links)
	s.crowdTo(nodes, 12)
	return errors.Join(err, mending)
}

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
// anywhere, and returns them. Those that get a spare socket wait for its start.
func (s *schedule) bear(n int, nodes, spares []*node) (newcomers []*client) {
	for _, c := range s.run.clients {
		if len(newcomers) < n && !c.hasBegun() {
			if len(nodes) > 0 {
				c.goTo(nodes[s.chance.IntN(len(nodes))])
			}
			if len(spares) > 0 {
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

// crowdTo sends all that began late, and a few others, to some nodes, several times,
// half a second apart.
func (s *schedule) crowdTo(nodes []*node, times int) {
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
		nap(context.Background(), 500*time.Millisecond)
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
	f := s.note("cut node from NATS", n.name)
	links := harness.Both(n.host, server.Host)
	for _, l := range links {
		if err := l.Refuse(); err != nil {
			s.broken(n.name, err)
		}
	}
	s.running.Go(func() {
		defer n.release()
		before, err := server.Connections()
		if err == nil && s.soon(func() bool { return gone(server, n, before) }) {
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
func gone(server *harness.NATSServer, n *node, before []harness.Connection) bool {
	now, err := server.Connections()
	if err != nil {
		return false
	}
	left := make(map[uint64]bool)
	for _, c := range now {
		left[c.CID] = true
	}
	for _, c := range before {
		if c.Addr == n.host.IP && !left[c.CID] {
			return true
		}
	}
	return false
}

// stillPeers freezes the peers of the directory's leader, so that its writes stay
// in flight, while sessions move over sockets that were opened before.
func (s *schedule) stillPeers(f *fault) error {
	leader := s.leader(directory)
	if leader == nil {
		return errors.New("chaos: the directory has no leader")
	}
	f.whom = "beside " + leader.ServerName
	movers, opened := s.movers(), s.run.spares.Load()
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

// movers are some clients that were there from the beginning, with a node for each.
func (s *schedule) movers() (movers []mover) {
	r := s.run
	for _, i := range s.chance.Perm(r.cfg.Clients)[:min(r.cfg.Clients, 10*s.crowd())] {
		if c := r.clients[calmClients+i]; c.session() != "" {
			movers = append(movers, mover{c, r.nodes[s.chance.IntN(len(r.nodes))]})
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

// restoreStores copies the stores of all servers, and puts the copies in their
// place when something has been stored since.
func (s *schedule) restoreStores(f *fault) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*harness.Patience)
	defer cancel()
	dir, err := os.MkdirTemp(s.run.dir, "copy-")
	if err != nil {
		return err
	}
	f.whom = "all"
	if err := s.outside(ctx, history.Copied, func(server *harness.NATSServer) error { return server.Keep(dir) }); err != nil {
		return err
	}
	copied, err := s.run.positions(ctx)
	if err != nil {
		return err
	}
	s.bear(s.batch(), nil, nil)
	s.crowdTo(s.run.nodes, 1+s.chance.IntN(6))
	var last uint64
	err = harness.Until(ctx, func() error {
		if last, err = s.run.positions(ctx); err == nil && last == copied {
			err = errors.New("chaos: nothing is stored")
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.outside(ctx, history.Restored, func(server *harness.NATSServer) error { return server.Restore(dir) }); err != nil {
		return err
	}
	return harness.Until(ctx, func() error {
		now, err := s.run.positions(ctx)
		if err == nil && now < last {
			f.bit(fmt.Sprintf("position %d, and %d before", now, last))
		}
		return err
	})
}

// outside does something with the store of each server while none runs, and writes
// that down before they run again.
func (s *schedule) outside(ctx context.Context, kind history.Kind, do func(*harness.NATSServer) error) error {
	servers := s.run.servers.Servers
	for _, server := range servers {
		server.Kill()
	}
	var errs []error
	for _, server := range servers {
		errs = append(errs, do(server))
	}
	s.run.h.Add(history.Event{Kind: kind})
	for _, server := range servers {
		errs = append(errs, server.Start())
	}
	return errors.Join(append(errs, s.run.servers.WaitReady(ctx))...)
}

// rotate gives nodes and servers another password.
func (s *schedule) rotate(f *fault) error {
	before, err := s.run.secret.change(fmt.Sprintf("another-%d", s.chance.Uint64()))
	if err != nil {
		return err
	}
	f.whom = natsUser
	for _, server := range s.run.servers.Servers {
		if err := server.Rotate(s.run.secret.get()); err != nil {
			return err
		}
	}
	for _, server := range s.run.servers.Servers {
		err := sometime(func() error {
			nc, err := nats.Connect("nats://"+server.Addr, nats.UserInfo(natsUser, before))
			if err == nil {
				nc.Close()
				return fmt.Errorf("chaos: %s takes the old password", server.ServerName)
			}
			if !errors.Is(err, nats.ErrAuthorization) {
				return err
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	f.bit("the old password is refused")
	return nil
}

// noSpace is what a server says whose disk is full.
var noSpace = regexp.MustCompile(`no space left|insufficient resources|resource limits exceeded|out of space`)

// fillDisk fills the disk of a server. nats-server gives a stream up whose file
// could not be written, so it is started anew when there is room.
func (s *schedule) fillDisk(f *fault) error {
	server := s.run.servers.Servers[s.chance.IntN(len(s.run.servers.Servers))]
	f.whom = server.ServerName
	mark := server.Log.Mark()
	free, err := server.Fill()
	if err != nil {
		return err
	}
	err = sometime(func() error {
		left, err := harness.FreeBytes(server.Store)
		if err != nil {
			return err
		}
		if text := server.Log.Since(mark); !noSpace.Match(text) {
			return fmt.Errorf("chaos: %d bytes are left, and %s does not complain", left, server.ServerName)
		}
		f.bit("the server has no space left")
		return nil
	})
	s.hold(500*time.Millisecond, 3*time.Second)
	return errors.Join(err, free(), s.startAnew(server))
}

// startAnew ends a server in an orderly way and starts it again. One whose store
// cannot be read any more, as happens to nats-server after a full disk, gets an
// empty one where its peers have everything.
func (s *schedule) startAnew(server *harness.NATSServer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*harness.Patience)
	defer cancel()
	if err := server.Terminate(ctx); err != nil {
		server.Kill()
	}
	if err := server.Start(); err != nil {
		return err
	}
	err := s.run.servers.WaitReady(ctx)
	if !errors.Is(err, harness.ErrExited) || len(s.run.servers.Servers) == 1 {
		return err
	}
	s.run.cfg.Log("%s cannot read its store and begins with an empty one: %v", server.ServerName, err)
	if err := errors.Join(server.Empty(), server.Start()); err != nil {
		return err
	}
	return s.run.servers.WaitReady(ctx)
}
