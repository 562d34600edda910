package jet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Acks is a bounded window of publishes that wait for their acknowledgement.
// Every publish that it accepted is completed exactly once: by the answer, by
// the timeout, by the loss of the connection, or by close.
//
// nats.go has an asynchronous publisher too; it waits for room in its window
// instead of refusing, and reports to one callback for a whole connection.
type Acks struct {
	// Immutable after NewAcks.
	nc      *nats.Conn
	prefix  string // inbox, with the final dot
	window  int
	timeout time.Duration
	sub     *nats.Subscription

	// Guarded by mu. done functions are called without it.
	mu      sync.Mutex
	waiting map[uint64]*ackWait
	first   *ackWait // oldest: the timeout is one for all, so this is a queue of deadlines
	last    *ackWait
	nextID  uint64
	timer   *time.Timer // runs expire; armed while anything waits
	closed  bool
}

// ackWait is one publish on its way.
type ackWait struct {
	id         uint64
	deadline   time.Time
	done       func(seq uint64, err error)
	prev, next *ackWait
}

// NewAcks subscribes for answers; window bounds the publishes on their way, timeout
// the wait for each.
func NewAcks(nc *nats.Conn, window int, timeout time.Duration) (*Acks, error) {
	a := &Acks{
		nc:      nc,
		prefix:  nc.NewInbox() + ".",
		window:  window,
		timeout: timeout,
		waiting: make(map[uint64]*ackWait),
	}
	a.timer = time.AfterFunc(time.Hour, a.expire)
	a.timer.Stop()
	sub, err := nc.Subscribe(a.prefix+"*", a.answer)
	if err != nil {
		return nil, SendError(err)
	}
	a.sub = sub
	return a, nil
}

// Publish sends m and calls done when it is known what became of it, unless
// it returns an error: then nothing was sent and done is not called. m.Reply
// is set. m is given away, also when done has been called: a publish that was
// given up may still be on its way into the socket.
func (a *Acks) Publish(m *nats.Msg, done func(seq uint64, err error)) error {
	w := &ackWait{done: done}
	a.mu.Lock()
	switch {
	case a.closed:
		a.mu.Unlock()
		return ErrClosed
	case len(a.waiting) >= a.window:
		a.mu.Unlock()
		return ErrOverload
	}
	a.nextID++
	w.id = a.nextID
	w.deadline = time.Now().Add(a.timeout)
	m.Reply = a.prefix + strconv.FormatUint(w.id, 36)
	a.push(w)
	a.mu.Unlock()

	if err := a.nc.PublishMsg(m); err != nil {
		// What takes w out of the window completes it: if that was another
		// (the connection broke meanwhile), done has been called already.
		if a.take(w.id) == nil {
			return nil
		}
		return SendError(err)
	}
	return nil
}

// Pending is the number of publishes on their way.
func (a *Acks) Pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting)
}

// push appends w to the window. Caller holds mu.
func (a *Acks) push(w *ackWait) {
	a.waiting[w.id] = w
	if w.prev = a.last; w.prev != nil {
		w.prev.next = w
	} else {
		a.first = w
		a.timer.Reset(a.timeout)
	}
	a.last = w
}

// take removes a publish from the window; nil if it is not there any more.
func (a *Acks) take(id uint64) *ackWait {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.waiting[id]
	if w != nil {
		a.unlink(w)
	}
	return w
}

// unlink removes w. Caller holds mu.
func (a *Acks) unlink(w *ackWait) {
	delete(a.waiting, w.id)
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		a.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		a.last = w.prev
	}
	w.prev, w.next = nil, nil
}

// answer is the NATS callback.
func (a *Acks) answer(m *nats.Msg) {
	id, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, a.prefix), 36, 64)
	if err != nil {
		return
	}
	w := a.take(id)
	if w == nil {
		return // timed out before
	}
	w.done(ParseAck(m))
}

// expire completes what has waited too long and re-arms the timer for the
// next one.
func (a *Acks) expire() {
	err := fmt.Errorf("%w: no acknowledgement in %v", ErrUnconfirmed, a.timeout)
	for {
		a.mu.Lock()
		w := a.first
		if w == nil {
			a.mu.Unlock()
			return
		}
		if d := time.Until(w.deadline); d > 0 {
			a.timer.Reset(d)
			a.mu.Unlock()
			return
		}
		a.unlink(w)
		a.mu.Unlock()
		w.done(0, err)
	}
}

// Fail completes everything that waits, oldest first: answers to what was sent
// on a connection that is gone do not come on the next one.
func (a *Acks) Fail(err error) {
	a.mu.Lock()
	w := a.first
	clear(a.waiting)
	a.first, a.last = nil, nil
	a.timer.Stop()
	a.mu.Unlock()
	for w != nil {
		next := w.next
		w.prev, w.next = nil, nil
		w.done(0, err)
		w = next
	}
}

// Close refuses new publishes and completes those that wait.
func (a *Acks) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	_ = a.sub.Unsubscribe() // fails only if the connection is closed already
	a.Fail(fmt.Errorf("%w: %w", ErrUnconfirmed, ErrClosed))
}

// ParseAck reads a publish acknowledgement. Its usual form,
// {"stream":"S","seq":N} with perhaps a domain or a duplicate flag, is read
// without encoding/json.
func ParseAck(m *nats.Msg) (uint64, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return 0, fmt.Errorf("%w: no stream takes the subject", ErrUnavailable)
	}
	const key = `"seq":`
	if bytes.HasPrefix(m.Data, []byte(`{"stream":`)) && !bytes.Contains(m.Data, []byte(`"error"`)) {
		if i := bytes.Index(m.Data, []byte(key)); i >= 0 {
			var seq uint64
			rest := m.Data[i+len(key):]
			n := 0
			for n < len(rest) && n < 19 && rest[n] >= '0' && rest[n] <= '9' {
				seq = seq*10 + uint64(rest[n]-'0')
				n++
			}
			if n > 0 && n < len(rest) && (rest[n] == '}' || rest[n] == ',') {
				return seq, nil
			}
		}
	}
	var r struct {
		Stream string    `json:"stream"`
		Seq    uint64    `json:"seq"`
		Error  *APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return 0, fmt.Errorf("%w: not an acknowledgement: %w", ErrUnconfirmed, err)
	}
	if r.Error != nil {
		return 0, fmt.Errorf("bus: not stored: %w", r.Error)
	}
	if r.Stream == "" {
		return 0, fmt.Errorf("%w: not an acknowledgement", ErrUnconfirmed)
	}
	return r.Seq, nil
}
