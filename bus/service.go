package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Handler handles one message. An error that it returns goes to the log and,
// unless it has replied, as an error message to the sender: with its own words
// if it is a *[Failure], which is an answer like another and logged at debug only, in
// general terms otherwise.
type Handler func(ctx context.Context, r *Request) error

// Service is one instance of a service: it takes messages of clients, answers
// them, and pushes to sessions. Handlers are registered before Start; all other
// methods may be called concurrently. Those that are not for authors are a step each
// of a message's way, or of the end.
type Service struct {
	// Immutable after NewService.
	cfg      ServiceConfig
	name     scheme.Service  // cfg.Name
	instance scheme.Instance // cfg.Instance
	nc       *nats.Conn
	acks     *jet.Acks     // of PushAsync
	slots    chan struct{} // a full buffer is a full window of them
	refusals *jet.Acks     // apart, so that neither takes the other's room
	sessions *sessions
	tracing  tracing
	made     time.Time

	// Written before Start, immutable after it.
	handlers handlers
	work     *workQueue
	wrong    []error // registrations that were refused

	lanes  *lanes
	ctx    context.Context // of handlers; ends when Stop has finished
	cancel context.CancelFunc
	status chan nats.Status // closed by nats.go when Stop takes it back
	watch  sync.WaitGroup
	gone   chan struct{} // closed by watch: nats.go has given the connection up

	stats serviceStats // atomics

	// Written by Start until it closes started.
	micro   micro.Service
	subs    []*nats.Subscription
	started chan struct{}

	// Guarded by mu.
	mu      sync.Mutex
	state   serviceState
	stopped chan struct{} // closed when Stop has finished
	stopErr error         // written before stopped is closed
}

// handlers are the functions of a service, by what they are for.
type handlers struct {
	byType map[string]Handler
	other  Handler
	routes []route

	described map[string]scheme.Description // by route
	events    map[SessionEvent]func(ctx context.Context, e Event)
}

type serviceState uint8

const (
	serviceNew serviceState = iota
	serviceRunning
	serviceStopping
)

// serviceStats are counters, shown by NATS' service discovery (STATS).
type serviceStats struct {
	Handled  atomic.Int64 // handlers that ended
	Refused  atomic.Int64 // with a Failure: an answer like another
	Failed   atomic.Int64 // with any other error
	Rejected atomic.Int64 // messages that found the queue full
	Invalid  atomic.Int64 // not UMF
	Retried  atomic.Int64 // publishes that were repeated
}

