package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/internal/jet"
)

// Times and bounds of discovery. There is no list of participants anywhere:
// what is connected answers a question to all.
const (
	discoveryQuiet = 100 * time.Millisecond // no more answers, and none missing of those that answered before: that is all
	discoveryMost  = time.Second            // the end in any case
	discoveryFresh = 2 * time.Second        // how long a result is used again
	discoveryLimit = 8192                   // instances in one result
)

// question is one that is put to all participants again and again.
type question[T any] struct {
	// Immutable.
	nc    *nats.Conn
	verb  micro.Verb
	parse func(data []byte) (T, bool)
	order func(a, b T) int // nil: as they come
	key   func(*T) string  // who answers
	cut   *atomic.Uint64   // results that lack a participant

	// Guarded by mu.
	mu      sync.Mutex
	latest  *round[T] // finished or on its way; nil: none yet
	expires time.Time
	before  []string // who has answered the last question that went well
}

// round is one question to all. list and err are written before done is closed.
type round[T any] struct {
	put  time.Time // before it was
	done chan struct{}
	list []T
	err  error
}

// get returns the answers to a question that was put after a time.
func (q *question[T]) get(ctx context.Context, after time.Time) ([]T, error) {
	r := q.join(after)
	select {
	case <-r.done:
		return r.list, r.err
	case <-ctx.Done():
		return nil, jet.RequestError(ctx.Err())
	}
}

// join returns the round that is fresh or on its way, or begins one.
func (q *question[T]) join(after time.Time) *round[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if q.latest != nil && now.Before(q.expires) && q.latest.put.After(after) {
		return q.latest
	}
	r := &round[T]{put: now, done: make(chan struct{})}
	q.latest, q.expires = r, now.Add(discoveryMost+discoveryFresh)
	before := q.before
	go func() {
		r.list, r.err = q.ask(before)
		q.mu.Lock()
		if r.err == nil {
			q.before = q.keys(r.list)
		}
		if q.latest == r {
			q.expires = time.Now().Add(discoveryFresh)
			if r.err != nil {
				q.latest = nil // the next one asks again
			}
		}
		q.mu.Unlock()
		close(r.done)
	}()
	return r
}

func (q *question[T]) keys(list []T) []string {
	keys := make([]string, len(list))
	for i := range list {
		keys[i] = q.key(&list[i])
	}
	return keys
}

// ask sends the question and collects the answers.
func (q *question[T]) ask(before []string) ([]T, error) {
	inbox := q.nc.NewInbox()
	sub, err := q.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, jet.SendError(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only if the connection is closed
	if err := sub.SetPendingLimits(discoveryLimit, -1); err != nil {
		return nil, jet.SendError(err)
	}
	if err := q.nc.PublishRequest(micro.APIPrefix+"."+q.verb.String(), inbox, nil); err != nil {
		return nil, jet.SendError(err)
	}
	list, cut, err := q.collect(sub.NextMsg, before)
	if err != nil {
		return nil, fmt.Errorf("bus: discovery: %w", jet.RequestError(err))
	}
	if cut {
		q.cut.Add(1)
	}
	if q.order != nil {
		slices.SortFunc(list, q.order)
	}
	return list, nil
}

// collect takes answers until they pause. Who has answered before is waited for to the
// end: one that is busy, or on a busy machine, answers late. cut: not all of them. Silence
// from the beginning proves nothing: where no participant is connected, the server says so.
func (q *question[T]) collect(next func(time.Duration) (*nats.Msg, error), before []string) (list []T, cut bool, err error) {
	missing := make(map[string]struct{}, len(before))
	for _, key := range before {
		missing[key] = struct{}{}
	}
	end := time.Now().Add(discoveryMost)
	heard := false
	for {
		wait := time.Until(end)
		if wait <= 0 {
			return list, true, nil
		}
		if heard && len(missing) == 0 {
			wait = min(wait, discoveryQuiet)
		}
		m, err := next(wait)
		switch {
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout) && heard:
			return list, cut, nil
		case errors.Is(err, nats.ErrSlowConsumer):
			cut, heard = true, true // some found no room; those that did are good
			continue
		case err != nil:
			return nil, false, err
		}
		heard = true
		in, ok := q.parse(m.Data)
		if ok {
			delete(missing, q.key(&in))
		}
		switch {
		case !ok:
		case len(list) == discoveryLimit:
			return list, true, nil
		default:
			list = append(list, in)
		}
	}
}
