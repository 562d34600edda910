package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/stats"
)

// Node is what the API needs of its node. Every field is set, except where it
// says otherwise, and none changes after [New].
type Node struct {
	// Identity.
	ID      scheme.NodeID
	Router  []byte // the address of the router on this node, as JSON
	Version string // of the build
	Started time.Time
	Config  *config.Config
	Pages   map[string]http.Handler // by path, before services' routes; nil: none

	// Parts of the node, each safe for concurrent use.
	Log        *slog.Logger
	LogLevel   *slog.LevelVar // of Log; nil: fixed
	Tracer     trace.Tracer   // nil: no traces
	Metrics    *stats.Metrics
	Traffic    *stats.Traffic
	ClientLog  *stats.ClientLog
	Signatures *access.Signatures // nil: off
	Tokens     *access.Tokens     // nil: no JWT
	Rules      *policy.Book
	Guesses    *access.Guesses
	Accounts   *quota.Table
	Mail       *quota.Mail

	// State of the node. Any goroutine calls these, and none of them waits.
	Readiness     func(details bool) (ready bool, reasons []string) // reasons name parts; details add why
	Warnings      func() []string                                   // what keeps the node from nothing
	Connected     func() bool                                       // to NATS
	ShortOfMemory func() bool
	Connections   func() int64
	Drain         func(why string) // begins a drain

	// NATS returns nil until the node serves. Administrators reach the node before.
	NATS func() *NATS
}

// NATS is the part of a node that asks NATS, complete.
type NATS struct {
	Conn      Conn
	Store     Store
	Directory Directory
	Queues    Queues
	Discovery Discovery
}

// Conn is what posted messages for services, and requests by path, need of NATS.
type Conn interface {
	// Deliver publishes; nats.ErrNoResponders: nobody listens.
	Deliver(ctx context.Context, m *nats.Msg) error
	// RequestMsgWithContext asks as [nats.Conn] does, and sets the reply subject: one that
	// services can reach from accounts of their own. Data is the caller's again afterwards.
	RequestMsgWithContext(ctx context.Context, m *nats.Msg) (*nats.Msg, error)
}

// Store is the part of [store.Store] that takes posted messages.
type Store interface {
	Publish(ctx context.Context, sid scheme.SID, out store.Outgoing) (seq uint64, err error)
	EnqueueWork(ctx context.Context, service scheme.Service, out store.Outgoing) (seq uint64, err error)
}

// Directory is the part of [store.Directory] that finds and lists sessions.
type Directory interface {
	Lookup(ctx context.Context, sid scheme.SID) (store.Found, error)
	Get(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, error)
	Once(ctx context.Context, name string, keep time.Duration) error
	List(ctx context.Context, fn func(sid scheme.SID, e scheme.Entry) bool) error
}

// Queues is [store.Queues], as far as it is asked.
type Queues interface {
	Known(service scheme.Service) bool
	Ask(ctx context.Context, service scheme.Service) (bool, error)
}

// Discovery is the part of [discovery.Discovery] that lists participants. The
// lists belong to all callers.
type Discovery interface {
	Nodes(ctx context.Context) ([]discovery.Instance, error)
	Services(ctx context.Context) ([]discovery.Instance, error)
	ServicesSince(ctx context.Context, after time.Time) ([]discovery.Instance, error)
	Vitals(ctx context.Context) (map[string]json.RawMessage, error)
}

var (
	_ Store     = (*store.Store)(nil)
	_ Directory = (*store.Directory)(nil)
	_ Queues    = (*store.Queues)(nil)
	_ Discovery = (*discovery.Discovery)(nil)
)

// API is the router API of a node, and its HTTP. Safe for concurrent use.
type API struct {
	// Immutable.
	node    Node
	admins  *access.Administrators // at the clients' port
	desk    *access.Administrators // at their listener
	keys    access.HTTPKeys
	catalog *catalog
	gate    *gate

	bodies    buffers
	messages  buffers
	kept      atomic.Pointer[keptStats]
	strangers access.Strangers
}

// RefuseOrigin counts a page that may not connect, and says what would let it in, once
// for each origin. Event loops call it too.
func (a *API) RefuseOrigin(origin string) {
	a.node.Metrics.Dropped.Inc(stats.DropOrigin)
	if advice, first := a.strangers.First(origin); first {
		a.node.Log.Warn("page refused: its origin may not connect", "origin", origin, "set", advice)
	}
}

// New returns the API of a node. It does no I/O.
func New(n Node) *API {
	return &API{
		node: n, keys: access.NewHTTPKeys(n.Config.HttpKeys),
		admins: newAdministrators(&n), desk: newAdministrators(&n),
		catalog: newCatalog(n.Metrics.Dropped.Counting(stats.DropRoutes)),
		gate:    newGate(n.Metrics.UnderWay, n.Metrics.Bodies),
	}
}

// newAdministrators counts wrong tokens apart from the other listener: clients behind an
// administrator's address do not keep it from its own.
func newAdministrators(n *Node) *access.Administrators {
	return access.NewAdministrators(n.Config.AdminToken, n.Metrics.Dropped.Counting(stats.DropGuessTable))
}

// settleEvery is how soon what came for a name counts for its service.
const settleEvery = 2 * time.Second

// Run keeps what the API knows of services until ctx ends. A node that does not run it
// finds none.
func (a *API) Run(ctx context.Context) {
	ticker := time.NewTicker(settleEvery)
	defer ticker.Stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a.catalog.run(ctx, a.services, a.settle)
	}()
	for {
		select {
		case <-ticker.C:
			if a.node.Traffic.Unsettled() {
				a.catalog.want()
			}
		case <-ctx.Done():
			<-stopped
			return
		}
	}
}

// services asks which instances run.
func (a *API) services(ctx context.Context) ([]discovery.Instance, error) {
	n := a.node.NATS()
	if n == nil {
		return nil, errNotServing
	}
	ctx, cancel := context.WithTimeout(ctx, catalogWait)
	defer cancel()
	return n.Discovery.ServicesSince(ctx, time.Now())
}

// settle tells the counts of traffic which services run.
func (a *API) settle(r *registered) {
	a.node.Traffic.Settle(append(slices.Clone(r.running), a.node.Config.ServiceName), time.Now())
}

// Server returns a server for h with the limits that every listener of a node
// needs.
func (a *API) Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: a.node.Config.HandshakeTimeout, ReadTimeout: 30 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		// Complaints about clients: quietly.
		ErrorLog: slog.NewLogLogger(a.node.Log.Handler(), slog.LevelDebug),
	}
}
