package bus

import (
	"context"
	"maps"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// HeaderTrace carries a trace from one participant to the next: W3C Trace
// Context, level 1, §3.2. In a mailbox message it says which trace stored it.
const HeaderTrace = "traceparent"

// propagator reads and writes the trace headers. It is not the process' global
// one, since the header is part of the scheme; and there is no baggage in it,
// which would carry what a sender likes through everything behind it.
var propagator propagation.TraceContext

// traceCarrier lets OpenTelemetry read and write NATS headers. Unlike HTTP's
// they are case-sensitive: propagation.HeaderCarrier would write Traceparent,
// which nobody reads.
type traceCarrier nats.Header

// Get implements propagation.TextMapCarrier.
func (c traceCarrier) Get(key string) string { return one(nats.Header(c), key) }

// Set implements propagation.TextMapCarrier.
func (c traceCarrier) Set(key, value string) { c[key] = []string{value} }

// Keys implements propagation.TextMapCarrier.
func (c traceCarrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}

// InjectTrace returns h with the trace headers of the span in ctx. h is not
// modified; it is returned as it is if ctx has no span.
func InjectTrace(ctx context.Context, h nats.Header) nats.Header {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return h
	}
	with := make(nats.Header, len(h)+2)
	maps.Copy(with, h)
	propagator.Inject(ctx, traceCarrier(with))
	return with
}

// ExtractTrace returns ctx with the trace that the headers name as the remote
// parent of the next span, or ctx itself where they name none that is valid.
func ExtractTrace(ctx context.Context, h nats.Header) context.Context {
	if one(h, HeaderTrace) == "" {
		return ctx
	}
	return propagator.Extract(ctx, traceCarrier(h))
}

// TraceParent is the traceparent of the headers, as it came; empty: none.
func TraceParent(h nats.Header) string { return one(h, HeaderTrace) }

// ParseTraceParent reads a traceparent value. The result is not valid if the
// value is not, or names no trace.
func ParseTraceParent(value string) trace.SpanContext {
	return trace.SpanContextFromContext(ExtractTrace(context.Background(), nats.Header{HeaderTrace: {value}}))
}

// tracerName is the instrumentation scope of the spans made here.
const tracerName = "hydrant/bus"

// tracing makes the spans of a service.
type tracing struct {
	tracer trace.Tracer
	roots  bool // also for messages without a trace
}

// off reports that there is no trace to go on with, and none to be begun: a
// service that nobody traces pays nothing.
func (t *tracing) off(ctx context.Context) bool {
	return !t.roots && !trace.SpanContextFromContext(ctx).IsValid()
}

func (t *tracing) start(ctx context.Context, name string, kind trace.SpanKind, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
}

// Attributes of the messaging conventions of OpenTelemetry. Session ids are not
// among them: who has one may resume the session, and traces travel far.
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
	ctx = ExtractTrace(ctx, h)
	if s.tracing.off(ctx) {
		return ctx, trace.SpanFromContext(ctx)
	}
	return s.tracing.start(ctx, "process "+s.cfg.Name, trace.SpanKindConsumer, attrSystem, attrReceive, attrDestination(s.cfg.Name))
}

// sending begins the span of a publish and puts its trace into the headers.
// what is "reply" or "push".
func (s *Service) sending(ctx context.Context, what string, out *Outgoing) (context.Context, trace.Span) {
	if s.tracing.off(ctx) {
		return ctx, trace.SpanFromContext(ctx)
	}
	ctx, span := s.tracing.start(ctx, what+" "+s.cfg.Name, trace.SpanKindProducer, attrSystem, attrSend,
		attribute.Int("messaging.message.body.size", len(out.Payload)))
	out.Header = InjectTrace(ctx, out.Header)
	return ctx, span
}

// maxSpanError bounds what of an error stands in a span.
const maxSpanError = 256

// EndSpan ends a span, with the error as its status if there is one.
func EndSpan(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		text := err.Error()
		span.SetStatus(codes.Error, text[:min(len(text), maxSpanError)])
	}
	span.End()
}
