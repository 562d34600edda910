package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
)

// WorkOptions of a service's work queue; the zero value of a field means its
// default.
type WorkOptions struct {
	// Concurrency bounds the messages in work in this instance. Default 16.
	Concurrency int
	// MaxDeliver bounds the attempts at one message; then it is given up. Default 10.
	MaxDeliver int
	// Backoff is the pause before the second attempt; it doubles with each
	// one, up to a minute. Default 1 s.
	Backoff time.Duration
	// StartTimeout bounds the wait for the queue to be registered: see HandleWork.
	// Default 10 s.
	StartTimeout time.Duration
}

// workQueue is a service's part in its work queue.
type workQueue struct {
	// Immutable after HandleWork.
	handler Handler
	opts    WorkOptions

	// Written by start.
	svc      *Service
	slots    chan struct{} // a full buffer is full concurrency
	doubt    chan struct{} // the consumer may be gone; its buffer is one
	ctx      context.Context
	leave    context.CancelFunc
	keeping  sync.WaitGroup
	taking   sync.WaitGroup
	handlers sync.WaitGroup
	ackWait  atomic.Int64           // of the consumer, which may be another's choice
	said     atomic.Pointer[string] // what is wrong, as far as it was logged; nil: nothing

	// Owned by keep, and after its end by left; nil: not started.
	consume *puller
}

// minAckWait leaves time for three signs of life.
const minAckWait = 10 * time.Millisecond

// HandleWork registers the handler for the service's work queue. All instances
// share it. A message is done when the handler returns nil, and given up after a
// *[Failure], which goes to the sender; after any other error it is tried again, by any
// instance. So a message can be handled more than once.
//
// Nothing is stored for a service whose queue is not registered: by `hydrant setup
// -queues name`, or by a node that has the name in EDGE_QUEUE_SERVICES, or by itself
// where NATS is inside a node. Start waits for it, and is ErrNoQueue then. The queue says
// after how long without a sign of life of this instance another gets the message: 30 s,
// unless it was registered otherwise. A handler may take longer; this package says for it
// that it is at work.
//
// What is given up is logged, and published to umf.v1.dead.<service>
// ([scheme.DeadSubject]) as it was, with the headers Umf-Reason, the code of the
// failure, and Umf-Attempts. Whoever wants to keep it makes a stream on that subject.
func (s *Service) HandleWork(h Handler, o WorkOptions) (err error) {
	defer s.noteWrong(&err)
	if err := s.registering(h == nil); err != nil {
		return err
	}
	o.Concurrency = cmp.Or(o.Concurrency, 16)
	o.MaxDeliver = cmp.Or(o.MaxDeliver, 10)
	o.Backoff = cmp.Or(o.Backoff, time.Second)
	o.StartTimeout = cmp.Or(o.StartTimeout, 10*time.Second)
	if s.work != nil || o.Concurrency < 1 || o.MaxDeliver < 1 || o.Backoff < 0 || o.StartTimeout < 0 {
		return fmt.Errorf("%w: work queue", ErrServiceConfig)
	}
	s.work = &workQueue{handler: h, opts: o}
	return nil
}

// start finds the consumer and begins to take messages.
func (w *workQueue) start(s *Service) error {
	w.svc = s
	w.slots, w.doubt = make(chan struct{}, w.opts.Concurrency), make(chan struct{}, 1)
	w.ctx, w.leave = context.WithCancel(s.ctx)
	var err error
	if w.consume, err = w.begin(); err != nil {
		return fmt.Errorf("bus: work queue: %w", err)
	}
	w.keeping.Go(w.keep)
	return nil
}

// begin finds the consumer and consumes it.
func (w *workQueue) begin() (*puller, error) {
	found, err := w.consumer()
	if err != nil {
		return nil, err
	}
	w.ackWait.Store(int64(found.ackWait))
	p, err := newPuller(w.svc.nc, scheme.WorkNextSubject(found.api, w.svc.name), w.opts.Concurrency, w.trouble)
	if err != nil {
		return nil, err
	}
	w.taking.Go(func() { w.dispatch(p) })
	return p, nil
}

// trouble is the puller's word of what it asks for in vain.
func (w *workQueue) trouble(err error) {
	if err == nil {
		if w.said.Swap(nil) != nil {
			w.svc.cfg.Logger.Info("work queue goes on", slog.String("service", w.svc.cfg.Name))
		}
		return
	}
	w.warn(err)
	select {
	case w.doubt <- struct{}{}:
	default:
	}
}

// keep begins again when the connection is gone, and tells of a consumer that is: it was
// deleted, or the store has lost it. It ends with the service.
func (w *workQueue) keep() {
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.consume.Closed(): // with the connection
			consume, err := w.begin()
			if err == nil {
				w.consume = consume
				continue
			}
			w.warn(err)
		case <-w.doubt: // nothing comes; if there is a consumer, it is asked again
			found, err := w.consumer()
			if err != nil {
				w.warn(err)
			} else {
				w.ackWait.Store(int64(found.ackWait))
			}
		}
		select { // what was refused is not asked for all the time
		case <-time.After(w.opts.Backoff):
		case <-w.ctx.Done():
		}
	}
}

