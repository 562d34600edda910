package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/chaos/check"
	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// A Recovery is how a whole Hydrant came through one fault.
type Recovery struct {
	Fault    string
	Servers  int
	Sessions int
	NATS     time.Duration // from the fault until the servers store again, for every stream
	Live     time.Duration // … until the last session got what was sent then
	Ready    time.Duration // … until the last node that was not ready is; 0: all were, all the time
	Sockets  int           // that were lost
	Accepted int           // messages of the whole run
	Lost     int           // of those
	Broken   int           // other promises that were broken
}

// hurt makes a fault at once, and returns what undoes it; nil: nothing has to. A
// connection of the test by which the servers can be asked meanwhile is nc.
type hurt func(s *schedule) (undo func() error, nc *nats.Conn, err error)

// recoverable is one fault whose recovery is measured.
type recoverable struct {
	fault   string
	servers int
	network bool          // it needs one
	lasts   time.Duration // before it is undone
	hurt    hurt
}

// splitLasts is longer than servers need to elect another leader.
const splitLasts = 15 * time.Second

var recoverables = []recoverable{
	{"node killed", 1, false, 0, func(s *schedule) (func() error, *nats.Conn, error) {
		s.run.nodes[1].process.Kill()
		return s.run.nodes[1].process.Start, s.run.nc, nil
	}},
	{"node told to end", 1, false, 0, func(s *schedule) (func() error, *nats.Conn, error) {
		return s.run.nodes[1].process.Start, s.run.nc, s.run.nodes[1].process.Terminate(context.Background())
	}},
	{"node frozen for 5 s", 1, false, 5 * time.Second, func(s *schedule) (func() error, *nats.Conn, error) {
		return s.run.nodes[1].process.Thaw, s.run.nc, s.run.nodes[1].process.Freeze()
	}},
	{"node cut off from its server for 15 s", 3, true, splitLasts, cutNode},
	{"NATS killed and started again", 1, false, 0, func(s *schedule) (func() error, *nats.Conn, error) {
		s.run.servers.Servers[0].Kill()
		return nil, s.run.nc, s.run.servers.Servers[0].Start()
	}},
	{"NATS frozen for 5 s", 1, false, 5 * time.Second, func(s *schedule) (func() error, *nats.Conn, error) {
		return s.run.servers.Servers[0].Thaw, s.run.nc, s.run.servers.Servers[0].Freeze()
	}},
	{"credentials rotated", 1, true, 0, func(s *schedule) (func() error, *nats.Conn, error) {
		return nil, s.run.nc, s.rotate(s.note("rotate credentials", ""))
	}},
	{"directory's leader killed", 3, false, splitLasts, killDirectory},
	{"directory's leader split off for 15 s", 3, true, splitLasts, splitOff},
}

// ErrRecovery is returned where there is no such fault.
var ErrRecovery = errors.New("chaos: no such recovery")

// Recoveries are the names of the faults that Recover knows.
func Recoveries() (names []string) {
	for _, r := range recoverables {
		names = append(names, r.fault)
	}
	return names
}

// Recover makes one fault and measures how everything comes back. Sessions is
// Config.Clients; what Config says of faults does not count.
func Recover(ctx context.Context, cfg Config, fault string) (Recovery, error) {
	at := slices.IndexFunc(recoverables, func(r recoverable) bool { return r.fault == fault })
	if at < 0 {
		return Recovery{}, fmt.Errorf("%w: %q", ErrRecovery, fault)
	}
	chosen := recoverables[at]
	result := Recovery{Fault: fault, Servers: chosen.servers, Sessions: cfg.Clients}
	if chosen.network && !cfg.Network {
		return result, fmt.Errorf("%w: %s", harness.ErrNoNamespaces, fault)
	}
	var text bytes.Buffer
	cfg.History, cfg.Servers = &text, chosen.servers
	cfg.measure = func(s *schedule) error { return s.measure(chosen, &result) }
	if err := Run(ctx, cfg); err != nil {
		return result, err
	}
	report, err := check.History(&text)
	if err != nil {
		return result, err
	}
	result.Accepted, result.Lost = report.Accepted, report.Count("I1")
	result.Broken = len(report.Violations) + report.Suppressed - result.Lost
	return result, nil
}

// measure makes the fault and fills in what is measured of it.
func (s *schedule) measure(c recoverable, result *Recovery) error {
	r := s.run
	ctx, cancel := context.WithTimeout(context.Background(), 3*harness.Patience)
	defer cancel()
	probes, err := r.oneOfEach(ctx)
	if err != nil {
		return err
	}
	sockets := r.lost.Load()
	f := s.note(c.fault, "")
	began := time.Now()
	undo, nc, err := c.hurt(s)
	if err != nil {
		return err
	}
	f.bit("made")
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var watch sync.WaitGroup
	watch.Go(func() { result.Ready = r.unready(watching, began) })
	var undoing sync.WaitGroup
	var undone error
	if undo != nil {
		undoing.Go(func() {
			nap(ctx, c.lasts-time.Since(began))
			undone = undo()
		})
	}
	if result.NATS, err = r.storesAgain(ctx, nc, probes, began); err != nil {
		return errors.Join(err, errOf(&undoing, &undone))
	}
	if result.Live, err = r.allLive(ctx, nc, began); err != nil {
		stop()
		watch.Wait()
		result.Live, result.Ready = never, never
		return errors.Join(err, errOf(&undoing, &undone))
	}
	result.Sockets = int(r.lost.Load() - sockets)
	if err := errOf(&undoing, &undone); err != nil {
		return err
	}
	for _, n := range r.nodes {
		if err := n.heal(ctx); err != nil {
			return err
		}
	}
	stop()
	watch.Wait()
	return nil
}

