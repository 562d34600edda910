package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
	"hydrant/umf"
)

// Call asks another service: to is an address as clients write it, "orders:/" or
// "orders:[GET]/v1/orders/7". Its handlers get the message as a client's, but without
// session and identity: that a client is somebody only nodes say. Call returns the answer,
// or when ctx ends (after ReplyTimeout, if it has no end). [ErrUnavailable]: no
// instance of that service runs.
func (s *Service) Call(ctx context.Context, to string, body any) (*umf.Message, error) {
	m, err := s.NewMessage(to, body)
	if err != nil {
		return nil, err
	}
	service, err := serviceOf(to)
	if err != nil {
		return nil, err
	}
	out, err := s.outgoing(m)
	if err != nil {
		return nil, err
	}
	ctx, cancel := jet.WithDefaultTimeout(ctx, s.cfg.ReplyTimeout)
	defer cancel()
	ctx, span := s.sending(ctx, "call", &out)
	answer, err := s.ask(ctx, &nats.Msg{Subject: scheme.CallSubject(service), Header: out.Header, Data: out.Payload})
	tracectx.End(span, err)
	return answer, err
}

// Enqueue stores work for a service: to is an address as for [Service.Call], and one of
// its instances takes the message from its queue, see [Service.HandleWork]. Enqueue
// returns when it is stored. If no answer comes it is repeated until ctx ends
// (ReplyTimeout, if it has no end), and stored once all the same. [ErrNoQueue]: that
// service has registered no queue, as a node says, and nothing is stored.
// [ErrUnavailable]: nobody takes it, and no node says why.
func (s *Service) Enqueue(ctx context.Context, to string, body any) error {
	m, err := s.NewMessage(to, body)
	if err != nil {
		return err
	}
	service, err := serviceOf(to)
	if err != nil {
		return err
	}
	out, err := s.outgoing(m)
	if err != nil {
		return err
	}
	ctx, span := s.sending(ctx, "enqueue", &out)
	_, err = s.publish(ctx, out.Work(service), func(ctx context.Context) error { return s.noQueue(ctx, service) })
	if errors.Is(err, nats.ErrNoResponders) {
		err = fmt.Errorf("%w: NATS cannot store now, or there is no queue: %s", err, howToRegister(service))
	}
	tracectx.End(span, err)
	return err
}

// serviceOf is the service that an address names.
func serviceOf(to string) (scheme.Service, error) {
	a, err := umf.ParseAddress(to)
	if err != nil {
		return "", fmt.Errorf("bus: %w", err)
	}
	return scheme.ParseService(a.Service)
}

// ask sends a request and reads the answer.
func (s *Service) ask(ctx context.Context, m *nats.Msg) (*umf.Message, error) {
	got, err := s.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return nil, jet.RequestError(err)
	}
	answer, err := umf.Parse(got.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotUMF, err)
	}
	return answer, nil
}
