package shard

import (
	"context"
	"iter"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/crowd"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/tail"
	"hydrant/edge/internal/takeover"
	"hydrant/edge/internal/wire"
	"hydrant/umf"
)

// Node is what a shard needs of the node that it is part of. All shards share it,
// and nothing of it changes.
type Node struct {
	ID      scheme.NodeID
	Router  []byte // the address of the router on this node, as JSON
	Config  *config.Config
	Log     *slog.Logger
	Metrics *stats.Metrics
	Tracing *Tracing  // nil: off
	Started time.Time // what durations since the start count from
	Shards  int

	Stopped    context.Context                             // ends when the node has stopped
	Signatures *access.Signatures                          // nil: off
	CheckToken func(token string) (access.Identity, error) // with EDGE_AUTH=jwt; see [access.Tokens.Check]
	Rules      *policy.Book
	Guesses    *access.Guesses
	Accounts   *quota.Table
	Mail       *quota.Mail
	ClientLog  *stats.ClientLog
	Traffic    *stats.Traffic

	Tails      *tail.Budget
	Crowd      *crowd.Crowd
	Short      *atomic.Bool  // of memory
	Full       *atomic.Bool  // the directory, nearly: there are no fresh sessions
	Connected  *atomic.Bool  // to NATS
	MaxPayload *atomic.Int64 // the largest message that NATS takes, less room for headers
	Epoch      func() uint64 // of the connection to NATS; see [Epoch]

	Calls     Calls
	Resumes   Calls // apart, so that resumes wait for nothing else
	Directory Directory
	Mailboxes Mailboxes
	Logs      *Logs // of Build
	Queues    Queues
	Peers     Peers
	API       API
	Refused   egress.Refused
}

// Calls runs what has to be waited for on other goroutines; see [egress.Pool].
type Calls interface {
	Submit(job func()) bool
	SubmitIdle(job func()) bool
}

// Directory is what a shard asks of [store.Directory].
type Directory interface {
	Get(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, error)
	Parse(answer *nats.Msg) (scheme.Entry, uint64, error)                                                // to what was asked at [store.EntrySubject]
	Sure(ctx context.Context, sid scheme.SID) (e scheme.Entry, rev uint64, age time.Duration, err error) // [store.Directory.SureAge]
	Lookup(ctx context.Context, sid scheme.SID) (store.Found, error)
	Known(sid scheme.SID) (found store.Found, cached bool)
	Forget(sid scheme.SID)
	Delete(ctx context.Context, sid scheme.SID, rev uint64) error
	NoteBack(ctx context.Context, partition int, last store.BackNote, gone store.Sighting) error
	LastBack(ctx context.Context, partition int) (store.BackNote, error)
}

// Mailboxes is what a shard asks of [store.Store].
type Mailboxes interface {
	Read(ctx context.Context, sid scheme.SID, from, anchor uint64, limit, maxBytes int) (store.Batch, error)
	LastSeqs(ctx context.Context, sids []scheme.SID) (map[scheme.SID]uint64, error)
	WentBack(ctx context.Context, seen store.Sighting) (bool, error)
	PartitionOf(sid scheme.SID) int
	NewSID() (scheme.SID, error)
	TTL() time.Duration
}

// Queues is what a shard asks of [store.Queues].
type Queues interface {
	Known(service scheme.Service) bool
	Ask(ctx context.Context, service scheme.Service) (bool, error)
}

// Peers asks other nodes for sessions; see [takeover.Ask].
type Peers interface {
	Ask(ctx context.Context, node scheme.NodeID, r takeover.Request) (ownership.Reply, takeover.Answer, error)
}

// API finds a route of the router API for a client that shows an authorization and comes
// from an address. Without a call it is refused with a code. call is made on another
// goroutine.
type API func(path, authorization string, from netip.Addr) (call func(context.Context) ([]byte, error), no protocol.Code)

// Outbox takes what the loop asks of NATS; see [egress.Outbox].
type Outbox interface {
	Push(op egress.Op)
	Room(bytes int) bool
	Strained() bool
	Keep(bytes int)
	Drop(bytes int)
	Pause()
	Flush()
}

