package bus

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/internal/jet"
	"hydrant/bus/tracectx"
)

// tracerName is the instrumentation scope of the spans made here.
const tracerName = "hydrant/bus"

// tracing makes the spans of a service.
type tracing struct {
	tracer trace.Tracer
	roots  bool // also for messages without a trace
}

// off reports that there is no trace to go on with, and none to be begun: a
// service that is not traced pays nothing.
func (t *tracing) off(ctx context.Context) bool {
	return !t.roots && !trace.SpanContextFromContext(ctx).IsValid()
}

func (t *tracing) start(ctx context.Context, name string, kind trace.SpanKind, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
}

// Attributes of the messaging conventions of OpenTelemetry. Session ids are not
// among them: with one a session may be resumed, and traces travel far.
var (
	attrSystem  = attribute.String("messaging.system", "nats")
	attrReceive = attribute.String("messaging.operation.type", "process")
	attrSend    = attribute.String("messaging.operation.type", "send")
)

func attrDestination(name string) attribute.KeyValue {
	return attribute.String("messaging.destination.name", name)
}

// receiving begins the span of a handler.
func (s *Service) receiving(ctx context.Context, h nats.Header) (context.Context, trace.Span) {
	ctx = tracectx.Extract(ctx, h)
	if s.tracing.off(ctx) {
		return ctx, trace.SpanFromContext(ctx)
	}
	return s.tracing.start(ctx, "process "+s.cfg.Name, trace.SpanKindConsumer, attrSystem, attrReceive, attrDestination(s.cfg.Name))
}

// sending begins the span of a publish and puts its trace into the headers.
// what is "reply" or "push".
func (s *Service) sending(ctx context.Context, what string, out *jet.Outgoing) (context.Context, trace.Span) {
	if s.tracing.off(ctx) {
		return ctx, trace.SpanFromContext(ctx)
	}
	ctx, span := s.tracing.start(ctx, what+" "+s.cfg.Name, trace.SpanKindProducer, attrSystem, attrSend,
		attribute.Int("messaging.message.body.size", len(out.Payload)))
	out.Header = tracectx.Inject(ctx, out.Header)
	return ctx, span
}
