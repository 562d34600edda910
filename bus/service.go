package bus

import (
	"context"
	"encoding/json"
	"errors"
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
// if it is a *[Failure], in general terms otherwise.
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
	tracing  tracing
	made     time.Time

	// Written before Start, immutable after it.
	handlers handlers
	work     *workQueue

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
	Failed   atomic.Int64 // with an error
	Rejected atomic.Int64 // messages that found the queue full
	Invalid  atomic.Int64 // not UMF
	Retried  atomic.Int64 // publishes that were repeated
}

// NewService prepares a service on a connection; see [Connect] for how to get
// one that stays. Nothing is received before Start or Run.
func NewService(nc *nats.Conn, cfg ServiceConfig) (*Service, error) {
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
func (s *Service) Handle(typ string, h Handler) error {
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
func (s *Service) HandleAny(h Handler) error {
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
func (s *Service) HandleMethod(method, path string, h Handler) error {
	if err := s.registering(h == nil); err != nil {
		return err
	}
	r, err := newRoute(method, path, h)
	if err != nil {
		return err
	}
	s.handlers.routes = append(s.handlers.routes, r)
	return nil
}

// Describe tells of a route what nodes write into their OpenAPI document. The route need
// not have its handler yet.
func (s *Service) Describe(method, path string, d scheme.Description) error {
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
func (s *Service) HandleEvent(what SessionEvent, h func(ctx context.Context, e Event)) error {
	if err := s.registering(h == nil); err != nil {
		return err
	}
	if !what.Valid() || s.handlers.events[what] != nil {
		return fmt.Errorf("%w: event %q", ErrServiceConfig, what)
	}
	s.handlers.events[what] = h
	return nil
}

func (s *Service) registering(missing bool) error {
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

// Run starts the service and stops it when ctx ends, draining it for at most
// DrainTimeout. It returns nil after a clean stop, and an error that wraps
// ErrConnection when nats.go gives the connection up: the process is then to end, or
// to make another connection, and a service on it.
func (s *Service) Run(ctx context.Context) error {
	if err := s.Start(); err != nil {
		return err
	}
	var lost error
	select {
	case <-ctx.Done():
	case <-s.gone:
		lost = ErrConnection
		if err := s.nc.LastError(); err != nil {
			lost = fmt.Errorf("%w: %w", ErrConnection, err)
		}
	}
	dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	err := s.Stop(dctx)
	if lost != nil {
		return lost // whatever could not be done without it
	}
	return err
}

// Start begins to receive messages.
func (s *Service) Start() error {
	s.mu.Lock()
	if s.state != serviceNew {
		s.mu.Unlock()
		return fmt.Errorf("%w: started before", ErrServiceConfig)
	}
	s.state = serviceRunning
	s.mu.Unlock()
	s.lanes.start(s.cfg.Concurrency)
	err := s.subscribe()
	close(s.started)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return errors.Join(err, s.Stop(ctx))
	}
	return nil
}

// subscribe joins the queue group, makes the instance known, and starts the
// work queue.
func (s *Service) subscribe() error {
	m, err := micro.AddService(s.nc, micro.Config{
		Name:         s.cfg.Name,
		Version:      s.cfg.Version,
		Description:  s.cfg.Description,
		Metadata:     s.metadata(),
		StatsHandler: s.statsData,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrServiceConfig, err)
	}
	s.micro = m
	// The endpoints' limits are the connection's: enqueue takes what comes
	// without waiting, so nothing piles up before it.
	take := micro.HandlerFunc(s.enqueue)
	err = errors.Join(
		m.AddEndpoint("call", micro.HandlerFunc(s.enqueueCall), micro.WithEndpointSubject(scheme.CallSubject(s.name)), micro.WithEndpointQueueGroup(s.cfg.Name)),
		m.AddEndpoint("service", take, micro.WithEndpointSubject(scheme.ServiceSubject(s.name)), micro.WithEndpointQueueGroup(s.cfg.Name),
			micro.WithEndpointMetadata(s.registration())),
		m.AddEndpoint("instance", take, micro.WithEndpointSubject(scheme.InstanceSubject(s.name, s.instance)), micro.WithEndpointQueueGroupDisabled()),
	)
	if err != nil {
		return fmt.Errorf("bus: service: %w", err)
	}
	if err := s.subscribeEvents(); err != nil {
		return err
	}
	if s.work != nil {
		if err := s.work.start(s); err != nil {
			return err
		}
	}
	// When Start returns, messages reach this instance: at least through the
	// server that it is connected to.
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ReplyTimeout)
	defer cancel()
	if err := s.nc.FlushWithContext(ctx); err != nil {
		return jet.RequestError(err)
	}
	return nil
}
