package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Config describes what the store must promise. The zero value of a
// field means its default.
type Config struct {
	// Streams is the number of mailbox streams: 1, 2, 4, 8, 16 or 32. It
	// cannot change while there are sessions. Default 16.
	Streams int
	// Replicas of every stream: 1 for a server alone, 3 in a cluster. A
	// stream that has more keeps them. Default 1.
	Replicas int
	// QueueLimit bounds the messages that wait for one session. Default 1000.
	QueueLimit int
	// TTL is how long a session that is not connected is kept. Default 24 h.
	TTL time.Duration
	// Bytes bounds each copy of all that is stored, and so every stream has its part. 0:
	// streams that are there keep their bounds; those that are made are given parts of
	// Room, or of what the account allows where that is less.
	Bytes int64
	// Room is for stores without Bytes. Default 8 GiB.
	Room int64
	// WorkLimit bounds the messages that wait for one service. Default 100,000.
	WorkLimit int
	// WorkTTL is how long work waits for its service. Default 7 days.
	WorkTTL time.Duration
	// Memory keeps everything in the servers' memory instead of in files.
	Memory bool
	// Window bounds the asynchronous publishes in flight, for mailboxes and,
	// apart from them, for the directory. Default 4096.
	Window int
	// AckTimeout bounds the wait for the acknowledgement of one asynchronous
	// publish. Default 10 s: a killed stream leader is replaced in 4–8 s.
	AckTimeout time.Duration
	// Timeout bounds an operation whose context has no deadline. Default 10 s.
	Timeout time.Duration
}

func (c *Config) defaults() error {
	c.Streams = cmp.Or(c.Streams, 16)
	c.Replicas = cmp.Or(c.Replicas, 1)
	c.QueueLimit = cmp.Or(c.QueueLimit, 1000)
	c.TTL = cmp.Or(c.TTL, 24*time.Hour)
	c.WorkLimit = cmp.Or(c.WorkLimit, 100_000)
	c.WorkTTL = cmp.Or(c.WorkTTL, 7*24*time.Hour)
	c.Room = cmp.Or(c.Room, 8<<30)
	c.Window = cmp.Or(c.Window, 4096)
	c.AckTimeout = cmp.Or(c.AckTimeout, 10*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	switch {
	case !scheme.ValidStreams(c.Streams):
		return fmt.Errorf("%w: %d mailbox streams; possible are 1, 2, 4, 8, 16, 32", ErrConfig, c.Streams)
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("%w: %d stream replicas; possible are 1 to 5", ErrConfig, c.Replicas)
	case c.QueueLimit < 1:
		return fmt.Errorf("%w: queue limit %d", ErrConfig, c.QueueLimit)
	case c.TTL < minSessionTTL:
		return fmt.Errorf("%w: session TTL %v; at least %v", ErrConfig, c.TTL, minSessionTTL)
	case c.Bytes < 0 || c.Room < 0 || c.WorkLimit < 1 || c.Window < 1:
		return fmt.Errorf("%w: negative limit", ErrConfig)
	}
	return nil
}

// openTimeout bounds Open: a cluster takes its time to make many streams.
const openTimeout = time.Minute

// minSessionTTL leaves room for the checkpoints and refreshes that happen
// within a session's TTL.
const minSessionTTL = time.Second

// mailboxAge is how long a mailbox keeps a message. It is longer than the
// session's TTL by half: the message whose presence proves that nothing was
// dropped may be a quarter of a TTL old when the session is parked, must outlive
// the directory entry, and must be there until a resumed session has stored
// another.
func (c *Config) mailboxAge() time.Duration { return c.TTL + c.TTL/2 }

// Store is the mailboxes of all sessions. All methods may be called
// concurrently, but not from a NATS callback. There is one for each thing that is
// asked of JetStream, and for each setting that is checked.
type Store struct {
	// Immutable after Open.
	nc        *nats.Conn
	js        jetstream.JetStream
	cfg       Config
	acks      *jet.Acks
	replies   *jet.Replies
	directory *Directory
	queues    Queues           // safe for concurrent use
	status    chan nats.Status // closed by nats.go when close takes it back
	watching  sync.WaitGroup
	running   context.Context // ends with Close
	stop      context.CancelFunc

	health health
	age    atomic.Int64 // max_age of the directory, when it was looked at last; 0: it never was, or has none
	form   form
	once   sync.Once // Close
}

// unopened returns a store that has asked nothing yet.
func unopened(nc *nats.Conn, cfg Config) (*Store, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, jet.SendError(err)
	}
	s := &Store{nc: nc, js: js, cfg: cfg}
	s.queues.store = s
	return s, nil
}

