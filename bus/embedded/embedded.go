package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/local"
)

// ErrStart: the server did not come up; the text says why as far as the
// server told.
var ErrStart = errors.New("embedded: NATS did not start")

// ErrFailed: the server has stopped, or switched JetStream off, as nats-server does
// when its disk fails. It does not switch it on again.
var ErrFailed = errors.New("embedded: NATS stores nothing any more")

// Room is for what is added to a client's message: the envelope's routing
// fields, and headers.
const Room = 64 << 10

// DefaultMaxPayload lets a message of 1 MiB through.
const DefaultMaxPayload = 1<<20/3*4 + Room

// PayloadFor is the MaxPayload that lets messages of a size through, and the bodies of
// HTTP of that size, which go as base64 where they are no JSON.
func PayloadFor(message int) int32 { return int32(message/3*4 + Room) }

// Options of a server. The zero value needs only DataDir.
type Options struct {
	// DataDir is where JetStream keeps its files, made if it is missing.
	// Required; one server at a time may have it.
	DataDir string
	// Listen is the client address, host:port; port 0 takes a free one.
	// Default 127.0.0.1:0.
	Listen string
	// NoListen keeps the server from opening a socket: only InProcess
	// connections reach it. Listen is ignored.
	NoListen bool
	// Open lets everybody who connects do everything: for programs that share the server
	// with nobody, such as tests. It is refused where others than this machine could
	// connect.
	Open bool
	// MaxPayload bounds a message with its headers. Default DefaultMaxPayload.
	MaxPayload int32
	// MaxMemory and MaxStore bound JetStream, in bytes; 0 lets the server
	// derive them from the machine.
	MaxMemory, MaxStore int64
	// SyncAlways syncs every write to the disk before it is acknowledged.
	SyncAlways bool
	// ReadyTimeout bounds the start. Default 30 s: recovery of large streams
	// takes its time.
	ReadyTimeout time.Duration
	// Logger takes the server's log. Default: nothing is logged.
	Logger *slog.Logger
	// Cluster joins this server with others; nil for a server alone. Such a server must
	// be Open: each has passwords of its own.
	Cluster *Cluster
}

// Cluster describes this server's place in a cluster.
type Cluster struct {
	// Name of the cluster, Server of this member (unique within it).
	Name, Server string
	// Listen is the address for the other members, host:port.
	Listen string
	// Routes are the other members, "nats://host:port".
	Routes []string
}

// Server is a running NATS server. All methods may be called concurrently.
type Server struct {
	// Immutable after Start.
	ns        *server.Server
	passwords map[string]string // by user; empty: it is open
	lock      *flock.Flock      // of the data directory
	log       *logger
	failed    chan error    // watch sends one, and closes it
	stop      chan struct{} // closed by Shutdown
	once      sync.Once
}

