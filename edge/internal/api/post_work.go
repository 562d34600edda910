package api

import (
	"context"
	"net/http"

	"hydrant/bus/scheme"
)

// queue stores work for a service. A session has its mailbox for that.
func (a *API) queue(ctx context.Context, p *posted) (any, error) {
	if p.address.Service == scheme.ClientService {
		return a.sendToSession(ctx, p)
	}
	service, err := scheme.ParseService(p.address.Service)
	if err != nil {
		return nil, errAddress
	}
	if why, ok := p.from.rights.Queue(p.address.Service); !ok {
		return nil, a.deny(why, p.address.Service)
	}
	if err := p.registered(ctx, service); err != nil {
		return nil, err
	}
	out := p.outgoing()
	out.TTL, out.Header = 0, p.header
	_, err = p.nats.Store.EnqueueWork(ctx, service, out)
	return p.taken(), storing(err)
}

// registered refuses work for a service that has registered no work queue.
func (p *posted) registered(ctx context.Context, service scheme.Service) error {
	q := p.nats.Queues
	if q.Known(service) {
		return nil
	}
	there, err := q.Ask(ctx, service)
	switch {
	case err != nil:
		return err
	case !there:
		return &refusal{status: http.StatusNotFound, text: "No work queue is registered for " + string(service)}
	}
	return nil
}
