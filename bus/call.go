package bus

import (
	"context"
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
	a, err := umf.ParseAddress(to)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	service, err := scheme.ParseService(a.Service)
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