// Start starts a server and returns when it accepts connections and, unless it
// is a member of a cluster that is still to be formed, JetStream is up. Errors
// wrap [ErrStart].
func Start(o Options) (*Server, error) {
	so, err := o.serverOptions()
	if err != nil {
		return nil, err
	}
	lock, err := lockDataDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	log := newLogger(o.Logger)
	passwords, err := o.secure(so)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	ns, err := run(so, o, log)
	if err == nil {
		err = o.announce(ns)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s := &Server{passwords: passwords, ns: ns, lock: lock, log: log, failed: make(chan error, 1), stop: make(chan struct{})}
	go s.watch()
	return s, nil
}

// run starts the server itself.
func run(so *server.Options, o Options, log *logger) (*server.Server, error) {
	ns, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	ns.SetLoggerV2(log, false, false, false)
	ns.Start()
	if !ready(ns, log, o.ReadyTimeout) {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, fmt.Errorf("%w: %s", ErrStart, log.lastError())
	}
	// The server disables JetStream, and goes on, when its directory cannot
	// be used; nothing here works without it.
	if !ns.JetStreamEnabled() {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, fmt.Errorf("%w: JetStream is disabled: %s", ErrStart, log.lastError())
	}
	return ns, nil
}

// ready waits until the server accepts connections. It gives up at the timeout
// (0: 30 s) or as soon as the server has logged that it cannot go on.
func ready(ns *server.Server, log *logger, timeout time.Duration) bool {
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	for end := time.Now().Add(timeout); time.Now().Before(end); {
		if ns.ReadyForConnections(50 * time.Millisecond) {
			return true
		}
		if log.dead() {
			return false
		}
	}
	return false
}

// serverOptions maps Options to those of nats-server.
func (o *Options) serverOptions() (*server.Options, error) {
	if o.DataDir == "" {
		return nil, fmt.Errorf("%w: no data directory", ErrStart)
	}
	listen := o.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	host, port, err := hostPort(listen)
	if err != nil {
		return nil, err
	}
	so := &server.Options{
		Host:               host,
		Port:               port,
		DontListen:         o.NoListen,
		NoSigs:             true, // signals are the process's own business
		NoLog:              true, // but for what SetLoggerV2 takes
		JetStream:          true,
		StoreDir:           o.DataDir,
		JetStreamMaxMemory: o.MaxMemory,
		JetStreamMaxStore:  o.MaxStore,
		SyncAlways:         o.SyncAlways,
		MaxPayload:         o.MaxPayload,
		ServerName:         "hydrant",
	}
	if so.MaxPayload <= 0 {
		so.MaxPayload = DefaultMaxPayload
	}
	so.MaxPending = max(server.MAX_PENDING_SIZE, int64(so.MaxPayload)) // less is refused
	if c := o.Cluster; c != nil {
		so.ServerName = c.Server
		so.Cluster.Name = c.Name
		if so.Cluster.Host, so.Cluster.Port, err = hostPort(c.Listen); err != nil {
			return nil, err
		}
		so.Routes = server.RoutesFromStr(strings.Join(c.Routes, ","))
	}
	return so, nil
}

// hostPort splits host:port; port 0 becomes the server's "any free port".
func hostPort(addr string) (string, int, error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%w: listen address: %w", ErrStart, err)
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%w: listen address %q: bad port", ErrStart, addr)
	}
	if port == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(port), nil
}

// watchEvery is how often a server is looked at.
const watchEvery = time.Second

// watch notices that the server stores nothing any more.
func (s *Server) watch() {
	defer close(s.failed)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		if !s.ns.Running() || !s.ns.JetStreamEnabled() {
			select {
			case <-s.stop: // that is why
			default:
				s.failed <- fmt.Errorf("%w: %s", ErrFailed, s.log.lastError())
			}
			return
		}
	}
}

// Failed gets an error that wraps [ErrFailed] when the server cannot go on, and is
// closed after it or by Shutdown. There is one, for one receiver.
func (s *Server) Failed() <-chan error { return s.failed }

// URL is the address for clients: "nats://host:port".
func (s *Server) URL() string { return s.ns.ClientURL() }

// URLFor is the address by which this machine reaches the server, with the name and
// password of a user, [scheme.UserEdge] or [scheme.UserService]. It is a secret. Of an
// open server it is URL.
func (s *Server) URLFor(user string) string {
	password, ok := s.passwords[user]
	if !ok {
		return s.URL()
	}
	return "nats://" + user + ":" + password + "@" + strings.TrimPrefix(local.Reachable(s.ns.Addr()), "nats://")
}

// InProcess connects without a socket: pass it to bus.Connect or nats.Connect.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.ns) }

// Connect is nats.Connect to this server with name and opts.
func (s *Server) Connect(name string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(s.URL(), append([]nats.Option{nats.Name(name)}, opts...)...)
}

// NATS is the server itself, for what this package does not wrap.
func (s *Server) NATS() *server.Server { return s.ns }

// Shutdown stops the server: it closes all connections, flushes the streams
// and releases the data directory. It returns when that is done, or with the
// context's error while the server goes on stopping.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(func() { close(s.stop) })
	done := make(chan struct{})
	var err error // written before done is closed
	go func() {
		defer close(done)
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
		err = s.lock.Close()
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("embedded: shutdown: %w", ctx.Err())
	}
}
