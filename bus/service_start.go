package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Run waits for the connection, starts the service and stops it when ctx ends, draining
// it for at most DrainTimeout. It returns nil after a clean stop, and an error that wraps
// ErrConnection when nats.go gives the connection up: the process is then to end, or
// to make another connection, and a service on it.
func (s *Service) Run(ctx context.Context) error {
	if s == nil {
		return errNoService
	}
	if !s.connected(ctx) && ctx.Err() != nil { // else the connection is given up: Start says so
		return s.Stop(context.WithoutCancel(ctx))
	}
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

// connected waits for a connection that is not there yet, and says so once. false: ctx
// has ended, or the connection was given up.
func (s *Service) connected(ctx context.Context) bool {
	changes := s.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer s.nc.RemoveStatusListener(changes)
	for said := false; !s.nc.IsConnected(); said = true {
		if s.nc.IsClosed() {
			return false
		}
		if !said {
			// The library forgets why its first connection failed.
			s.cfg.Logger.Warn("waiting for NATS", slog.String("service", s.cfg.Name),
				slog.String("servers", Redacted(strings.Join(s.nc.Servers(), ","))),
				slog.Any("error", cmp.Or(s.nc.LastError(), nats.ErrNoServers)))
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Start begins to receive messages. A connection that is not there yet is waited for,
// for at most ReplyTimeout; Run waits until its ctx ends.
func (s *Service) Start() error {
	if s == nil {
		return errNoService
	}
	s.mu.Lock()
	if s.state != serviceNew {
		s.mu.Unlock()
		return fmt.Errorf("%w: started before", ErrServiceConfig)
	}
	s.state = serviceRunning
	s.mu.Unlock()
	s.lanes.start(s.cfg.Concurrency)
	err := errors.Join(s.wrong...)
	if err == nil {
		err = s.subscribe()
	}
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
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ReplyTimeout)
	defer cancel()
	if !s.connected(ctx) && !s.nc.IsClosed() {
		return fmt.Errorf("%w: no server of NATS answers: %w", ErrUnavailable, cmp.Or(s.nc.LastError(), ctx.Err()))
	}
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
	ctx, cancel = context.WithTimeout(s.ctx, s.cfg.ReplyTimeout)
	defer cancel()
	if err := s.nc.FlushWithContext(ctx); err != nil {
		return jet.RequestError(err)
	}
	return nil
}
