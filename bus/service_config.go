package bus

import (
	"cmp"
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
	c.Instance = cmp.Or(c.Instance, string(scheme.NewInstance()))
	c.Concurrency = cmp.Or(c.Concurrency, 64)
	c.Queue = cmp.Or(c.Queue, 32768)
	c.Window = cmp.Or(c.Window, 1024)
	c.HandlerTimeout = cmp.Or(c.HandlerTimeout, 30*time.Second)
	c.ReplyTimeout = cmp.Or(c.ReplyTimeout, 10*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 30*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Concurrency < 1 || c.Queue < 1 || c.Window < 1 {
		return fmt.Errorf("%w: negative bound", ErrServiceConfig)
	}
	return nil
}

// names checks the names of a service and of its instance.
func (c *ServiceConfig) names() (scheme.Service, scheme.Instance, error) {
	name, err := scheme.ParseService(c.Name)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrServiceConfig, err)
	}
	instance, err := scheme.ParseInstance(c.Instance)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrServiceConfig, err)
	}
	return name, instance, nil
}

// tracing is what the service's spans are made with.
func (c *ServiceConfig) tracing() tracing {
	if c.TracerProvider != nil {
		return tracing{tracer: c.TracerProvider.Tracer(tracerName), roots: true}
	}
	return tracing{tracer: otel.GetTracerProvider().Tracer(tracerName)}
}

// metadata is what discovery shows of this instance.
func (s *Service) metadata() map[string]string {
	routes := make([]string, len(s.handlers.routes))
	for i, r := range s.handlers.routes {
		routes[i] = r.String()
	}
	m := scheme.Metadata(scheme.KindService, s.cfg.Instance)
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
