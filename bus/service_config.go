package bus

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
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
	// Name that clients send to, [A-Za-z0-9_-]{1,64}; neither "client" nor the nodes' own,
	// EDGE_SERVICE_NAME.
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
	if name == scheme.ClientService || name == scheme.RouterService {
		return "", "", fmt.Errorf("%w: %s is no service's name: messages to it do not leave the node", ErrServiceConfig, name)
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
	m := scheme.Metadata(scheme.KindService, s.cfg.Instance)
	if host, _, err := net.SplitHostPort(s.nc.LocalAddr()); err == nil {
		m[scheme.MetaIP] = host
	}
	if s.work != nil {
		m[scheme.MetaQueue] = "true"
	}
	for k, v := range s.cfg.Metadata {
		if _, own := m[k]; !own {
			m[k] = v
		}
	}
	return m
}

// registration is the metadata of the endpoint that takes requests: its routes.
func (s *Service) registration() map[string]string {
	if len(s.handlers.routes) == 0 {
		return nil
	}
	routes := make([]string, len(s.handlers.routes))
	for i := range s.handlers.routes {
		routes[i] = s.handlers.routes[i].String()
	}
	m := map[string]string{scheme.MetaRoute: strings.Join(routes, " ")}
	if text, err := json.Marshal(s.handlers.described); err == nil && len(s.handlers.described) > 0 { // Describe has tried
		m[scheme.MetaDescribe] = string(text)
	}
	return m
}

// statsData is added to each endpoint in NATS' statistics.
func (s *Service) statsData(*micro.Endpoint) any {
	return serviceData{
		Vitals:   scheme.VitalsOf(s.made, time.Now()),
		Handled:  s.stats.Handled.Load(),
		Refused:  s.stats.Refused.Load(),
		Failed:   s.stats.Failed.Load(),
		Rejected: s.stats.Rejected.Load(),
		Invalid:  s.stats.Invalid.Load(),
		Retried:  s.stats.Retried.Load(),
		Waiting:  s.lanes.waiting(),
		InFlight: s.acks.Pending() + s.refusals.Pending(),
	}
}

// serviceData is the health of the process, and what the service counts.
type serviceData struct {
	scheme.Vitals
	Handled  int64 `json:"handled"`
	Refused  int64 `json:"refused"`
	Failed   int64 `json:"failed"`
	Rejected int64 `json:"rejected"`
	Invalid  int64 `json:"invalid"`
	Retried  int64 `json:"retried"`
	Waiting  int   `json:"waiting"`
	InFlight int   `json:"inflight"`
}
