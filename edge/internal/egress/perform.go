package egress

import (
	"github.com/nats-io/nats.go"

	"hydrant/bus/store"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/stats"
)

// perform hands one operation to NATS.
func (o *Outbox) perform(p *Op) {
	to := o.nats.Load()
	switch p.Kind {
	case stats.OpPublish:
		o.msg = nats.Msg{Subject: p.Subject, Reply: p.Reply, Header: p.Header, Data: p.Data}
		err := to.Conn.PublishMsg(&o.msg)
		o.msg = nats.Msg{}
		tracectx.End(p.Span, err)
		o.failed(p.Kind, err)
		switch {
		case err != nil && p.Done != nil:
			p.Done(0, err)
		case err == nil && p.Proved:
			o.proofs.add(to.Conn, p.Done)
		}
	case stats.OpStore:
		out := store.Outgoing{Payload: p.Data, Header: p.Header, Mid: p.Mid, Content: p.Content, Sender: p.From, TTL: p.TTL}
		if err := to.Store.PublishAsync(p.SID, out, p.Done); err != nil {
			p.Done(0, err)
		}
	case stats.OpWork:
		out := store.Outgoing{Payload: p.Data, Header: p.Header, Mid: p.Mid, Content: p.Content, Sender: p.From}
		if err := to.Store.EnqueueWorkAsync(p.Service, out, p.Done); err != nil {
			p.Done(0, err)
		}
	case stats.OpSave:
		if err := to.Directory.UpdateAsync(p.SID, *p.Entry, p.Rev, p.TTL, p.Done); err != nil {
			p.Done(0, err)
		}
	case stats.OpOnce:
		done := p.Done
		if err := to.Directory.OnceAsync(p.Once, p.TTL, func(err error) { done(0, err) }); err != nil {
			done(0, err)
		}
	default:
		o.try(to, p)
	}
}

// try performs an operation whose failure costs time only, so that it is counted
// and logged, and reported to nobody.
func (o *Outbox) try(to *NATS, p *Op) {
	var err error
	switch p.Kind {
	case stats.OpMark: // its timer asks again
		err = to.Store.PublishMarker(p.SID, p.Marker)
	case stats.OpSubscribe: // no marker comes back, and the opening times out
		err = p.Subscription.begin(to, p)
	case stats.OpUnsubscribe:
		err = p.Subscription.end(to)
	case stats.OpEvent:
		err = store.PublishEvent(to.Conn, *p.Event)
	}
	o.failed(p.Kind, err)
	if err != nil {
		o.log.Debug("not done by NATS", "operation", p.Kind, "error", err)
	}
}
