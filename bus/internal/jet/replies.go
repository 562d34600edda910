package jet

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Bounds of what NATS may queue for an inbox's one subscription. They are far
// above what readers ask for at a time; what is dropped all the same is
// noticed (consumer sequences are dense) and read again.
const (
	maxMessages = 128 << 10
	maxBytes    = 256 << 20
)

// inbox receives answers that consist of several messages, for many callers on
// one wildcard subscription: a subscription for each read would cost the whole
// cluster an update of its routing tables, and a consumer drops a pull request
// whose reply subject it does not know of yet.
//
// Calls are told apart by a key of the caller's. Most answers come on the reply
// subject, which ends in the key. A consumer's messages carry the subject they
// are stored under instead, and their reply subject names the consumer: so for
// a pull the key is the consumer's name, and no two consumers may ever have the
// same one.
type Replies struct {
	// Immutable after newInbox.
	nc     *nats.Conn
	prefix string
	sub    *nats.Subscription

	Unasked atomic.Uint64 // see Store.Unasked

	// Guarded by mu.
	mu     sync.Mutex
	calls  map[string]*Read
	nextID uint64
	lost   error // why the inbox is closed
}

// Read is one read that is under way.
type Read struct {
	key   string
	Reply string
	// Msgs: sent to by the NATS callback, never closed; what does not fit was
	// not asked for and is dropped.
	Msgs chan *nats.Msg
	// Lost: one error when no further message will come. Sent to at most once.
	Lost chan error
}

func NewReplies(nc *nats.Conn) (*Replies, error) {
	b := &Replies{nc: nc, prefix: nc.NewInbox() + ".", calls: make(map[string]*Read)}
	sub, err := nc.Subscribe(b.prefix+"*", b.receive)
	if err != nil {
		return nil, SendError(err)
	}
	if err := sub.SetPendingLimits(maxMessages, maxBytes); err != nil {
		return nil, SendError(err)
	}
	b.sub = sub
	return b, nil
}

// Open registers a call that expects up to n messages; an empty key takes a new
// one. The caller must end it.
func (b *Replies) Open(key string, n int) (*Read, error) {
	c := &Read{Msgs: make(chan *nats.Msg, n), Lost: make(chan error, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost != nil {
		return nil, b.lost
	}
	if key == "" {
		b.nextID++
		key = strconv.FormatUint(b.nextID, 36)
	}
	c.key = key
	c.Reply = b.prefix + key
	b.calls[key] = c
	return c, nil
}

// Err is why the inbox is closed; nil: it is not.
func (b *Replies) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}

// End forgets a call: answers that come later are dropped.
func (b *Replies) End(c *Read) {
	b.mu.Lock()
	delete(b.calls, c.key)
	b.mu.Unlock()
}

// receive is the NATS callback.
func (b *Replies) receive(m *nats.Msg) {
	key, ok := strings.CutPrefix(m.Subject, b.prefix)
	if !ok {
		d, _ := ParseDelivery(m.Reply)
		key = d.consumer
	}
	b.mu.Lock()
	c := b.calls[key]
	b.mu.Unlock()
	if c == nil {
		return
	}
	select {
	case c.Msgs <- m:
	default:
		b.Unasked.Add(1)
	}
}

// Fail tells every call that its answer will not come.
func (b *Replies) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, c := range b.calls {
		c.Lost <- err
		delete(b.calls, key)
	}
}

func (b *Replies) Close() {
	b.mu.Lock()
	b.lost = ErrClosed
	b.mu.Unlock()
	_ = b.sub.Unsubscribe() // fails only if the connection is closed already
	b.Fail(ErrClosed)
}
