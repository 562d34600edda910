package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/chaos/check"
	"hydrant/integration/harness"
)

// A Recovery is how a whole Hydrant came through one fault.
type Recovery struct {
	Fault    string
	Servers  int
	Sessions int
	NATS     time.Duration // from the fault until the servers store again, for every stream
	Asked    time.Duration // … until the last client asked for its session; 0: none had to
	Live     time.Duration // … until the last session got what was sent when the servers stored again
	Ready    time.Duration // … until the last node that was not ready is; 0: all were, all the time
	Work     time.Duration // … until work was done that was sent when the servers stored again
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
	crowded bool          // it is a fault of one node, which has all sessions
	lasts   time.Duration // before it is undone
	hurt    hurt
}

// splitLasts is longer than servers need to elect another leader.
const splitLasts = 15 * time.Second

var recoverables = []recoverable{
	{"node killed", 1, false, true, 0, func(s *schedule) (func() error, *nats.Conn, error) {
		s.run.nodes[1].process.Kill()
		return s.run.nodes[1].process.Start, s.run.nc, nil
	}},
	{"node told to end", 1, false, true, 0, func(s *schedule) (func() error, *nats.Conn, error) {
		return s.run.nodes[1].process.Start, s.run.nc, s.run.nodes[1].process.Terminate(context.Background())
	}},
	{"node frozen for 5 s", 1, false, true, 5 * time.Second, func(s *schedule) (func() error, *nats.Conn, error) {
		return s.run.nodes[1].process.Thaw, s.run.nc, s.run.nodes[1].process.Freeze()
	}},
	{"node cut off from its server for 15 s", 3, true, true, splitLasts, cutNode},
	{"NATS killed and started again", 1, false, false, 0, func(s *schedule) (func() error, *nats.Conn, error) {
		s.run.servers.Servers[0].Kill()
		return nil, s.run.nc, s.run.servers.Servers[0].Start()
	}},
	{"NATS frozen for 5 s", 1, false, false, 5 * time.Second, func(s *schedule) (func() error, *nats.Conn, error) {
		return s.run.servers.Servers[0].Thaw, s.run.nc, s.run.servers.Servers[0].Freeze()
	}},
	{"credentials rotated", 1, true, false, 0, func(s *schedule) (func() error, *nats.Conn, error) {
		return nil, s.run.nc, s.rotate(s.note("rotate credentials", ""))
	}},
	{"directory's leader killed", 3, false, false, splitLasts, killDirectory},
	{"directory's leader split off for 15 s", 3, true, false, splitLasts, splitOff},
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
	cfg.History, cfg.Servers, cfg.raw = &text, chosen.servers, true
	cfg.defaults()
	cfg.measure = func(s *schedule) error { return s.measure(chosen, &result) }
	if err := Run(ctx, cfg); err != nil {
		return result, err
	}
	report, err := check.History(&text)
	if err != nil {
		return result, err
	}
	for _, v := range report.Violations {
		cfg.Log("%v", v)
	}
	result.Accepted, result.Lost = report.Accepted, report.Count("I1")
	result.Broken = len(report.Violations) + report.Suppressed - result.Lost
	return result, nil
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
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | %s | %d of %d | %d of %d |",
		r.Fault, r.Servers, seconds(r.NATS), seconds(r.Asked), seconds(r.Live), seconds(r.Ready), seconds(r.Work), r.Sockets, r.Sessions, r.Lost, r.Accepted)
}

// RecoveryHead is the head of the table.
var RecoveryHead = strings.Join([]string{
	"| Fault | NATS servers | NATS stores again | last client asks | last session live | nodes ready | work done | sockets lost | messages lost |",
	"|---|---|---|---|---|---|---|---|---|",
}, "\n")

func seconds(d time.Duration) string {
	switch d {
	case never:
		return "never"
	case 0:
		return "–"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