// warn logs what is wrong, once until it is another thing, or over.
func (w *workQueue) warn(err error) {
	text := err.Error()
	if before := w.said.Swap(&text); w.ctx.Err() == nil && (before == nil || *before != text) {
		w.svc.cfg.Logger.Warn("work queue", slog.String("service", w.svc.cfg.Name), slog.Any("error", err))
	}
}

// dispatch hands messages to handlers until no more come.
func (w *workQueue) dispatch(p *puller) {
	for {
		select {
		case m := <-p.msgs:
			w.take(p, m)
			continue
		case <-p.Closed():
		}
		for {
			select {
			case m := <-p.msgs:
				w.take(p, m)
			default:
				return
			}
		}
	}
}

// take waits for a free handler: the queue is the place to wait in, and what was
// pulled ahead is bounded.
func (w *workQueue) take(p *puller, m *nats.Msg) {
	ctx, stop := w.keepAlive(m)
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done(): // with the service
		stop()
		return // not acknowledged: another instance gets it after AckWait
	}
	p.took()
	w.handlers.Go(func() {
		defer func() { <-w.slots }()
		w.handle(ctx, stop, m)
	})
}

// handle runs the handler and settles the message, which stop has ended being
// kept alive by then.
func (w *workQueue) handle(ctx context.Context, stop func(), m *nats.Msg) {
	s := w.svc
	r, err := s.request(incoming{data: m.Data, header: m.Header})
	if err != nil {
		stop()
		s.stats.Invalid.Add(1)
		w.giveUp(m, r, "invalid", err)
		return
	}
	traced, span := s.receiving(ctx, r.Header)
	err = s.call(traced, w.handler, r)
	tracectx.End(span, err)
	stop()

	var f *Failure
	switch attempts := attempts(m); {
	case err == nil:
		w.settle(slog.LevelWarn, "work is not confirmed, and will be done again", r, m.Ack())
	case errors.As(err, &f):
		s.answerFailure(s.ctx, r, err)
		w.giveUp(m, r, f.Code, err)
	case attempts >= w.opts.MaxDeliver:
		s.answerFailure(s.ctx, r, err)
		w.giveUp(m, r, failInternal.Code, err)
	default:
		w.settle(slog.LevelInfo, "work failed, and is tried again", r, errors.Join(err, m.NakWithDelay(w.backoff(attempts))))
	}
}

// giveUp ends work that nobody will do: it goes to the dead letters, and out of the
// queue. The order on the connection makes sure of the first where the second is done.
// r is nil for what is no message.
func (w *workQueue) giveUp(m *nats.Msg, r *Request, code string, why error) {
	dead := &nats.Msg{Subject: scheme.DeadSubject(w.svc.name), Header: nats.Header{}, Data: m.Data}
	for key, values := range m.Header {
		if !strings.HasPrefix(strings.ToLower(key), "nats-") { // those are of the queue's stream
			dead.Header[key] = values
		}
	}
	dead.Header[scheme.HeaderReason] = []string{code}
	dead.Header[scheme.HeaderAttempts] = []string{strconv.Itoa(attempts(m))}
	level := slog.LevelWarn
	if r != nil {
		level = failureLevel(why)
	}
	sent := errors.Join(w.svc.nc.PublishMsg(dead), m.Respond([]byte("+TERM "+code)))
	w.settle(level, "work is given up", r, errors.Join(why, sent), slog.Int("attempts", attempts(m)))
}

// keepAlive tells the server that the message is waiting for a handler or being
// handled, until stop, after which it says nothing more. The context is the
// handler's: it ends with stop, or with the service.
func (w *workQueue) keepAlive(m *nats.Msg) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(w.svc.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(max(time.Duration(w.ackWait.Load()), minAckWait) / 3)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				_ = m.InProgress() // if it is lost, the message is handled twice
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(); <-ended }
}

// backoff is the pause after the nth attempt.
func (w *workQueue) backoff(n int) time.Duration {
	return min(w.opts.Backoff<<min(n-1, 10), time.Minute)
}

func attempts(m *nats.Msg) int {
	meta, err := m.Metadata()
	if err != nil {
		return 1
	}
	return int(meta.NumDelivered)
}

// settle logs how an attempt ended, if not well; there is no caller to tell.
func (w *workQueue) settle(level slog.Level, text string, r *Request, err error, more ...any) {
	if err == nil {
		return
	}
	mid := ""
	if r != nil {
		mid = r.Message.Mid
	}
	w.svc.cfg.Logger.With(more...).Log(context.Background(), level, text, slog.String("service", w.svc.cfg.Name),
		slog.String("mid", mid), slog.Any("error", err))
}

// drain takes nothing new and waits for the handlers.
func (w *workQueue) drain(ctx context.Context) error {
	if !w.left() {
		return nil
	}
	w.consume.drain()
	done := make(chan struct{})
	go func() {
		w.taking.Wait()
		w.handlers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrDrain, ctx.Err())
	}
}

// abandon stops without waiting; the handlers' contexts have ended.
func (w *workQueue) abandon() {
	if w.left() {
		w.consume.stop()
	}
}

// left ends keep; false: the queue was not started.
func (w *workQueue) left() bool {
	if w.leave == nil {
		return false
	}
	w.leave()
	w.keeping.Wait()
	return w.consume != nil
}