// Loop is the event loop that a shard runs on. [wire.Loop] is one.
type Loop interface {
	Now() time.Time
	AfterFunc(d time.Duration, f func()) Timer
	// PostWait runs f on the loop. Any goroutine may call it. It waits for room in
	// the loop's inbox, and fails when ctx ends or the loop has stopped.
	PostWait(ctx context.Context, f func()) error
	// Clients are those whose connection is open.
	Clients() iter.Seq[*Client]
}

// Timer calls a function later.
type Timer interface{ Stop() bool }

// Socket is a WebSocket connection. [wire.Conn] is one, and documents the methods.
type Socket interface {
	Send(p []byte) (queued, room bool)
	Ping(p []byte)
	Close(code int, reason string)
	Discard(code int, reason string)
	TakeRest()
	Pause()
	Resume()
	Hold(d time.Duration)
	Freeze()
	Thaw()
	Full() bool
	Buffered() int
	Footprint() int
	HungUp() bool
	Mark() wire.Mark
	HeardSince(m wire.Mark) bool
	Unsent() bool
	PingWaits(p []byte) bool
	RemoteAddr() netip.AddrPort
}

// Bounds of the live copies between NATS and one loop.
const (
	// liveQueue bounds those that wait. A copy that does not fit is dropped by
	// nats.go; it is stored, and read when the next copy shows the hole, or mend
	// finds it.
	liveQueue = 1 << 15
	// A batch is what one post to the loop carries. A MiB takes some milliseconds;
	// 256 of them would look as if the process had not run.
	liveBatch = 256
	liveBytes = 1 << 20 // with the last one, more
)

// Shard is the part of a node that one event loop owns: the clients of its
// sockets, the sessions that these hold, and all that is needed to serve them
// without a lock. All methods must be called on the loop: other goroutines have a
// [Door]. It has a method for each thing that happens to a loop, and so more than
// a type should have.
type Shard struct {
	// Immutable after New.
	node  *Node
	loop  Loop
	out   Outbox
	live  chan *nats.Msg
	index int // among the node's shards
	tally *stats.Tally

	missed *atomic.Bool // NATS has dropped copies; set by its goroutines

	// Owned by the loop.
	held     map[scheme.SID]*held
	claims   map[takeover.Key]*held // on their way to a session
	dirty    []*held                // moved positions, oldest first
	lookups  map[scheme.SID][]delivery
	requests requestTable
	unproved map[asked]int // messages to services that NATS may have, and a sender waits to know
	served   *stats.TrafficTally
	given    takeover.Given

	lingering map[scheme.SID]*lingering // parked here
	lingerers []*lingering              // oldest first; some have ended
	questions questions
	source    stats.Source                      // of what the core is about to write
	marks     uint64                            // id of the last marker
	epoch     uint64                            // of the connection that copies come from
	offline   bool                              // there is none, as far as is known
	seen      [scheme.MaxStreams]store.Sighting // over that connection, the last one of each partition
	since     logTime                           // when that connection began, by the store's clock
	clock     storeClock
	paused    []*Client     // held back until the outbox has room
	ticked    time.Time     // when checkpoint ran last
	looked    time.Duration // uptime when renew ran last

	// Owned by the loop, for the message being handled.
	size     int            // its bytes
	envelope umf.Envelope   // of it
	inner    umf.Envelope   // of a part of it
	buf      []byte         // scratch for one message
	text     []byte         // scratch for decoded strings
	ping     [8]byte        // scratch for a barrier's token
	parsed   []tail.Copy    // room for what another node has kept
	copied   []session.Copy // the same, as the core takes it
}

// sessionOptions are those of all sessions of a node.
func sessionOptions(c *config.Config) *session.Options { return &session.Options{Window: c.Window} }

// New returns the shard of a loop. index counts the node's loops from 0.
func New(n *Node, index int, loop Loop, out Outbox, tally *stats.Tally) *Shard {
	s := &Shard{
		node: n, loop: loop, out: out, index: index, tally: tally,
		live:     make(chan *nats.Msg, liveQueue),
		missed:   new(atomic.Bool),
		held:     make(map[scheme.SID]*held),
		claims:   make(map[takeover.Key]*held),
		lookups:  make(map[scheme.SID][]delivery),
		requests: newRequestTable(), source: stats.FromLive,
		lingering: make(map[scheme.SID]*lingering), questions: questions{open: make(map[uint64]*openQuestion)},
		unproved: make(map[asked]int),
		served:   stats.NewTrafficTally(n.Traffic),
		given:    takeover.NewGiven(func() { n.Metrics.Dropped.Inc(stats.DropGivenAway) }),
		epoch:    n.Epoch(),
	}
	n.Logs.meet(index, s.epoch, &s.seen)
	return s
}

