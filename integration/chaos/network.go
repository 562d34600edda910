package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// secret is the password of the one user that the servers know, in a run with a
// network; nodes read it from a file.
type secret struct {
	file string // "": the servers let everyone in

	mu    sync.Mutex
	value string
}

const natsUser = "hydrant"

func (s *secret) user() string {
	if s.file == "" {
		return ""
	}
	return natsUser
}

// get is the password of now.
func (s *secret) get() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// change makes another one, and returns the one before.
func (s *secret) change(to string) (before string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.value = s.value, to
	return before, os.WriteFile(s.file, []byte(to+"\n"), 0o600)
}

// login are the options of this process's own connections.
func (r *run) login() []nats.Option {
	if r.secret.file == "" {
		return nil
	}
	return []nats.Option{nats.UserInfoHandler(func() (string, string) { return natsUser, r.secret.get() })}
}

// startServers starts the network, if there is to be one, and NATS.
func (r *run) startServers(ctx context.Context) error {
	o := harness.NATSOptions{Servers: r.cfg.Servers}
	var err error
	if r.dir, err = os.MkdirTemp("", "chaos-"); err != nil {
		return err
	}
	if r.cfg.Network {
		if r.network, err = harness.NewNetwork(); err != nil {
			return err
		}
		for i := range r.cfg.Servers {
			host, err := r.network.Host(fmt.Sprintf("n%d", i))
			if err != nil {
				return err
			}
			o.Hosts = append(o.Hosts, host)
		}
		r.secret.file = filepath.Join(r.dir, "password")
		if _, err := r.secret.change("first"); err != nil {
			return err
		}
		o.SyncAlways, o.User, o.Password, o.Disk = r.cfg.Sync, natsUser, r.secret.get(), storeDisk
	}
	if r.cfg.Clocks && r.cfg.Network {
		if r.binary, err = harness.BuildWithClock(r.dir); err != nil {
			return err
		}
	}
	if r.servers, err = harness.StartNATS(ctx, o); err != nil {
		return err
	}
	for _, s := range r.servers.Servers {
		nc, err := nats.Connect("nats://"+s.Addr, append(r.login(),
			nats.Name("chaos of "+s.ServerName), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(0, 0),
			nats.IgnoreAuthErrorAbort(), nats.IgnoreDiscoveredServers(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
		if err != nil {
			return err
		}
		r.admins = append(r.admins, nc)
	}
	return nil
}

// stopServers ends what startServers has started.
func (r *run) stopServers() error {
	for _, nc := range r.admins {
		nc.Close()
	}
	var errs []error
	if r.servers != nil {
		errs = append(errs, r.servers.Stop())
	}
	if r.network != nil {
		errs = append(errs, r.network.Close())
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

// server is the one with a name; nil: there is none.
func (r *run) server(name string) *harness.NATSServer {
	for _, s := range r.servers.Servers {
		if s.ServerName == name {
			return s
		}
	}
	return nil
}

// admin is a connection to one server and to no other.
func (r *run) admin(s *harness.NATSServer) *nats.Conn {
	for i, other := range r.servers.Servers {
		if other == s {
			return r.admins[i]
		}
	}
	return nil
}

// peers are the other servers.
func (r *run) peers(s *harness.NATSServer) (peers []*harness.NATSServer) {
	for _, other := range r.servers.Servers {
		if other != s {
			peers = append(peers, other)
		}
	}
	return peers
}

// askPatience is how long an answer of the servers' own interface may take. Who
// asks asks again.
const askPatience = 2 * time.Second

// streamInfo is what is read of a stream's state.
type streamInfo struct {
	State struct {
		LastSeq uint64 `json:"last_seq"`
	} `json:"state"`
	Cluster *struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
	Error *struct {
		Description string `json:"description"`
	} `json:"error"`
}

// info asks for a stream's state where a connection leads.
func (r *run) info(nc *nats.Conn, stream string) (info streamInfo, err error) {
	m, err := nc.Request("$JS.API.STREAM.INFO."+stream, nil, askPatience)
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return info, err
	}
	if info.Error != nil {
		return info, errors.New(info.Error.Description)
	}
	return info, nil
}

// leaderBy is the leader of a stream as one sees it over a connection; "": none.
func (r *run) leaderBy(nc *nats.Conn, stream string) string {
	info, err := r.info(nc, stream)
	if err != nil || info.Cluster == nil {
		return ""
	}
	return info.Cluster.Leader
}

// stepDown asks the leader of a stream to give up, in favour of a server if one is
// named. It reports whether it did.
func (r *run) stepDown(nc *nats.Conn, stream, preferred string) bool {
	var request []byte
	if preferred != "" {
		request = fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, preferred)
	}
	m, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, request, askPatience)
	if err != nil {
		return false
	}
	var answer struct {
		Success bool `json:"success"`
	}
	return json.Unmarshal(m.Data, &answer) == nil && answer.Success
}

// connections are those that a node has to a server, as the node's side sees it. A
// server that was cut off may hold one for minutes that the node has given up.
func (n *node) connections(s *harness.NATSServer) []string {
	ports, err := harness.Established(n.process.PID(), s.Addr)
	if err != nil {
		return nil // it does not run
	}
	return ports
}

// nodesOn are the nodes that are connected to a server, the calm one left out.
func (r *run) nodesOn(s *harness.NATSServer) (nodes []*node) {
	for _, n := range r.nodes[1:] {
		if len(n.connections(s)) > 0 {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// uplink is the server that a node is connected to; nil: none.
func (r *run) uplink(n *node) *harness.NATSServer {
	for _, s := range r.servers.Servers {
		if len(n.connections(s)) > 0 {
			return s
		}
	}
	return nil
}

// positions are the last sequences of all streams that hold mailboxes or the
// directory, together.
func (r *run) positions(ctx context.Context) (sum uint64, err error) {
	err = harness.Until(ctx, func() error {
		sum = 0
		for _, name := range streams {
			info, err := r.info(r.nc, name)
			if err != nil {
				return err
			}
			sum += info.State.LastSeq
		}
		return nil
	})
	return sum, err
}

// streams are those that a run depends on.
var streams = []string{"KV_UMF_SESSIONS", "UMF_OUT_0", "UMF_OUT_1", "UMF_OUT_2", "UMF_OUT_3"}

const directory = "KV_UMF_SESSIONS"

// cutAll cuts several ways; if one cannot be cut, none is.
func cutAll(links []harness.Link) error {
	for i, l := range links {
		if err := l.Cut(); err != nil {
			_, mending := mendAll(links[:i])
			return errors.Join(err, mending)
		}
	}
	return nil
}

// mendAll lets everything pass again, and returns what was dropped.
func mendAll(links []harness.Link) (dropped int, err error) {
	for _, l := range links {
		n, merr := l.Mend()
		dropped, err = dropped+n, errors.Join(err, merr)
	}
	return dropped, err
}

// ownRoutes are the ports, each at one end, of the connections over which a server and its
// peers talk of themselves: those of the system's account.
func (r *run) ownRoutes(s *harness.NATSServer) (ports []int, err error) {
	for _, server := range r.servers.Servers {
		routes, err := server.Routes()
		if err != nil {
			return nil, err
		}
		for _, route := range routes {
			if route.Account == "$SYS" && route.Accepted && (server == s || route.IP == s.Host.IP) {
				ports = append(ports, route.Port)
			}
		}
	}
	return ports, nil
}

// around are the ways between a server and its peers.
func (r *run) around(s *harness.NATSServer) (links []harness.Link) {
	for _, peer := range r.peers(s) {
		links = append(links, harness.Both(s.Host, peer.Host)...)
	}
	return links
}
