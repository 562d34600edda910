package jet

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Bounds of what NATS may queue for the one subscription of Replies. They are far
// above what readers ask for at a time; what is dropped all the same is
// noticed (each message of an answer names the one before it) and read again.
const (
	maxMessages = 128 << 10
	maxBytes    = 256 << 20
)

// Replies receives answers that consist of several messages, for many callers on
// one wildcard subscription: a subscription for each read would cost the whole
// cluster an update of its routing tables.
//
// Reads are told apart by the last token of the reply subject.
type Replies struct {
	// Immutable after NewReplies.
	nc     *nats.Conn
	prefix string
	sub    *nats.Subscription

	// Unasked is how many messages were dropped that no read had asked for.
	Unasked atomic.Uint64

	// Guarded by mu.
	mu     sync.Mutex
	reads  map[string]*Read
	nextID uint64
	lost   error // why no more are taken
}

// Read is one read that is under way.
type Read struct {
	key string
	// Reply is the subject to ask with.
	Reply string
	// Msgs: sent to by the NATS callback, never closed; what does not fit was
	// not asked for and is dropped.
	Msgs chan *nats.Msg
	// Lost: one error when no further message will come. Sent to at most once.
	Lost chan error
}

// NewReplies subscribes on a connection.
func NewReplies(nc *nats.Conn) (*Replies, error) {
	r := &Replies{nc: nc, prefix: nc.NewInbox() + ".", reads: make(map[string]*Read)}
	sub, err := nc.Subscribe(r.prefix+"*", r.receive)
	if err != nil {
		return nil, SendError(err)
	}
	if err := sub.SetPendingLimits(maxMessages, maxBytes); err != nil {
		return nil, SendError(err)
	}
	r.sub = sub
	return r, nil
}

// Open registers a read that expects up to n messages. The caller must end it.
func (r *Replies) Open(n int) (*Read, error) {
	c := &Read{Msgs: make(chan *nats.Msg, n), Lost: make(chan error, 1)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost != nil {
		return nil, r.lost
	}
	r.nextID++
	c.key = strconv.FormatUint(r.nextID, 36)
	c.Reply = r.prefix + c.key
	r.reads[c.key] = c
	return c, nil
}

// Err is why no more are taken; nil: it is not.
func (r *Replies) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// End forgets a read: answers that come later are dropped.
func (r *Replies) End(c *Read) {
	r.mu.Lock()
	delete(r.reads, c.key)
	r.mu.Unlock()
}

// receive is the NATS callback.
func (r *Replies) receive(m *nats.Msg) {
	r.mu.Lock()
	c := r.reads[strings.TrimPrefix(m.Subject, r.prefix)]
	r.mu.Unlock()
	if c == nil {
		return
	}
	select {
	case c.Msgs <- m:
	default:
		r.Unasked.Add(1)
	}
}

// Fail tells every read that its answer will not come.
func (r *Replies) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, c := range r.reads {
		c.Lost <- err
		delete(r.reads, key)
	}
}

// Close ends all reads with ErrClosed, and refuses new ones.
func (r *Replies) Close() {
	r.mu.Lock()
	r.lost = ErrClosed
	r.mu.Unlock()
	_ = r.sub.Unsubscribe() // fails only if the connection is closed already
	r.Fail(ErrClosed)
}
