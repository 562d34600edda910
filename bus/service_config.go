package bus

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// Errors of a Service.
var (
	// ErrServiceConfig: the configuration or a handler's registration is
	// wrong; or it came after Start.
	ErrServiceConfig = errors.New("bus: bad service configuration")
	// ErrNoReply: the sender of the message gave no way to answer.
	ErrNoReply = errors.New("bus: nowhere to reply to")
	// ErrNotUMF: what arrived is not a UMF message.
	ErrNotUMF = errors.New("bus: not a UMF message")
	// ErrPanic: a handler panicked; the error holds the value and the stack.
	ErrPanic = errors.New("bus: handler panicked")
	// ErrDrain: a service was stopped before everything it had accepted was
	// done.
	ErrDrain = errors.New("bus: service stopped with work left")
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
	set(&c.Version, "0.0.0")
	set(&c.Instance, newInstanceID())
	set(&c.Concurrency, 64)
	set(&c.Queue, 32768)
	set(&c.Window, 1024)
	set(&c.HandlerTimeout, 30*time.Second)
	set(&c.ReplyTimeout, 10*time.Second)
	set(&c.DrainTimeout, 30*time.Second)
	set(&c.Logger, slog.Default())
	switch {
	case !ValidService(c.Name):
		return fmt.Errorf("%w: %w", ErrServiceConfig, badName(ErrBadService, c.Name))
	case !ValidInstance(c.Instance):
		return fmt.Errorf("%w: %w", ErrServiceConfig, badName(ErrBadInstance, c.Instance))
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

// Metadata keys that the kit sets.
const (
	MetaInstance = "instance"
	MetaHost     = "hostname"
	MetaRoutes   = "routes"
	MetaKind     = "kind"
)

// Kinds of participants, as MetaKind has them.
const (
	KindService = "service"
	KindNode    = "node"
)

// metadata is what discovery shows of this instance.
func (s *Service) metadata() map[string]string {
	routes := make([]string, len(s.routes))
	for i, r := range s.routes {
		routes[i] = r.String()
	}
	m := map[string]string{
		MetaKind: KindService, MetaInstance: s.cfg.Instance, MetaHost: hostname(),
	}
	if len(routes) > 0 {
		m[MetaRoutes] = strings.Join(routes, " ")
	}
	for k, v := range s.cfg.Metadata {
		if _, own := m[k]; !own {
			m[k] = v
		}
	}
	return m
}

func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return ""
	}
	return h
}

// statsData is added to each endpoint in NATS' statistics.
func (s *Service) statsData(*micro.Endpoint) any {
	return map[string]int64{
		"handled":  s.stats.Handled.Load(),
		"failed":   s.stats.Failed.Load(),
		"rejected": s.stats.Rejected.Load(),
		"invalid":  s.stats.Invalid.Load(),
		"retried":  s.stats.Retried.Load(),
		"waiting":  int64(s.pool.waiting()),
		"inflight": int64(s.acks.pending() + s.refusals.pending()),
	}
}
