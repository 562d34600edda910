package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// deliver stores a message in another session's mailbox. An id that cannot
// exist is refused: Hydra Router dies of some.
func (c *Client) deliver(e *umf.Envelope, to []byte, id string, forwarded bool) {
	s := c.s
	n := s.node
	sid, err := scheme.ParseSID(id)
	if err != nil {
		c.took(stats.InClient)
		c.fail(e.Raw(umf.Mid), protocol.CodeUnknownSession, "No such client")
		if forwarded {
			c.close(protocol.ClosePolicy, "invalid forward address")
		}
		return
	}
	ofUser, ok := c.mayWrite(e, sid)
	if !ok {
		return
	}
	c.took(stats.InClient)
	f := protocol.Complete(e, s.loop.Now())
	f.Set(umf.To, to)
	f.Set(umf.Via, n.Router)
	s.text = c.has.appendSender(s.text[:0], e.Raw(umf.Headers))
	f.Set(umf.Headers, s.text)
	data, ok := c.admit(e, &f)
	if !ok {
		return
	}
	d := delivery{from: c.has.sid, to: sid, mid: append([]byte(nil), f.Mid...), data: data, ttl: protocol.TTL(e), at: s.uptime(), user: ofUser}
	d.header, d.span = s.node.Tracing.frame(stats.InClient, "", c.has.sid, e, nil)
	if waiting, ok := s.lookups[sid]; ok {
		c.await(sid, waiting, d)
		return
	}
	if h := s.held[sid]; h != nil {
		s.found(d, true, d.user == "" || d.user == h.owner.Entry().Identity)
		return
	}
	found, cached := n.Directory.Known(sid)
	if !cached {
		s.lookup(sid, d)
		return
	}
	s.found(d, found.Exists, d.user == "" || found.Of(d.user))
}

// found goes on with a message when it is known whether its session exists, and is
// one that its sender may write to.
func (s *Shard) found(d delivery, exists, allowed bool) {
	switch {
	case !exists:
		s.unknown(d)
	case !allowed:
		tracectx.End(d.span, errDenied)
		if h := s.held[d.from]; h != nil && h.client != nil {
			h.client.deny(d.mid, policy.DeniedClient, "")
		}
	default:
		s.store(d)
	}
}

// delivery is a message on its way to a mailbox.
type delivery struct {
	from, to scheme.SID
	mid      []byte
	data     []byte
	ttl      time.Duration
	at       time.Duration // of the frame: see egress.Op
	user     string        // only if the session is of this identity; "": whoever has it
	header   nats.Header   // the trace
	span     trace.Span    // nil: not traced
}

// maxWaiting bounds the messages that wait for one directory look-up.
const maxWaiting = 1024

// await keeps the order of messages to a session that is being looked up.
func (c *Client) await(sid scheme.SID, waiting []delivery, d delivery) {
	if len(waiting) >= maxWaiting {
		c.s.node.Metrics.Dropped.Inc(stats.DropLookUp)
		tracectx.End(d.span, errBusy)
		c.fail(d.mid, protocol.CodeOverload, "Too many messages wait for a look-up")
		return
	}
	c.s.lookups[sid] = append(waiting, d)
	c.s.out.Keep(len(d.data))
}

// store hands a message to the mailbox. The message id lets a client repeat a
// message without doubling it, and only its own.
func (s *Shard) store(d delivery) {
	s.out.Push(egress.Op{Kind: stats.OpStore, SID: d.to, Data: d.data, TTL: d.ttl, Header: d.header, Span: d.span, At: d.at,
		Mid: string(d.mid), From: string(d.from), Done: s.reportTo(d.from, d.mid)})
}

// lookup asks the directory whether a session exists; what is for it waits.
func (s *Shard) lookup(sid scheme.SID, d delivery) {
	s.lookups[sid] = []delivery{d}
	s.out.Keep(len(d.data))
	job := func(ctx context.Context) (store.Found, error) { return s.node.Directory.Lookup(ctx, sid) }
	submitIdle(s, job, func(to store.Found, err error) { // there may be none
		waiting := s.lookups[sid]
		delete(s.lookups, sid)
		for _, d := range waiting {
			s.out.Drop(len(d.data))
			if err != nil {
				s.node.Metrics.NATSErrors.Inc(stats.OpLookUp)
				tracectx.End(d.span, err)
				s.report(d.from, d.mid, notSent(err))
				continue
			}
			s.found(d, to.Exists, d.user == "" || to.Of(d.user))
		}
	})
}

// notSent is the reason why a message did not leave: whatever of a look-up was not
// confirmed, the message was not stored.
func notSent(err error) error {
	if errors.Is(err, errBusy) {
		return err
	}
	return fmt.Errorf("edge: session not looked up: %v", err) // err is not to be found in it
}

// unknown tells the sender that there is no such session.
func (s *Shard) unknown(d delivery) {
	tracectx.End(d.span, store.ErrNoSession)
	if h := s.held[d.from]; h != nil && h.client != nil {
		h.client.fail(d.mid, protocol.CodeUnknownSession, "No such client")
	}
}
