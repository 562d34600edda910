package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATSOptions say what servers StartNATS starts. The zero value is one stock
// server with JetStream.
type NATSOptions struct {
	Servers    int   // 1 (or 0) or 3
	MaxPayload int   // bytes of a message; 0: the server's default, 1 MiB
	MaxStore   int64 // bytes that JetStream may store; 0: the server's default
	NoStore    bool  // without JetStream
	Watch      bool  // look at the subject of every message; for one server

	// Those below are for servers that are configured by a file.
	Hosts      []*Host // where each of them runs; nil: here, on loopback
	SyncAlways bool    // sync every write to the disk
	User       string  // whom alone they let in; empty: everyone
	Password   string  // of the user
	Include    string  // a file of configuration, with users for example; the servers' own include it
	Disk       int64   // bytes of a file system for each store, in memory; 0: the disk of the system
}

// file reports whether the servers are configured by a file.
func (o *NATSOptions) file() bool {
	return o.Hosts != nil || o.SyncAlways || o.User != "" || o.Include != "" || o.Disk > 0
}

// NATS is a group of nats-server processes with JetStream in a directory of
// its own. Not for concurrent use, but for what only reads.
type NATS struct {
	Servers []*NATSServer
	Watch   *Watch // nil unless asked for
	dir     string
}

// NATSServer is one of them. It keeps its ports and store across restarts.
type NATSServer struct {
	*Process
	ServerName string
	Addr       string // of clients
	Monitor    string // of the monitoring HTTP endpoint
	Store      string // JetStream's directory; empty without JetStream
	Host       *Host  // where it runs; nil: here
	args       []string
	config     *natsConfig // nil: args say it all
	log        *Log
	output     io.Writer // the log, or the watch in front of it
}

// startAttempts is how often a start is tried on new ports, in case somebody
// took one between choosing and listening.
const startAttempts = 4

