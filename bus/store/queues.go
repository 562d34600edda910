package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Times and bounds of the list of work queues.
const (
	queuesFresh = 5 * time.Second        // older, and it is read anew behind the next yes
	queuesHold  = 30 * time.Second       // how long a yes holds all the same: NATS may stand still
	queuesPause = 100 * time.Millisecond // from one reading to the next: more of what is asked for in vain waits for the same one
	maxQueues   = 1 << 16
)

// errManyQueues: the list is none that a node could have to do with.
var errManyQueues = fmt.Errorf("%w: more than %d consumers of %s", ErrUnavailable, maxQueues, scheme.WorkStream)

// Queues knows which services have registered a work queue: those whose consumer is
// there. For others nothing is stored: anybody could have names stored that nobody
// ever takes from.
//
// What is read is the list of them all, and never one of them: however many names are
// made up, they cost NATS ten questions a second and this side no memory. Rejected: to
// ask for each name, and to remember the noes.
//
// All methods may be called concurrently.
type Queues struct {
	// Immutable.
	store *Store

	// Shared.
	latest atomic.Pointer[queueList] // nil: none yet
	looks  atomic.Uint64             // how often the list was read
	any    atomic.Bool               // the stream takes work for any name, as it was seen last

	// Guarded by mu.
	mu      sync.Mutex
	next    *queueReading // that has not asked yet; nil: nobody waits
	reading bool          // a goroutine reads
	began   time.Time     // when the last reading did

	// Owned by the goroutine that reads.
	may    bool                        // this user may read the list
	fitted map[scheme.Service]struct{} // the stream takes work of these, or this user may not change that
}

// queueList is the list at one moment. Immutable.
type queueList struct {
	read  time.Time // before it was asked for
	names map[scheme.Service]struct{}
}

func (l *queueList) has(service scheme.Service) bool {
	if l == nil {
		return false
	}
	_, there := l.names[service]
	return there
}

// queueReading is one reading of the list. list and err are written before done is
// closed.
type queueReading struct {
	done chan struct{}
	list *queueList
	err  error
}

// Queues returns what is known of the store's work queues.
func (s *Store) Queues() *Queues { return &s.queues }

// Known reports whether a service has a work queue, as far as that is known without
// asking. It never waits.
func (q *Queues) Known(service scheme.Service) bool {
	l := q.latest.Load()
	if !l.has(service) {
		return false
	}
	age := time.Since(l.read)
	if age > queuesFresh {
		q.join()
	}
	return age < queuesHold
}

// Ask reports whether a service has a work queue, by a reading of the list that began
// after the call. Where NATS does not answer, a yes of before holds.
func (q *Queues) Ask(ctx context.Context, service scheme.Service) (bool, error) {
	l, err := q.ask(ctx)
	if err != nil && q.latest.Load().has(service) {
		return true, nil
	}
	return l.has(service), err
}

// Count is how many services have a work queue, as far as is known.
func (q *Queues) Count() int {
	if l := q.latest.Load(); l != nil {
		return len(l.names)
	}
	return 0
}

// Looks is how often the list was read.
func (q *Queues) Looks() uint64 { return q.looks.Load() }

// Keep registers the queues of services that have none. The error says which are
// missing still, and why.
func (q *Queues) Keep(ctx context.Context, services []scheme.Service) error {
	if len(services) == 0 {
		return nil
	}
	ctx, cancel := q.store.bounded(ctx)
	defer cancel()
	l, err := q.ask(ctx)
	if err != nil {
		return err
	}
	services = slices.DeleteFunc(slices.Clone(services), l.has)
	if len(services) == 0 {
		return nil
	}
	if q.store.mayNot(ctx, scheme.CreateWorkConsumer(services[0])) {
		return fmt.Errorf("%w to register work queues: run `hydrant setup -queues %s`", jet.ErrDenied, joined(services))
	}
	err = q.store.registerQueues(ctx, services, false)
	_, unknown := q.ask(ctx) // so that they are known
	return errors.Join(err, unknown)
}

// Fit has the stream of work take what is for a registered queue, and nothing else.
// Where it takes work for any name, as those of former versions do, it is left so unless
// it is to be narrowed. The error says what is to be done if this user may not.
func (q *Queues) Fit(ctx context.Context, narrow bool) error {
	ctx, cancel := q.store.bounded(ctx)
	defer cancel()
	return q.store.fitWork(ctx, narrow)
}

// TakesAny reports whether the stream of work was seen to take work for any name.
func (q *Queues) TakesAny() bool { return q.any.Load() }

// joined are names as a flag takes them.
func joined(services []scheme.Service) string {
	var b strings.Builder
	for i, s := range services {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(s))
	}
	return b.String()
}

