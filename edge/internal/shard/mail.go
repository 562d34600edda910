package shard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
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
	d := delivery{by: c, from: c.has.sid, to: sid, mid: append([]byte(nil), f.Mid...), data: data, ttl: protocol.TTL(e), at: s.uptime(), user: ofUser}
	d.content, d.accepted = s.contentOf(e), c.wantsAccepted(e)
	d.header, d.span = s.node.Tracing.frame(stats.InClient, "", c.has.sid, e, nil)
	if _, ok := s.lookups[sid]; ok {
		s.await(d)
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

// contentOf names what a message says: under its mid another one may be sent.
func (s *Shard) contentOf(e *umf.Envelope) string {
	s.buf = e.AppendContent(s.buf[:0])
	return umf.ContentID(s.buf)
}

// delivery is a message on its way to a mailbox.
type delivery struct {
	by       *Client // it may have gone
	from, to scheme.SID
	mid      []byte
	content  string
	data     []byte
	ttl      time.Duration
	accepted bool          // its sender waits to be told that it is stored
	at       time.Duration // of the frame: see egress.Op
	user     string        // only if the session is of this identity; "": whoever has it
	header   nats.Header   // the trace
	span     trace.Span    // nil: not traced
}

// maxWaiting bounds the messages that wait for one directory look-up.
const maxWaiting = 1024

// await keeps the order of messages to a session that is being looked up.
func (s *Shard) await(d delivery) {
	waiting := s.lookups[d.to]
	if len(waiting) >= maxWaiting {
		s.node.Metrics.Dropped.Inc(stats.DropLookUp)
		s.overloaded(d, errBusy, "Too many messages wait for a look-up")
		return
	}
	s.lookups[d.to] = append(waiting, d)
	s.out.Keep(len(d.data))
}

// overloaded tells the sender that a message is not taken now.
func (s *Shard) overloaded(d delivery, err error, text string) {
	tracectx.End(d.span, err)
	if h := s.held[d.from]; h != nil && h.client != nil {
		h.client.fail(d.mid, protocol.CodeOverload, text)
	}
}

// store hands a message to the mailbox, unless its sender has its share of it. The
// message id lets a client repeat a message without doubling it, and only its own.
func (s *Shard) store(d delivery) {
	if _, ok := s.lookups[d.to]; ok { // of how far its receiver has got
		s.await(d)
		return
	}
	mail, account, size := s.node.Mail, d.by.account, len(d.data)
	switch mail.Ask(account, string(d.to), size, s.uptime()) {
	case quota.Look:
		s.lookAt(d)
		return
	case quota.Refuse:
		s.node.Metrics.Dropped.Inc(stats.DropMailShare)
		s.overloaded(d, errShare, "Too many of your messages wait for this client")
		return
	}
	report := s.reportTo(d.from, d.mid, d.accepted)
	s.out.Push(egress.Op{Kind: stats.OpStore, SID: d.to, Data: d.data, TTL: d.ttl, Header: d.header, Span: d.span, At: d.at,
		Mid: string(d.mid), From: string(d.from), Content: d.content, Done: func(seq uint64, err error) {
			if err != nil {
				seq = 0
			}
			report(seq, err)
			mail.Stored(account, string(d.to), seq, size)
		}})
}

// lookAt finds out how far the receiver of a message has got, before its sender may
// store more of them.
func (s *Shard) lookAt(d delivery) {
	s.lookups[d.to] = []delivery{d}
	s.out.Keep(len(d.data))
	job := func(ctx context.Context) (scheme.Entry, error) {
		e, _, err := s.node.Directory.Get(ctx, d.to)
		return e, err
	}
	d.by.calling(callsPerLookUp)
	submitIdle(s, job, func(e scheme.Entry, err error) {
		d.by.called(callsPerLookUp)
		floor := e.Floor
		if errors.Is(err, store.ErrNoSession) {
			floor = math.MaxUint64 // it cannot be in anybody's way
		}
		if err == nil || floor > 0 {
			s.node.Mail.Looked(d.by.account, string(d.to), floor, e.State == scheme.StateParked, s.uptime())
		}
		s.answered(d.to, func(d delivery) {
			if err != nil && floor == 0 {
				s.node.Metrics.NATSErrors.Inc(stats.OpLookUp)
				tracectx.End(d.span, err)
				s.report(d.from, d.mid, notSent(err))
				return
			}
			s.store(d)
		})
	})
}

// answered goes on with what waits for a look-up.
func (s *Shard) answered(sid scheme.SID, next func(delivery)) {
	waiting := s.lookups[sid]
	delete(s.lookups, sid)
	for _, d := range waiting {
		s.out.Drop(len(d.data))
		next(d)
	}
}

// lookup asks the directory whether a session exists; what is for it waits.
func (s *Shard) lookup(sid scheme.SID, d delivery) {
	s.lookups[sid] = []delivery{d}
	s.out.Keep(len(d.data))
	job := func(ctx context.Context) (store.Found, error) { return s.node.Directory.Lookup(ctx, sid) }
	d.by.calling(callsPerLookUp)
	submitIdle(s, job, func(to store.Found, err error) { // there may be none
		d.by.called(callsPerLookUp)
		s.answered(sid, func(d delivery) {
			if err != nil {
				s.node.Metrics.NATSErrors.Inc(stats.OpLookUp)
				tracectx.End(d.span, err)
				s.report(d.from, d.mid, notSent(err))
				return
			}
			s.found(d, to.Exists, d.user == "" || to.Of(d.user))
		})
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
		h.client.guessed()
	}
}