// StartNATS starts the servers and waits until they can store.
func StartNATS(ctx context.Context, o NATSOptions) (*NATS, error) {
	o.Servers = max(o.Servers, 1)
	var errs []error
	for range startAttempts {
		n, err := startNATS(ctx, o)
		if err == nil {
			return n, nil
		}
		if errs = append(errs, err); !errors.Is(err, ErrExited) {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func startNATS(ctx context.Context, o NATSOptions) (*NATS, error) {
	dir, err := os.MkdirTemp("", "hydrant-nats-")
	if err != nil {
		return nil, err
	}
	n := &NATS{dir: dir}
	ports, routes, err := o.addresses()
	if err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	for i := range o.Servers {
		s := &NATSServer{ServerName: fmt.Sprintf("n%d", i), Addr: ports[3*i], Monitor: ports[3*i+1], log: &Log{}}
		s.args = []string{"-name", s.ServerName, "-port", portOf(s.Addr), "-monitor", portOf(s.Monitor)}
		if !o.NoStore {
			s.Store = filepath.Join(dir, strconv.Itoa(i))
			s.args = append(s.args, "-store", s.Store)
		}
		if o.MaxStore > 0 {
			s.args = append(s.args, "-max-store", strconv.FormatInt(o.MaxStore, 10))
		}
		if o.MaxPayload > 0 {
			s.args = append(s.args, "-max-payload", strconv.Itoa(o.MaxPayload))
		}
		if o.Servers > 1 {
			s.args = append(s.args, "-cluster", "hydrant-test", "-cluster-port", portOf(ports[3*i+2]),
				"-routes", strings.Join(routes, ","))
		}
		s.output = s.log
		if o.Hosts != nil {
			s.Host = o.Hosts[i]
		}
		if o.file() {
			s.config = &natsConfig{o: o, path: filepath.Join(dir, s.ServerName+".conf"), cluster: ports[3*i+2], routes: routes}
			s.args = []string{"-config", s.config.path}
			if err := s.configure(); err != nil {
				return nil, errors.Join(err, n.Stop())
			}
		}
		if o.Watch {
			n.Watch = newWatch(s.log)
			s.output = n.Watch
			s.args = append(s.args, "-watch")
		}
		n.Servers = append(n.Servers, s)
		if err := s.Start(); err != nil {
			return nil, errors.Join(err, n.Stop())
		}
	}
	if err := n.WaitReady(ctx); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

// addresses are three of each server, for clients, its pages and its peers, and the
// last of them as the URLs of routes.
func (o *NATSOptions) addresses() (ports, routes []string, err error) {
	ports = make([]string, 3*o.Servers)
	for i := range ports {
		if ports[i], err = FreeAddr(); err != nil {
			return nil, nil, err
		}
		if o.Hosts != nil {
			ports[i] = o.Hosts[i/3].on(ports[i])
		}
		if i%3 == 2 {
			routes = append(routes, "nats://"+ports[i])
		}
	}
	return ports, routes, nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// Start runs the server, or runs it again after its end, on the same store.
// It does not wait for it to be ready.
func (s *NATSServer) Start() error {
	bin, err := Build()
	if err != nil {
		return err
	}
	path, args := s.Host.run(bin.Natsd, s.args)
	p, err := StartProcess("nats "+s.Addr, path, args, nil, s.log, s.output)
	if err != nil {
		return err
	}
	s.Process = p
	return nil
}

// URL names all servers, as NATS_URL takes them.
func (n *NATS) URL() string {
	urls := make([]string, len(n.Servers))
	for i, s := range n.Servers {
		urls[i] = "nats://" + s.Addr
	}
	return strings.Join(urls, ",")
}

// Connect opens a connection for a test: a service, a publisher, a watcher.
func (n *NATS) Connect(name string, options ...nats.Option) (*nats.Conn, error) {
	return ConnectNATS(n.URL(), append([]nats.Option{nats.Name(name), nats.ReconnectWait(100 * time.Millisecond)}, options...)...)
}

// ConnectNATS connects for good. It gives servers more time if they have not answered,
// and no more than that took when it connects again, since one may be frozen then.
func ConnectNATS(url string, options ...nats.Option) (*nats.Conn, error) {
	for timeout := nats.DefaultTimeout; ; timeout *= 2 {
		nc, err := nats.Connect(url, append([]nats.Option{nats.MaxReconnects(-1), nats.Timeout(timeout)}, options...)...)
		late := errors.Is(err, nats.ErrTimeout) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, nats.ErrNoServers)
		if !late || timeout > Patience {
			return nc, err
		}
	}
}

// WaitReady returns when every server takes clients and, with JetStream, when
// an asset can be made with as many replicas as there are servers, each of which is
// current.
func (n *NATS) WaitReady(ctx context.Context) error { return n.wait(ctx, "/healthz") }

// WaitServing returns when every server takes clients and, with JetStream, knows the
// cluster's leader. Its replicas of streams may be behind their leaders, for minutes:
// a server that led a stream while it was cut off has taken entries that nobody else
// has, and gives up one of them every two seconds (as of 2.15).
func (n *NATS) WaitServing(ctx context.Context) error {
	return n.wait(ctx, "/healthz?js-server-only=true")
}

func (n *NATS) wait(ctx context.Context, page string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for _, s := range n.Servers {
		err := Until(ctx, func() error {
			err := s.healthy(page)
			if errors.Is(err, ErrExited) {
				cancel() // not a reason to wait any longer
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("harness: %s is not ready: %w\n%s", s.Name, err, s.log.Tail(4096))
		}
	}
	return nil
}

// healthy asks the server itself, whose answer includes JetStream's state and
// the meta leader of a cluster.
func (s *NATSServer) healthy(page string) error {
	select {
	case <-s.Exited():
		return fmt.Errorf("%w: %w", ErrExited, s.Err())
	default:
	}
	_, err := Get("http://" + s.Monitor + page)
	return err
}

// Connection is what a server says of one of its clients.
type Connection struct {
	CID  uint64 `json:"cid"`
	Name string `json:"name"`
	Addr string `json:"ip"`
	Port int    `json:"port"`
}

// Connections lists the clients of the server: a client that was thrown out
// and came back has another CID.
func (s *NATSServer) Connections() ([]Connection, error) {
	var answer struct {
		Connections []Connection `json:"connections"`
	}
	err := s.page("/connz?limit=10000", &answer)
	return answer.Connections, err
}

// page reads one of the server's own pages.
func (s *NATSServer) page(path string, into any) error {
	body, err := Get("http://" + s.Monitor + path)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// Streams lists the JetStream streams that exist.
func (n *NATS) Streams(ctx context.Context, nc *nats.Conn) ([]string, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	var names []string
	list := js.StreamNames(ctx)
	for name := range list.Name() {
		names = append(names, name)
	}
	return names, list.Err()
}

// Stop kills the servers and removes their stores.
func (n *NATS) Stop() error {
	var errs []error
	for _, s := range n.Servers {
		if s.Process != nil {
			s.Kill()
		}
		if s.config != nil && s.config.mounted {
			errs = append(errs, Unmount(s.Store))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(n.dir))...)
}

// plainHTTP has no keep-alive, so that a request leaves nothing behind.
var plainHTTP = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true},
	Timeout:   Patience,
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

// Get fetches a page whose status must be 200.
func Get(url string) ([]byte, error) {
	response, err := plainHTTP.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("harness: GET %s: %s: %s", url, response.Status, bytes.TrimSpace(body))
	}
	return body, nil
}

// Do performs an HTTP request without following redirects.
func Do(request *http.Request) (*http.Response, []byte, error) {
	response, err := plainHTTP.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	return response, body, err
}
