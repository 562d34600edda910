package bus

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/scheme"
)

// ServiceConfig describes a service. Only Name is required; the zero value of
// a field means its default.
type ServiceConfig struct {
	// Name that clients send to, [A-Za-z0-9_-]{1,64}.
	Name string
	// Version, as semantic versioning has it. Default 0.0.0.
	Version     string
	Description string
	// Instance distinguishes this process from others of the same service.
	// Default: 32 random hex digits.
	Instance string
	// Metadata is shown by discovery, beside what the kit adds.
	Metadata map[string]string

	// Concurrency bounds the handlers that run at the same time. Default 64.
	// Messages of one session are handled one after the other, in order.
	Concurrency int
	// Queue bounds the messages that wait for a handler. What comes above is
	// answered with an error at once. Default 32,768.
	Queue int
	// Window bounds the asynchronous pushes in flight, and the refusals of an
	// overloaded service as well. Default 1024.
	Window int
	// HandlerTimeout bounds a handler's context; the sender's own timeout, if
	// shorter, does as well. Work from the queue has no bound. Default 30 s.
	HandlerTimeout time.Duration
	// ReplyTimeout bounds a reply or push, with its repetitions, whose context
	// has no deadline. Default 10 s.
	ReplyTimeout time.Duration
	// DrainTimeout bounds the end of Run. Default 30 s.
	DrainTimeout time.Duration
	// TracerProvider makes the spans of handlers, replies and pushes. Default:
	// the global one of package otel, and then only within a trace that came
	// with the message or that the context of a push is in; with a provider of
	// its own a service begins traces as well.
	TracerProvider trace.TracerProvider
	// Logger takes what has no caller to be returned to. Default slog.Default.
	Logger *slog.Logger
}

func (c *ServiceConfig) defaults() error {
	c.Version = cmp.Or(c.Version, "0.0.0")
	c.Instance = cmp.Or(c.Instance, newInstanceID())
	c.Concurrency = cmp.Or(c.Concurrency, 64)
	c.Queue = cmp.Or(c.Queue, 32768)
	c.Window = cmp.Or(c.Window, 1024)
	c.HandlerTimeout = cmp.Or(c.HandlerTimeout, 30*time.Second)
	c.ReplyTimeout = cmp.Or(c.ReplyTimeout, 10*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 30*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	switch {
	case !scheme.ValidService(c.Name):
		return fmt.Errorf("%w: %w", ErrServiceConfig, scheme.BadName(scheme.ErrBadService, c.Name))
	case !scheme.ValidInstance(c.Instance):
		return fmt.Errorf("%w: %w", ErrServiceConfig, scheme.BadName(scheme.ErrBadInstance, c.Instance))
	case c.Concurrency < 1 || c.Queue < 1 || c.Window < 1:
		return fmt.Errorf("%w: negative bound", ErrServiceConfig)
	}
	return nil
}

// tracing is what the service's spans are made with.
func (c *ServiceConfig) tracing() tracing {
	if c.TracerProvider != nil {
		return tracing{tracer: c.TracerProvider.Tracer(tracerName), roots: true}
	}
	return tracing{tracer: otel.GetTracerProvider().Tracer(tracerName)}
}

func newInstanceID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// metadata is what discovery shows of this instance.
func (s *Service) metadata() map[string]string {
	routes := make([]string, len(s.routes))
	for i, r := range s.routes {
		routes[i] = r.String()
	}
	m := map[string]string{
		scheme.MetaKind: scheme.KindService, scheme.MetaInstance: s.cfg.Instance, scheme.MetaHost: scheme.Hostname(),
	}
	if len(routes) > 0 {
		m[scheme.MetaRoutes] = strings.Join(routes, " ")
	}
	for k, v := range s.cfg.Metadata {
		if _, own := m[k]; !own {
			m[k] = v
		}
	}
	return m
}

// statsData is added to each endpoint in NATS' statistics.
func (s *Service) statsData(*micro.Endpoint) any {
	return map[string]int64{
		"handled":  s.stats.Handled.Load(),
		"failed":   s.stats.Failed.Load(),
		"rejected": s.stats.Rejected.Load(),
		"invalid":  s.stats.Invalid.Load(),
		"retried":  s.stats.Retried.Load(),
		"waiting":  int64(s.lanes.waiting()),
		"inflight": int64(s.acks.Pending() + s.refusals.Pending()),
	}
}