// uptime is how long the node had run when this iteration of the loop began, on a
// clock that only goes forward.
func (s *Shard) uptime() time.Duration { return s.loop.Now().Sub(s.node.Started) }

// post runs f on the loop, from any goroutine. It waits for room in the inbox and
// gives up only when the loop has stopped.
func (s *Shard) post(f func()) { _ = s.loop.PostWait(context.Background(), f) }

// Flush hands over what this iteration of the loop asked of NATS.
func (s *Shard) Flush() { s.out.Flush() }

// nextMark returns an id that no marker of this shard ever had.
func (s *Shard) nextMark() uint64 {
	s.marks++
	return s.marks
}

// holdBack stops reading from a client until the way to NATS is free again.
func (s *Shard) holdBack(c *Client) {
	if c.paused {
		return
	}
	c.paused = true
	s.tally.HeldBack.Add(1)
	c.conn.Pause()
	s.paused = append(s.paused, c)
	s.out.Pause()
}

// Relieve lets the clients that were held back go on.
func (s *Shard) Relieve() {
	list := s.paused
	s.paused = nil
	for _, c := range list {
		c.paused = false
		c.readOn()
	}
}

// submit runs a job that waits on the pool, and then done on the loop. A full
// pool is reported to done at once.
func submit[T any](s *Shard, job func(context.Context) (T, error), done func(T, error)) {
	submitTo(s, s.node.Calls.Submit, job, done)
}

// submitIdle is submit for a job that waits for a proof of the directory.
func submitIdle[T any](s *Shard, job func(context.Context) (T, error), done func(T, error)) {
	submitTo(s, s.node.Calls.SubmitIdle, job, done)
}

func submitTo[T any](s *Shard, pool func(func()) bool, job func(context.Context) (T, error), done func(T, error)) {
	n := s.node
	ok := pool(func() {
		ctx, cancel := context.WithTimeout(n.Stopped, n.Config.RequestTimeout)
		v, err := job(ctx)
		cancel()
		s.post(func() { done(v, err) })
	})
	if !ok {
		var zero T
		done(zero, errBusy)
	}
}

// maxCallsPerClient bounds what one client has the pool do at a time: half of the
// workers stay for others.
const maxCallsPerClient = egress.Workers / 2

// call is submit for what a client asks of the router, as often as it likes: at
// the bound it is not read from until one of its calls has ended.
func call[T any](c *Client, job func(context.Context) (T, error), done func(T, error)) {
	c.calling(1)
	submit(c.s, job, func(v T, err error) {
		c.called(1)
		done(v, err)
	})
}

// callsPerLookUp is how much a look-up counts: NATS has more work with an id that is
// unknown than with any other call, and a few at a time are enough for thousands a second.
const callsPerLookUp = maxCallsPerClient / 4

// calling counts a call that the client has begun, of some weight. At the bound it is
// not read from.
func (c *Client) calling(weight uint8) {
	c.calls += weight
	if c.calls >= maxCallsPerClient {
		c.s.tally.HeldBack.Add(1)
		c.conn.Pause()
	}
}

// called counts a call that has ended.
func (c *Client) called(weight uint8) {
	c.calls -= weight
	c.readOn()
}

// every runs f on the loop again and again until the node stops.
func (s *Shard) every(d time.Duration, f func()) {
	s.loop.AfterFunc(d, func() {
		if s.node.Stopped.Err() != nil {
			return
		}
		f()
		s.every(d, f)
	})
}

// Begin starts what happens again and again.
func (s *Shard) Begin() {
	s.every(checkpointEvery, s.checkpoint)
	s.every(sweepEvery, s.sweep)
	s.every(surveyEvery, s.survey)
	s.every(surveyEvery, s.served.Flush)
	s.every(mendEvery, s.mend)
	s.every(lingerEvery, s.expireTails)
	s.every(lingerEvery, func() { s.node.Crowd.Tidy(s.uptime()) })
	s.renewLater()
	if age := s.node.Config.MaxConnectionAge; age > 0 {
		s.every(sweepAge(age), s.retire)
	}
}
