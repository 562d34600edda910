package egress

import (
	"github.com/nats-io/nats.go"

	"hydrant/bus/store"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/stats"
)

// perform hands one operation to NATS.
func (o *Outbox) perform(p *Op) {
	switch p.Kind {
	case stats.OpPublish:
		o.msg = nats.Msg{Subject: p.Subject, Reply: p.Reply, Header: p.Header, Data: p.Data}
		err := o.nats.Conn.PublishMsg(&o.msg)
		o.msg = nats.Msg{}
		tracectx.End(p.Span, err)
		o.failed(p.Kind, err)
		if err != nil && p.Done != nil {
			p.Done(0, err)
		}
	case stats.OpStore:
		out := store.Outgoing{Payload: p.Data, Header: p.Header, Mid: p.Mid, Sender: p.From, TTL: p.TTL}
		if err := o.nats.Store.PublishAsync(p.SID, out, p.Done); err != nil {
			p.Done(0, err)
		}
	case stats.OpWork:
		out := store.Outgoing{Payload: p.Data, Header: p.Header, Mid: p.Mid, Sender: p.From}
		if err := o.nats.Store.EnqueueWorkAsync(p.Service, out, p.Done); err != nil {
			p.Done(0, err)
		}
	case stats.OpSave:
		if err := o.nats.Directory.UpdateAsync(p.SID, p.Entry, p.Rev, p.Done); err != nil {
			p.Done(0, err)
		}
	default:
		o.try(p)
	}
}

// try performs an operation whose failure costs time only, so that it is counted
// and logged, and reported to nobody.
func (o *Outbox) try(p *Op) {
	var err error
	switch p.Kind {
	case stats.OpMark: // its timer asks again
		err = o.nats.Store.PublishMarker(p.SID, p.Marker)
	case stats.OpSubscribe: // no marker comes back, and the opening times out
		p.Subscription.sub, err = o.nats.Conn.ChanSubscribe(p.Subject, p.Channel)
	case stats.OpUnsubscribe:
		if sub := p.Subscription.sub; sub != nil {
			p.Subscription.sub = nil
			err = sub.Unsubscribe()
		}
	case stats.OpEvent:
		err = store.PublishEvent(o.nats.Conn, p.Event)
	}
	o.failed(p.Kind, err)
	if err != nil {
		o.log.Debug("not done by NATS", "operation", p.Kind, "error", err)
	}
}
