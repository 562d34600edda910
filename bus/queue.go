package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// ErrNoQueue: no work queue is registered for the service, so that nothing is stored for
// it. That is an installer's business, and not the service's.
var ErrNoQueue = errors.New("bus: no work queue is registered for this service")

// howToRegister says what an installer does.
func howToRegister(service scheme.Service) string {
	return fmt.Sprintf("run `hydrant setup -queues %s`, or start a node with %s in EDGE_QUEUE_SERVICES", service, service)
}

// noQueue asks a node whether a service has no queue: nobody listens either while the
// store has no leader, or the server is cut off from it. nil: it has one, or nobody knows.
func (s *Service) noQueue(ctx context.Context, service scheme.Service) error {
	ctx, cancel := context.WithTimeout(ctx, nodeQuestion)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, scheme.QueueExistsSubject(service), nil)
	if err != nil || string(m.Data) != scheme.ExistsNo {
		return nil
	}
	return fmt.Errorf("%w, %s: %s", ErrNoQueue, service, howToRegister(service))
}

// queue is a service's work queue as it was found.
type queue struct {
	api     string // prefix of the API that knows it; empty: none answers
	there   bool
	ackWait time.Duration
}

// find asks for the service's consumer: in the API that the edge's account gives to
// accounts of services, and then in this account's own.
func (w *workQueue) find(ctx context.Context) (queue, error) {
	for _, api := range []string{scheme.EdgeAPIPrefix, scheme.APIPrefix} {
		subject := scheme.WorkInfoSubject(api, w.svc.name)
		if jet.Denied(ctx, w.svc.nc, subject, nil) {
			continue
		}
		var info struct {
			jet.Answer
			Config struct {
				AckWait time.Duration `json:"ack_wait"`
			} `json:"config"`
		}
		err := jet.Ask(ctx, w.svc.nc, subject, nil, &info)
		switch {
		case err == nil:
			return queue{api, true, info.Config.AckWait}, nil
		case jet.NotFound(err):
			return queue{api: api}, nil
		case api == scheme.EdgeAPIPrefix && errors.Is(err, nats.ErrNoResponders):
			continue // as where services share the account
		}
		return queue{}, err
	}
	return queue{}, nil
}

// Pauses between two looks at a queue that is not there.
const (
	queuePause     = 50 * time.Millisecond // grows
	queuePauseMost = 500 * time.Millisecond
)

// consumer finds the service's consumer. It waits for it for StartTimeout: a node with
// NATS inside registers the queue when it sees the service, and streams may be made a
// moment later than services are started.
func (w *workQueue) consumer() (found queue, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, w.opts.StartTimeout)
	defer cancel()
	for wait := queuePause; ; wait = min(2*wait, queuePauseMost) {
		err = jet.Retry(ctx, func(ctx context.Context) (err error) {
			found, err = w.find(ctx)
			return err
		})
		if err != nil || found.there {
			return found, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return found, fmt.Errorf("%w: %s", ErrNoQueue, howToRegister(w.svc.name))
		}
	}
}
