package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// ErrNoQueue: no work queue is registered for the service, and this user may not do it.
var ErrNoQueue = errors.New("bus: no work queue is registered for this service")

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

// consumer finds the service's consumer. Where the service may, it makes it, or makes
// it as it should be; else it takes it as it is.
func (w *workQueue) consumer(ctx context.Context) (found queue, err error) {
	err = jet.Retry(ctx, func(ctx context.Context) (err error) {
		if found, err = w.find(ctx); err != nil {
			return err
		}
		create := scheme.APIConsumerCreate + scheme.WorkStream + "." + w.svc.cfg.Name + "." + scheme.WorkSubject(w.svc.name)
		switch {
		case found.there && found.ackWait == w.opts.AckWait:
			return nil
		case found.api != scheme.APIPrefix || jet.Denied(ctx, w.svc.nc, create, nil):
			if found.there {
				return nil
			}
			return fmt.Errorf("%w: run `hydrant setup -queues %s`", ErrNoQueue, w.svc.name)
		}
		_, err = w.js.CreateOrUpdateConsumer(ctx, scheme.WorkStream, jet.WorkConsumer(w.svc.name, w.opts.AckWait))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("%w: no node has made the stream %s yet", ErrUnavailable, scheme.WorkStream)
		}
		found.there, found.ackWait = true, w.opts.AckWait
		return jet.JSError(err)
	})
	return found, err
}