// NewService prepares a service on a connection; see [Connect] for how to get
// one that stays. Nothing is received before Start or Run.
func NewService(nc *nats.Conn, cfg ServiceConfig) (*Service, error) {
	if nc == nil {
		return nil, fmt.Errorf("%w: no connection; the error of Connect says why", ErrServiceConfig)
	}
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	name, instance, err := cfg.names()
	if err != nil {
		return nil, err
	}
	pushes, err := jet.NewAcks(nc, cfg.Window, min(cfg.ReplyTimeout, jet.AttemptTimeout))
	if err != nil {
		return nil, err
	}
	refusals, err := jet.NewAcks(nc, cfg.Window, cfg.ReplyTimeout)
	if err != nil {
		pushes.Close()
		return nil, err
	}
	s := &Service{
		cfg: cfg, name: name, instance: instance, nc: nc, acks: pushes, refusals: refusals, tracing: cfg.tracing(), made: time.Now(),
		handlers: handlers{byType: make(map[string]Handler), events: make(map[SessionEvent]func(context.Context, Event)),
			described: make(map[string]scheme.Description)},
		slots:   make(chan struct{}, cfg.Window),
		lanes:   newLanes(cfg.Queue),
		started: make(chan struct{}),
		stopped: make(chan struct{}),
		gone:    make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sessions = newSessions(s.ctx, nc)
	s.status = nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	s.watch.Go(s.watchConnection)
	return s, nil
}

// watchConnection completes what waits for an answer when the connection is lost,
// and notices when it is so for good. It ends with Stop.
func (s *Service) watchConnection() {
	told := false
	look := func() {
		if !told && s.nc.IsClosed() {
			told = true
			close(s.gone)
		}
	}
	look() // it may have been closed before anything was watched
	for range s.status {
		err := fmt.Errorf("%w: %w", ErrUnconfirmed, nats.ErrDisconnected)
		s.acks.Fail(err)
		s.refusals.Fail(err)
		look()
	}
}

// Name of the service.
func (s *Service) Name() string { return s.cfg.Name }

// Instance is the id of this instance.
func (s *Service) Instance() string { return s.cfg.Instance }

// Address is the UMF address of this instance, for the from field of what it
// sends by itself.
func (s *Service) Address() string { return s.cfg.Instance + "@" + s.cfg.Name + ":/" }

// Handle registers the handler for messages of one UMF type; an empty type is
// that of messages without one. HTTP-like messages go to HandleMethod's
// handlers instead.
func (s *Service) Handle(typ string, h Handler) (err error) {
	defer s.noteWrong(&err)
	if err := s.registering(h == nil); err != nil {
		return err
	}
	if s.handlers.byType[typ] != nil {
		return fmt.Errorf("%w: type %q has a handler", ErrServiceConfig, typ)
	}
	s.handlers.byType[typ] = h
	return nil
}

// HandleAny registers the handler for every message that no other one takes.
func (s *Service) HandleAny(h Handler) (err error) {
	defer s.noteWrong(&err)
	if err := s.registering(h == nil); err != nil {
		return err
	}
	if s.handlers.other != nil {
		return fmt.Errorf("%w: HandleAny was called before", ErrServiceConfig)
	}
	s.handlers.other = h
	return nil
}

// HandleMethod registers the handler for messages to "service:[METHOD]path".
// A segment of the path in braces ("/v1/users/{id}") matches any one segment,
// which the handler gets from [Request.PathValue]. Of several routes that
// match, the one registered first counts.
func (s *Service) HandleMethod(method, path string, h Handler) (err error) {
	defer s.noteWrong(&err)
	if err := s.registering(h == nil); err != nil {
		return err
	}
	r, err := newRoute(method, path, h)
	if err != nil {
		return err
	}
	for i := range s.handlers.routes {
		if r.same(&s.handlers.routes[i]) {
			return fmt.Errorf("%w: %s has a handler", ErrServiceConfig, r.String())
		}
	}
	s.handlers.routes = append(s.handlers.routes, r)
	return nil
}

// Describe tells of a route what nodes write into their OpenAPI document. The route need
// not have its handler yet.
func (s *Service) Describe(method, path string, d scheme.Description) (err error) {
	defer s.noteWrong(&err)
	if err := s.registering(false); err != nil {
		return err
	}
	r, err := newRoute(method, path, nil)
	if err != nil {
		return err
	}
	s.handlers.described[r.String()] = d
	if text, err := json.Marshal(s.handlers.described); err != nil || len(text) > scheme.MaxDescriptions {
		delete(s.handlers.described, r.String())
		return fmt.Errorf("%w: description of %s: no JSON, or more than %d bytes in all", ErrServiceConfig, r.String(), scheme.MaxDescriptions)
	}
	return nil
}

// HandleEvent registers a handler for one kind of session event. One instance
// of the service gets each event, at most once.
func (s *Service) HandleEvent(what SessionEvent, h func(ctx context.Context, e Event)) (err error) {
	defer s.noteWrong(&err)
	if err := s.registering(h == nil); err != nil {
		return err
	}
	if !what.Valid() || s.handlers.events[what] != nil {
		return fmt.Errorf("%w: event %q", ErrServiceConfig, what)
	}
	s.handlers.events[what] = h
	return nil
}

// noteWrong has Start return what a registration was refused for.
func (s *Service) noteWrong(err *error) {
	if *err == nil || s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == serviceNew {
		s.wrong = append(s.wrong, *err)
	}
}

// errNoService: whoever ignores the error of NewService gets this one.
var errNoService = fmt.Errorf("%w: no service; the error of NewService says why", ErrServiceConfig)

func (s *Service) registering(missing bool) error {
	if s == nil {
		return errNoService
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case missing:
		return fmt.Errorf("%w: no handler", ErrServiceConfig)
	case s.state != serviceNew:
		return fmt.Errorf("%w: handlers are registered before Start", ErrServiceConfig)
	}
	return nil
}
