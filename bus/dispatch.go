package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
	"hydrant/umf"
)

// Failure is an error that a handler returns in order to tell the sender what
// went wrong: it becomes the body {"error":Text,"code":Code} of the reply. Over HTTP
// the status follows the code: 400 for bad_request, 401 for unauthorized, 403 for
// forbidden, 404 for not_found and unsupported, 409 for conflict, 503 for overload and
// unavailable, the number for one that is a status, and 500 for all others.
type Failure struct {
	Code string // machine-readable, "not_found"
	Text string // one sentence
}

func (f *Failure) Error() string { return f.Code + ": " + f.Text }

// Failures that the kit itself answers with.
var (
	failOverload  = &Failure{Code: "overload", Text: "The service has too much to do"}
	failNoHandler = &Failure{Code: "unsupported", Text: "The service does not handle such messages"}
	failInternal  = &Failure{Code: "service_error", Text: "The service could not handle the message"}
	failBody      = &Failure{Code: "bad_request", Text: "The body is not what the service expects"}
	failTooLarge  = &Failure{Code: "too_large", Text: "The answer of the service is too large"}
)

// enqueue is the NATS callback of both endpoints. A message that finds the
// queue full is answered at once: the sender learns more from an error now
// than from silence.
func (s *Service) enqueue(mr micro.Request) {
	s.take(incoming{data: mr.Data(), header: nats.Header(mr.Headers()), reply: mr.Reply()})
}

// enqueueCall is that of calls of other services. Who they say a client is no node
// has seen.
func (s *Service) enqueueCall(mr micro.Request) {
	header := make(nats.Header, len(mr.Headers()))
	for key, values := range mr.Headers() {
		if !strings.HasPrefix(strings.ToLower(key), scheme.HeadersOfNodes) {
			header[key] = values
		}
	}
	s.take(incoming{data: mr.Data(), header: header, reply: mr.Reply(), call: true})
}

// take puts a message into the queue.
func (s *Service) take(in incoming) {
	if s.lanes.offer(in.header.Get(scheme.HeaderSession), func() { s.handle(in) }) {
		return
	}
	s.stats.Rejected.Add(1)
	r, err := s.request(in)
	if err != nil {
		return // nothing that could be answered
	}
	if err := r.refuse(failOverload); err != nil {
		s.cfg.Logger.Warn("refusal not sent", slog.String("service", s.cfg.Name), slog.Any("error", err))
	}
}

// incoming is a NATS message for the service.
type incoming struct {
	data   []byte
	header nats.Header
	reply  string
	call   bool // of another service
}

// request reads a message of a client.
func (s *Service) request(in incoming) (*Request, error) {
	msg, err := umf.Parse(in.data)
	if err == nil {
		err = msg.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotUMF, err)
	}
	r := &Request{
		Message:  msg,
		Session:  in.header.Get(scheme.HeaderSession),
		Mailbox:  in.header.Get(scheme.HeaderMailbox),
		Identity: in.header.Get(scheme.HeaderIdentity),
		Header:   in.header,
		svc:      s,
		reply:    in.reply,
		call:     in.call,
	}
	if a, err := umf.ParseAddress(msg.To); err == nil {
		r.Method, r.Path = a.Method, a.Path
	}
	return r, nil
}

// handle runs on a worker.
func (s *Service) handle(in incoming) {
	r, err := s.request(in)
	if err != nil {
		s.stats.Invalid.Add(1)
		s.cfg.Logger.Warn("message dropped", slog.String("service", s.cfg.Name), slog.Any("error", err))
		return
	}
	if sid, err := scheme.ParseSID(r.Session); err == nil {
		s.sessions.saw(sid)
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.timeoutOf(r.Message))
	defer cancel()
	ctx, span := s.receiving(ctx, in.header)
	err = s.call(ctx, s.route(r), r)
	defer tracectx.End(span, err)
	if err != nil {
		s.cfg.Logger.Log(ctx, failureLevel(err), "message failed", slog.String("service", s.cfg.Name),
			slog.String("mid", r.Message.Mid), slog.Any("error", err))
		s.answerFailure(ctx, r, err)
	}
}

