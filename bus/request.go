package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
	"hydrant/umf"
)

// Request is a message that a handler is to handle. It stays valid after the
// handler has returned, so a reply may come later; it may come more than once.
type Request struct {
	// Message as the client sent it, with the node's via.
	Message *umf.Message
	// Session is the id of the sender's session; Mailbox the subject that
	// reaches it; Identity who it proved to be. Nodes set them; they are empty
	// if the message did not come through a node.
	Session, Mailbox, Identity string
	// Method and Path are those of a message to "service:[METHOD]path".
	Method, Path string
	// Header has all headers of the NATS message (traceparent, …).
	Header nats.Header

	// Immutable after the request was read.
	svc    *Service
	reply  string // NATS reply subject
	call   bool   // of another service, which waits for the answer
	values map[string]string

	answered atomic.Bool
}

// PathValue is what the wildcard {name} of the route stands for.
func (r *Request) PathValue(name string) string { return r.values[name] }

// Decode reads the body into v, as json.Unmarshal does. Its error is a *[Failure]
// (bad_request), which the handler may return as it is.
func (r *Request) Decode(v any) error {
	if err := json.Unmarshal(r.Message.Body, v); err != nil {
		return fmt.Errorf("%w: %w", failBody, err)
	}
	return nil
}

// Reply answers with a body: anything that json.Marshal takes, or JSON as
// json.RawMessage. Any JSON value is an answer, false, 0 and null too; nil stands for {}.
func (r *Request) Reply(ctx context.Context, body any) error {
	m, err := r.NewReply(body)
	if err != nil {
		return err
	}
	return r.ReplyMessage(ctx, m)
}

// NewReply makes the answer without sending it, so that the handler can change
// it.
func (r *Request) NewReply(body any) (*umf.Message, error) {
	m, err := r.Message.Reply(body)
	if err != nil {
		return nil, fmt.Errorf("bus: reply: %w", err)
	}
	if r.Method != "" {
		return m, nil // from is what the request was sent to, as it always was
	}
	// With the instance, so that the client can go on talking to this one.
	m.From = r.svc.Address()
	if a, err := umf.ParseAddress(r.Message.To); err == nil && a.Service == r.svc.cfg.Name {
		a.Instance = r.svc.cfg.Instance
		m.From = a.String()
	}
	return m, nil
}

// ReplyMessage sends an answer. To a session it goes through the mailbox, and
// ReplyMessage returns when the store has acknowledged it; if no answer comes,
// it is repeated until ctx ends (ReplyTimeout, if ctx has no end), and arrives
// once all the same. To a [METHOD] request, and to a sender that waits on NATS
// for the answer, it is sent at most once. ErrNoReply: neither is there.
func (r *Request) ReplyMessage(ctx context.Context, m *umf.Message) error {
	out, err := r.svc.outgoing(m)
	if err != nil {
		return err
	}
	sid := r.session()
	direct := r.direct(sid)
	if !direct && sid == "" {
		return ErrNoReply
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = tracectx.Extract(ctx, r.Header) // a reply is part of its message's trace in any case
	}
	ctx, span := r.svc.sending(ctx, "reply", &out)
	if direct {
		err = r.publish(out)
	} else {
		_, err = r.svc.store(ctx, sid, out)
	}
	tracectx.End(span, err)
	if err == nil {
		r.answered.Store(true)
	}
	return err
}

// direct reports whether the answer goes to a sender that waits on NATS, and
// not to the mailbox of the session sid.
func (r *Request) direct(sid scheme.SID) bool {
	return scheme.IsRequestReply(r.reply) || (r.call || sid == "") && scheme.Answerable(r.reply)
}

// publish sends an answer to the reply subject.
func (r *Request) publish(out jet.Outgoing) error {
	return jet.SendError(r.svc.nc.PublishMsg(&nats.Msg{Subject: r.reply, Header: out.Header, Data: out.Payload}))
}

// session is whose mailbox the answer goes to: that which the node has named,
// else the one in the message's via; empty: neither.
func (r *Request) session() scheme.SID {
	if r.Mailbox != "" {
		if sid, err := scheme.ParseMailboxSubject(r.Mailbox); err == nil {
			return sid
		}
	}
	if sid, err := sessionOf(r.Message.Via); err == nil {
		return sid
	}
	return ""
}

// refuse answers from within a NATS callback: without waiting, and without
// repetition.
func (r *Request) refuse(f *Failure) error {
	m, err := r.NewReply(f.body())
	if err != nil {
		return err
	}
	out, err := r.svc.outgoing(m)
	if err != nil {
		return err
	}
	out.Header = tracectx.Inject(tracectx.Extract(context.Background(), r.Header), nil)
	sid := r.session()
	switch {
	case r.direct(sid):
		return r.publish(out)
	case sid == "":
		return ErrNoReply
	}
	return r.svc.refusals.Publish(out.For(sid), func(uint64, error) {})
}