// never stands for a time that is not over within minutes.
const never = -1

// unready looks at all nodes until ctx ends, and returns when one was seen last
// that was not ready.
func (r *run) unready(ctx context.Context, began time.Time) (last time.Duration) {
	for ctx.Err() == nil {
		for _, n := range r.nodes {
			if n.process.Ready() != nil {
				last = time.Since(began)
			}
		}
		nap(ctx, 20*time.Millisecond)
	}
	return last
}

func errOf(w *sync.WaitGroup, err *error) error {
	w.Wait()
	return *err
}

// oneOfEach finds a session for each stream of mailboxes.
func (r *run) oneOfEach(ctx context.Context) (sids []string, err error) {
	found := make(map[string]bool)
	for _, c := range r.clients[:calmClients+r.cfg.Clients] {
		ack, err := r.storeBy(ctx, r.js, c.session(), r.newMid(history.ByNATS))
		if err != nil {
			return nil, err
		}
		if !found[ack.Stream] {
			found[ack.Stream] = true
			sids = append(sids, c.session())
		}
		if len(found) == len(streams)-1 {
			return sids, nil
		}
	}
	return nil, errors.New("chaos: not every stream has a session")
}

// storeBy stores a message and writes down what came of it.
func (r *run) storeBy(ctx context.Context, js jetstream.JetStream, sid, mid string) (ack *jetstream.PubAck, err error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	r.attempt(mid, sid, history.ByNATS, func() (uint64, error) {
		if ack, err = js.Publish(ctx, "umf.v1.out."+sid[:1]+"."+sid, bareMessage(sid, mid)); err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	})
	return ack, err
}

func bareMessage(sid, mid string) []byte {
	return fmt.Appendf(nil, `{"to":"%s@client:/","frm":"bare@chaos:/","mid":%q,"bdy":{"for":%q}}`, sid, mid, sid)
}

// storesAgain returns when each stream has taken a message, and the directory has a
// leader.
func (r *run) storesAgain(ctx context.Context, nc *nats.Conn, sids []string, began time.Time) (time.Duration, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	for _, sid := range sids {
		err := harness.Until(ctx, func() error {
			_, err := r.storeBy(ctx, js, sid, r.newMid(history.ByNATS))
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	err = harness.Until(ctx, func() error {
		info, err := r.info(nc, directory)
		if err == nil && info.Cluster != nil && r.cfg.Servers > 1 && info.Cluster.Leader == "" {
			return errNotYet
		}
		return err
	})
	return time.Since(began), err
}

// allLive stores a message for every session, and returns when the last has come.
func (r *run) allLive(ctx context.Context, nc *nats.Conn, began time.Time) (time.Duration, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4000), jetstream.WithPublishAsyncTimeout(publishPatience))
	if err != nil {
		return 0, err
	}
	mids := make([]string, 0, r.cfg.Clients)
	var sending sync.WaitGroup
	for _, c := range r.clients[calmClients : calmClients+r.cfg.Clients] {
		sid, mid := c.session(), r.newMid(history.ByNATS)
		mids = append(mids, mid)
		r.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: sid, Source: history.ByNATS})
		future, err := js.PublishAsync("umf.v1.out."+sid[:1]+"."+sid, bareMessage(sid, mid))
		if err != nil {
			return 0, err
		}
		sending.Go(func() {
			select {
			case ack := <-future.Ok():
				r.told(mid, sid, ack.Sequence, nil)
			case err := <-future.Err():
				r.told(mid, sid, 0, err)
			}
		})
	}
	var last time.Time
	err = harness.Until(ctx, func() error {
		for len(mids) > 0 {
			at, ok := r.seen.at(mids[0])
			if !ok {
				return fmt.Errorf("chaos: %d sessions are not live", len(mids))
			}
			if at.After(last) {
				last = at
			}
			mids = mids[1:]
		}
		return nil
	})
	sending.Wait()
	return last.Sub(began), err
}

func cutNode(s *schedule) (func() error, *nats.Conn, error) {
	n := s.run.nodes[1]
	server := s.run.uplink(n)
	if server == nil {
		return nil, nil, fmt.Errorf("chaos: %s is connected to no server", n.name)
	}
	return cutUntil(harness.Both(n.host, server.Host), s.run.nc)
}

func cutUntil(links []harness.Link, nc *nats.Conn) (func() error, *nats.Conn, error) {
	return func() error {
		_, err := mendAll(links)
		return err
	}, nc, cutAll(links)
}

func killDirectory(s *schedule) (func() error, *nats.Conn, error) {
	leader := s.leader(directory)
	if leader == nil {
		return nil, nil, errors.New("chaos: the directory has no leader")
	}
	leader.Kill()
	return leader.Start, s.run.admin(s.run.peers(leader)[0]), nil
}

func splitOff(s *schedule) (func() error, *nats.Conn, error) {
	leader, _, err := s.leadWithNodes(directory)
	if err != nil {
		return nil, nil, err
	}
	return cutUntil(s.run.around(leader), s.run.admin(s.run.peers(leader)[0]))
}

// Row is the recovery as a line of a table in Markdown; RecoveryHead is what comes
// above.
func (r Recovery) Row() string {
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %d of %d | %d of %d |",
		r.Fault, r.Servers, seconds(r.NATS), seconds(r.Live), seconds(r.Ready), r.Sockets, r.Sessions, r.Lost, r.Accepted)
}

// RecoveryHead is the head of the table.
var RecoveryHead = strings.Join([]string{
	"| Fault | NATS servers | NATS stores again | last session live | nodes ready | sockets lost | messages lost |",
	"|---|---|---|---|---|---|---|",
}, "\n")

func seconds(d time.Duration) string {
	if d == never {
		return "never"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