// ask returns the list as it is after the call.
func (q *Queues) ask(ctx context.Context) (*queueList, error) {
	r := q.join()
	select {
	case <-r.done:
		return r.list, r.err
	case <-ctx.Done():
		return nil, jet.RequestError(ctx.Err())
	}
}

// join returns the next reading, which has not begun.
func (q *Queues) join() *queueReading {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		q.next = &queueReading{done: make(chan struct{})}
		if !q.reading {
			q.reading = true
			go q.read()
		}
	}
	return q.next
}

// read reads the list until nobody waits for it.
func (q *Queues) read() {
	for {
		q.mu.Lock()
		rest := queuesPause - time.Since(q.began)
		if q.next == nil {
			q.reading = false
			q.mu.Unlock()
			return
		}
		if rest > 0 {
			q.mu.Unlock()
			_ = jet.Pause(q.store.running, rest) // what follows ends with the store as well
			q.mu.Lock()
		}
		r := q.next
		q.next, q.began = nil, time.Now()
		q.mu.Unlock()
		q.looks.Add(1)
		if r.list, r.err = q.list(); r.err == nil {
			q.follow(r.list)
			q.latest.Store(r.list)
		}
		close(r.done)
	}
}

// follow fits the stream to a list that has changed: who makes a queue's consumer, or
// removes it, need not know of subjects. What fails is tried again by [Queues.Fit].
func (q *Queues) follow(l *queueList) {
	if maps.Equal(l.names, q.fitted) {
		return
	}
	ctx, cancel := q.store.bounded(q.store.running)
	defer cancel()
	if err := q.store.fitWork(ctx, false); err == nil || errors.Is(err, jet.ErrDenied) {
		q.fitted = l.names
	}
}

// list reads the list, if this user may. What is denied is not answered.
func (q *Queues) list() (*queueList, error) {
	ctx, cancel := q.store.bounded(q.store.running)
	defer cancel()
	if !q.may && q.store.mayNot(ctx, askQueues) {
		return nil, fmt.Errorf("%w to ask %s: have the servers' configuration written again, by `hydrant setup nats`", jet.ErrDenied, askQueues)
	}
	q.may = true
	return q.store.listQueues(ctx)
}

// askQueues is where the list is asked for.
const askQueues = scheme.APIConsumerNames + scheme.WorkStream

// listQueues reads the names of all consumers of the work queues.
func (s *Store) listQueues(ctx context.Context) (*queueList, error) {
	l := &queueList{read: time.Now(), names: make(map[scheme.Service]struct{})}
	var page struct {
		jet.Answer
		Total     int      `json:"total"`
		Consumers []string `json:"consumers"`
	}
	for offset := 0; ; {
		err := jet.Retry(ctx, func(ctx context.Context) error {
			page.Consumers = page.Consumers[:0]
			return jet.Ask(ctx, s.nc, askQueues, map[string]int{"offset": offset}, &page)
		})
		if err != nil {
			return nil, err
		}
		for _, name := range page.Consumers {
			if service, err := scheme.ParseService(name); err == nil {
				l.names[service] = struct{}{}
			}
		}
		offset += len(page.Consumers)
		switch {
		case offset > maxQueues:
			return nil, errManyQueues
		case len(page.Consumers) == 0 || offset >= page.Total:
			return l, nil
		}
	}
}

// DiagnoseQueues looks whether the work queues of these services are registered, as
// [Queues.Keep] would, but registers none. nc is a connection of the node's user.
func DiagnoseQueues(ctx context.Context, nc *nats.Conn, services []scheme.Service) (found []Finding) {
	const what = "work queues"
	s, err := unopened(nc, Config{})
	if err != nil {
		return []Finding{{Fail, what, err.Error(), "see the reason"}}
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if st, err := s.js.Stream(ctx, scheme.WorkStream); err == nil && takesAny(&st.CachedInfo().Config) {
		found = append(found, Finding{Warn, what, "work is stored for any name, as former versions had it, whether or not there is a queue",
			"when no node of a former version runs: `hydrant setup`; nodes that may update streams do it by themselves"})
	}
	if len(services) == 0 {
		return found
	}
	l, err := s.listQueues(ctx)
	switch {
	case jet.NotFound(err): // without a stream there is none
	case err != nil:
		return append(found, Finding{Fail, what, err.Error(), "look at the permissions above, and at NATS' log"})
	}
	missing := slices.DeleteFunc(slices.Clone(services), l.has)
	switch {
	case len(missing) == 0:
		return append(found, Finding{OK, what, "registered: " + joined(services), ""})
	case s.mayNot(ctx, scheme.CreateWorkConsumer(missing[0])):
		return append(found, Finding{Warn, what, "not registered, and a node's user may not: " + joined(missing), "run `hydrant setup -queues " + joined(missing) + "`"})
	}
	return append(found, Finding{OK, what, "a node registers at its start: " + joined(missing), ""})
}
