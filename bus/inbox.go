package bus

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
	inboxMessages = 128 << 10
	inboxBytes    = 256 << 20
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
type inbox struct {
	// Immutable after newInbox.
	nc     *nats.Conn
	prefix string
	sub    *nats.Subscription

	unasked atomic.Uint64 // see Store.Unasked

	// Guarded by mu.
	mu     sync.Mutex
	calls  map[string]*inboxCall
	nextID uint64
	lost   error // why the inbox is closed
}

// inboxCall is one read that is under way.
type inboxCall struct {
	key   string
	reply string
	// msgs: sent to by the NATS callback, never closed; what does not fit was
	// not asked for and is dropped.
	msgs chan *nats.Msg
	// lost: one error when no further message will come. Sent to at most once.
	lost chan error
}

func newInbox(nc *nats.Conn) (*inbox, error) {
	b := &inbox{nc: nc, prefix: nc.NewInbox() + ".", calls: make(map[string]*inboxCall)}
	sub, err := nc.Subscribe(b.prefix+"*", b.receive)
	if err != nil {
		return nil, sendError(err)
	}
	if err := sub.SetPendingLimits(inboxMessages, inboxBytes); err != nil {
		return nil, sendError(err)
	}
	b.sub = sub
	return b, nil
}

// open registers a call that expects up to n messages; an empty key takes a new
// one. The caller must end it.
func (b *inbox) open(key string, n int) (*inboxCall, error) {
	c := &inboxCall{msgs: make(chan *nats.Msg, n), lost: make(chan error, 1)}
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
	c.reply = b.prefix + key
	b.calls[key] = c
	return c, nil
}

// err is why the inbox is closed; nil: it is not.
func (b *inbox) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}

// end forgets a call: answers that come later are dropped.
func (b *inbox) end(c *inboxCall) {
	b.mu.Lock()
	delete(b.calls, c.key)
	b.mu.Unlock()
}

// receive is the NATS callback.
func (b *inbox) receive(m *nats.Msg) {
	key, ok := strings.CutPrefix(m.Subject, b.prefix)
	if !ok {
		d, _ := parseDelivery(m.Reply)
		key = d.consumer
	}
	b.mu.Lock()
	c := b.calls[key]
	b.mu.Unlock()
	if c == nil {
		return
	}
	select {
	case c.msgs <- m:
	default:
		b.unasked.Add(1)
	}
}

// fail tells every call that its answer will not come.
func (b *inbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, c := range b.calls {
		c.lost <- err
		delete(b.calls, key)
	}
}

func (b *inbox) close() {
	b.mu.Lock()
	b.lost = ErrClosed
	b.mu.Unlock()
	_ = b.sub.Unsubscribe() // fails only if the connection is closed already
	b.fail(ErrClosed)
}
