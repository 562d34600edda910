package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
	"hydrant/umf"
)

// NewMessage makes a message of this instance to an address. For a push the
// address is the client's, or its via.
func (s *Service) NewMessage(to string, body any) (*umf.Message, error) {
	return umf.New(to, s.Address(), body)
}

// Push stores a message in a session's mailbox, whether or not it is
// connected, and returns when the store has acknowledged it. If no answer
// comes it is repeated until ctx ends (ReplyTimeout, if ctx has no end), and
// arrives once all the same. The message's own ttl, if it has one, bounds how
// long it waits. ErrNoSession: it is for nobody.
func (s *Service) Push(ctx context.Context, sid string, m *umf.Message) error {
	session, err := scheme.ParseSID(sid)
	if err != nil {
		return err
	}
	return s.push(ctx, session, m)
}

func (s *Service) push(ctx context.Context, sid scheme.SID, m *umf.Message) error {
	if err := pushed(sid, m); err != nil {
		return err
	}
	out, err := s.outgoing(m)
	if err != nil {
		return err
	}
	ctx, span := s.sending(ctx, "push", &out)
	gone := make(chan bool, 1)
	s.sessions.look(sid, func(no bool) { gone <- no })
	if _, err = s.store(ctx, sid, out); err == nil {
		select {
		case no := <-gone:
			if no {
				err = ErrNoSession
			}
		case <-ctx.Done(): // it is stored, whoever it is for
		}
	}
	tracectx.End(span, err)
	return err
}

// PushVia is Push to an address that a message of the session carried:
// "node-sid@router:/" (via) or "sid@client:/" (from).
func (s *Service) PushVia(ctx context.Context, via string, m *umf.Message) error {
	sid, err := sessionOf(via)
	if err != nil {
		return err
	}
	return s.push(ctx, sid, m)
}

// PushAsync is Push without the wait: done is called exactly once, in general
// on another goroutine, when the message is stored or given up, at most three
// seconds after ReplyTimeout, and must only enqueue. PushAsync waits for room in
// the window until ctx ends; if it returns an error, nothing was sent and done is
// not called. Messages to one session keep their order unless one has to be
// repeated.
func (s *Service) PushAsync(ctx context.Context, sid string, m *umf.Message, done func(err error)) error {
	session, err := scheme.ParseSID(sid)
	if err != nil {
		return err
	}
	if err := pushed(session, m); err != nil {
		return err
	}
	out, err := s.outgoing(m)
	if err != nil {
		return err
	}
	_, span := s.sending(ctx, "push", &out)
	p := &push{svc: s, sid: session, msg: out.For(session), span: span, done: done, end: time.Now().Add(s.cfg.ReplyTimeout)}
	if err = s.pushAsync(ctx, p); err != nil {
		tracectx.End(span, err)
	}
	return err
}

// pushAsync waits for room in the window and sends.
func (s *Service) pushAsync(ctx context.Context, p *push) error {
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrOverload, ctx.Err())
	}
	p.parts.Store(2)
	if err := s.acks.Publish(p.msg, p.acked); err != nil {
		if !jet.Temporary(err) {
			<-s.slots
			return err
		}
		p.acked(0, err)
	}
	s.sessions.look(p.sid, func(gone bool) {
		p.gone = gone
		p.part()
	})
	return nil
}

// Push is one message for PushAll.
type Push struct {
	SID     string
	Message *umf.Message
}

// PushAll pushes many messages with as many on the way as the window allows,
// and returns when the store has answered for all of them. The result has one
// error for each push, nil where it is stored.
func (s *Service) PushAll(ctx context.Context, pushes []Push) []error {
	errs := make([]error, len(pushes))
	type result struct {
		i   int
		err error
	}
	results := make(chan result, len(pushes))
	waiting := 0
	for i, p := range pushes {
		err := s.PushAsync(ctx, p.SID, p.Message, func(err error) { results <- result{i, err} })
		if err != nil {
			errs[i] = err
			continue
		}
		waiting++
	}
	for ; waiting > 0; waiting-- {
		r := <-results // comes: every push ends, see PushAsync
		errs[r.i] = r.err
	}
	return errs
}

// PushLive sends a message past the mailbox: it is neither stored nor
// acknowledged, and reaches the client only if it is connected and keeps up.
func (s *Service) PushLive(sid string, m *umf.Message) error {
	session, err := scheme.ParseSID(sid)
	if err != nil {
		return err
	}
	if err := pushed(session, m); err != nil {
		return err
	}
	out, err := s.outgoing(m)
	if err != nil {
		return err
	}
	return jet.SendError(s.nc.Publish(scheme.PushedSubject(session), out.Payload))
}

