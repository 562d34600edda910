package tracectx

import (
	"context"
	"maps"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header carries a trace from one participant to the next: W3C Trace
// Context, level 1, §3.2. In a mailbox message it says which trace stored it.
const Header = "traceparent"

// propagator reads and writes the trace headers. It is not the process' global
// one, since the header is part of the scheme; and there is no baggage in it,
// which would carry what a sender likes through everything behind it.
var propagator propagation.TraceContext

// carrier lets OpenTelemetry read and write NATS headers. Unlike HTTP's
// they are case-sensitive: propagation.HeaderCarrier would write Traceparent,
// which no participant reads.
type carrier nats.Header

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string { return nats.Header(c).Get(key) }

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) { c[key] = []string{value} }

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}

// Inject returns h with the trace headers of the span in ctx. h is not
// modified; it is returned as it is if ctx has no span.
func Inject(ctx context.Context, h nats.Header) nats.Header {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return h
	}
	with := make(nats.Header, len(h)+2)
	maps.Copy(with, h)
	propagator.Inject(ctx, carrier(with))
	return with
}

// Extract returns ctx with the trace that the headers name as the remote
// parent of the next span, or ctx itself where they name none that is valid.
func Extract(ctx context.Context, h nats.Header) context.Context {
	if h.Get(Header) == "" {
		return ctx
	}
	return propagator.Extract(ctx, carrier(h))
}

// Parent is the traceparent of the headers, as it came; empty: none.
func Parent(h nats.Header) string { return h.Get(Header) }

// Parse reads a traceparent value. The result is not valid if the
// value is not, or names no trace.
func Parse(value string) trace.SpanContext {
	return trace.SpanContextFromContext(Extract(context.Background(), nats.Header{Header: {value}}))
}

// maxSpanError bounds what of an error stands in a span.
const maxSpanError = 256

// End ends a span, with the error as its status if there is one. A nil span is none.
func End(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil && span.IsRecording() {
		text := err.Error()
		span.SetStatus(codes.Error, text[:min(len(text), maxSpanError)])
	}
	span.End()
}