// timeoutOf is how long a handler may take: no longer than its sender waits.
func (s *Service) timeoutOf(m *umf.Message) time.Duration {
	if d, ok := umf.Seconds(m.Timeout); ok && d < s.cfg.HandlerTimeout {
		return d
	}
	return s.cfg.HandlerTimeout
}

// route finds the handler of a message; nil: there is none.
func (s *Service) route(r *Request) Handler {
	if r.Method != "" {
		path, _, _ := strings.Cut(r.Path, "?")
		for i := range s.handlers.routes {
			if values, ok := s.handlers.routes[i].match(r.Method, path); ok {
				r.values = values
				return s.handlers.routes[i].handler
			}
		}
		return s.handlers.other
	}
	if h := s.handlers.byType[r.Message.Type]; h != nil {
		return h
	}
	return s.handlers.other
}

// call runs a handler and turns a panic into an error: one message that hits a
// defect must not take the whole instance, and then, sent again, the next one.
func (s *Service) call(ctx context.Context, h Handler, r *Request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, v, debug.Stack())
		}
		s.stats.Handled.Add(1)
		switch {
		case err == nil:
		case isFailure(err):
			s.stats.Refused.Add(1)
		default:
			s.stats.Failed.Add(1)
		}
	}()
	if h == nil {
		return failNoHandler
	}
	return h(ctx, r)
}

// isFailure reports whether an error is meant for the sender.
func isFailure(err error) bool {
	var f *Failure
	return errors.As(err, &f)
}

// failureLevel is that of the line about a handler's error: "no such user" is an answer,
// and nothing that an operator is to be woken for.
func failureLevel(err error) slog.Level {
	if isFailure(err) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// answerFailure tells the sender of a message that it failed, unless it has
// its reply, or the reply is what failed.
func (s *Service) answerFailure(ctx context.Context, r *Request, err error) {
	if r.answered.Load() {
		return
	}
	var f *Failure
	switch {
	case errors.As(err, &f):
	case errors.Is(err, ErrTooLarge):
		f = failTooLarge
	default:
		f = failInternal
	}
	// The handler's time may be what was up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ReplyTimeout)
	defer cancel()
	if err := r.Reply(ctx, f.body()); err != nil && !errors.Is(err, ErrNoReply) {
		s.cfg.Logger.Warn("error reply not sent", slog.String("service", s.cfg.Name), slog.Any("error", err))
	}
}

// failureBody is the shape of errors in UMF bodies.
type failureBody struct {
	Error string `json:"error"`
	Code  string `json:"code"`

	Status int `json:"status,omitempty"`
}

func (f *Failure) body() failureBody {
	return failureBody{Error: f.Text, Code: f.Code}
}

// subscribeEvents subscribes the event handlers.
func (s *Service) subscribeEvents() error {
	for what, h := range s.handlers.events {
		sub, err := s.nc.QueueSubscribe(scheme.EventWildcard(what), s.cfg.Name, func(m *nats.Msg) {
			e, err := scheme.ParseEvent(m.Subject, m.Data)
			if err != nil || !s.lanes.offer(string(e.Session), func() { s.handleEvent(h, e) }) {
				s.stats.Rejected.Add(1)
			}
		})
		if err != nil {
			return jet.SendError(err)
		}
		s.subs = append(s.subs, sub)
	}
	return nil
}

// handleEvent runs on a worker.
func (s *Service) handleEvent(h func(context.Context, Event), e Event) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.HandlerTimeout)
	defer cancel()
	err := s.call(ctx, func(ctx context.Context, _ *Request) error {
		h(ctx, e)
		return nil
	}, nil)
	if err != nil {
		s.cfg.Logger.Warn("event failed", slog.String("service", s.cfg.Name), slog.Any("error", err))
	}
}