// outgoing makes what is published of a message.
func (s *Service) outgoing(m *umf.Message) (jet.Outgoing, error) {
	if m == nil {
		return jet.Outgoing{}, fmt.Errorf("%w: no message", ErrNotUMF)
	}
	if err := m.Validate(); err != nil {
		return jet.Outgoing{}, fmt.Errorf("bus: %w", err)
	}
	text, err := m.AppendShort(nil)
	if err != nil {
		return jet.Outgoing{}, fmt.Errorf("bus: %w", err)
	}
	out := jet.Outgoing{Payload: text, Mid: m.Mid, Sender: s.cfg.Instance}
	if m.Mid != "" {
		var e umf.Envelope
		if err := umf.Scan(text, &e); err != nil {
			return jet.Outgoing{}, fmt.Errorf("bus: %w", err)
		}
		out.Content = umf.ContentID(e.AppendContent(nil))
	}
	if ttl, ok := umf.Seconds(m.TTL); ok {
		out.TTL = ttl
	}
	return out, nil
}

// store publishes to a mailbox until it is acknowledged or ctx ends.
func (s *Service) store(ctx context.Context, sid scheme.SID, out jet.Outgoing) (seq uint64, err error) {
	return s.publish(ctx, out.For(sid), func(context.Context) error { return nil })
}

// publish publishes to a stream until it is acknowledged, ctx ends, or why has an error:
// that is asked when nobody listens.
func (s *Service) publish(ctx context.Context, m *nats.Msg, why func(context.Context) error) (seq uint64, err error) {
	ctx, cancel := jet.WithDefaultTimeout(ctx, s.cfg.ReplyTimeout)
	defer cancel()
	first := true
	err = jet.Retry(ctx, func(ctx context.Context) error {
		if !first {
			s.stats.Retried.Add(1)
		}
		first = false
		seq, err = jet.PublishAcked(ctx, s.nc, m)
		if errors.Is(err, nats.ErrNoResponders) {
			err = cmp.Or(why(ctx), err)
		}
		return err
	})
	return seq, err
}

// sessionOf is the session that an address means.
func sessionOf(address string) (scheme.SID, error) {
	a, err := umf.ParseAddress(address)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotASession, err)
	}
	text := a.Instance
	if a.Service != scheme.ClientService {
		_, text, _ = a.Via()
	}
	sid, err := scheme.ParseSID(text)
	if err != nil {
		return "", ErrNotASession
	}
	return sid, nil
}

// push is one message of PushAsync on its way.
type push struct {
	// Immutable.
	svc  *Service
	sid  scheme.SID
	span trace.Span
	done func(err error)
	end  time.Time

	parts atomic.Int32 // what is waited for: the store's answer, and a node's
	err   error        // written before the first of them
	gone  bool         // written before the second

	// Owned by the goroutine that completes the attempt under way.
	msg   *nats.Msg
	wait  time.Duration
	doubt error // see retry
}

// acked ends an attempt: it succeeded, or it is repeated, or it is given up.
func (p *push) acked(_ uint64, err error) {
	if err == nil || !jet.Temporary(err) || p.svc.ctx.Err() != nil {
		p.finish(err)
		return
	}
	if errors.Is(err, ErrUnconfirmed) {
		p.doubt = err
	}
	p.wait = min(max(2*p.wait, 20*time.Millisecond), time.Second)
	if time.Now().Add(p.wait).After(p.end) {
		p.finish(cmp.Or(p.doubt, err))
		return
	}
	again := *p.msg // see acks.publish
	p.msg = &again
	time.AfterFunc(p.wait, func() {
		p.svc.stats.Retried.Add(1)
		if err := p.svc.acks.Publish(p.msg, p.acked); err != nil {
			p.acked(0, err)
		}
	})
}

// finish notes what the store said.
func (p *push) finish(err error) {
	p.err = err
	p.part()
}

// part completes a push when both answers are there. It leaves the window last: a caller
// that finds that empty, as Stop does, may rely on done having returned.
func (p *push) part() {
	if p.parts.Add(-1) > 0 {
		return
	}
	if p.err == nil && p.gone {
		p.err = ErrNoSession
	}
	tracectx.End(p.span, p.err)
	p.done(p.err)
	<-p.svc.slots
}