// Open creates the streams and the bucket that are missing, updates those
// that differ where that is possible, and checks that what is there holds the
// contract: if not, the error is a *[ContractError] that lists every reason, unless
// some mailbox streams do not work and others do ([Store.CheckContract] says so).
// If NATS cannot be asked, it is ErrUnavailable or ErrUnconfirmed: try again.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Store, error) {
	s, err := unopened(nc, cfg)
	if err != nil {
		return nil, err
	}
	s.running, s.stop = context.WithCancel(context.Background())
	ctx, cancel := jet.WithDefaultTimeout(ctx, max(s.cfg.Timeout, openTimeout))
	defer cancel()
	if err := s.prepare(ctx); err != nil {
		s.stop()
		return nil, err
	}
	s.status = nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	s.watching.Go(s.watch)
	var contract *ContractError
	if err := s.CheckContract(ctx); err != nil && !(errors.As(err, &contract) && contract.Partial) {
		s.Close()
		return nil, err
	}
	return s, nil
}

// prepare sees to it that the streams are there, and makes what answers come to.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.ensure(ctx); err != nil {
		return err
	}
	return s.subscribe()
}

// subscribe makes what answers come to.
func (s *Store) subscribe() (err error) {
	if s.acks, err = jet.NewAcks(s.nc, s.cfg.Window, s.cfg.AckTimeout); err != nil {
		return err
	}
	if s.replies, err = jet.NewReplies(s.nc); err != nil {
		s.acks.Close()
		return err
	}
	if s.directory, err = newDirectory(s); err != nil {
		s.acks.Close()
		s.replies.Close()
	}
	return err
}

// watch completes what waits for an answer when the connection is lost.
func (s *Store) watch() {
	for range s.status {
		err := fmt.Errorf("%w: %w", ErrUnconfirmed, nats.ErrDisconnected)
		s.acks.Fail(err)
		s.directory.acks.Fail(err)
		s.replies.Fail(err)
	}
}

// Close ends the store; it does not close the NATS connection. Asynchronous
// publishes in flight are completed with ErrUnconfirmed, and reads end with
// ErrClosed; calls that wait for one answer go on until it comes or their
// contexts end.
func (s *Store) Close() {
	s.once.Do(func() {
		s.nc.RemoveStatusListener(s.status)
		s.watching.Wait()
		s.acks.Close()
		s.directory.acks.Close()
		s.replies.Close()
		s.stop()
		s.directory.prober.close()
	})
}

// Directory is the session directory of this store.
func (s *Store) Directory() *Directory { return s.directory }

// Config is the configuration with all defaults filled in.
func (s *Store) Config() Config { return s.cfg }

// TTL is how long a session that is not connected is kept: as the directory has it
// by now, where another node has made that less than Config.TTL.
func (s *Store) TTL() time.Duration {
	if age := time.Duration(s.age.Load()); age > 0 {
		return min(age, s.cfg.TTL)
	}
	return s.cfg.TTL
}

// InFlight is the number of asynchronous mailbox publishes that wait for their
// acknowledgement.
func (s *Store) InFlight() int { return s.acks.Pending() }

// Unasked is how many messages that NATS has sent were dropped, because a read
// had not asked for so many.
func (s *Store) Unasked() uint64 { return s.replies.Unasked.Load() }

// bounded gives a context that has no deadline the default one.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return jet.WithDefaultTimeout(ctx, s.cfg.Timeout)
}

// stream is the name of the stream that holds a session's mailbox.
func (s *Store) stream(sid scheme.SID) string { return scheme.StreamOf(sid, s.cfg.Streams) }
