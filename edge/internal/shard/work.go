package shard

import (
	"context"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// enqueue stores work for a service that has registered a work queue.
func (c *Client) enqueue(e *umf.Envelope, target umf.Address) {
	s := c.s
	if !c.mayQueue(e, target) {
		return
	}
	c.took(stats.InWork)
	s.served.Add(target.Service, s.loop.Now())
	service, err := scheme.ParseService(target.Service)
	switch {
	case err != nil:
		c.fail(e.Raw(umf.Mid), protocol.CodeUnavailable, "Message could not be stored")
	case s.node.Queues.Known(service):
		c.storeWork(e, service)
	default:
		c.askQueue(e, service)
	}
}

// askQueue asks whether a service has registered a work queue, and goes on when that is
// known: who makes names up waits for each.
func (c *Client) askQueue(e *umf.Envelope, service scheme.Service) {
	a, ok := c.setAside(e)
	if !ok {
		return
	}
	n := c.s.node
	submitIdle(c.s, func(ctx context.Context) (bool, error) { return n.Queues.Ask(ctx, service) }, func(there bool, err error) {
		if !c.takeUp(&a) {
			return
		}
		switch {
		case err != nil:
			n.Log.Warn("not known whether a service has a work queue", "service", service, "error", err)
			c.failCall(a.rmid, err)
		case !there:
			c.fail(a.rmid, protocol.CodeNoQueue, "No work queue is registered for "+string(service))
		default:
			c.storeWork(c.s.scan(&a), service)
		}
		c.readOn()
	})
}

// storeWork stores work for a service that has a work queue.
func (c *Client) storeWork(e *umf.Envelope, service scheme.Service) {
	s := c.s
	f := c.completeForService(e)
	f.Set(umf.To, e.Raw(umf.Forward))
	data, ok := c.admit(e, &f)
	if !ok {
		return
	}
	header, span := s.node.Tracing.frame(stats.InWork, string(service), c.has.sid, e, c.has.serviceHeader())
	s.out.Push(egress.Op{Kind: stats.OpWork, Service: service, Data: data, Header: header, Span: span, At: s.uptime(),
		Mid: string(f.Mid), From: string(c.has.sid), Content: s.contentOf(e), Done: s.reportTo(c.has.sid, append([]byte(nil), f.Mid...), c.wantsAccepted(e))})
}
