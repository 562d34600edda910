package shard

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// Tracing makes a node's spans. A nil *Tracing makes none: each method asks for
// that first, so that a node that is not traced pays a comparison.
// Its methods may be called from any goroutine, and do not block.
type Tracing struct {
	tracer trace.Tracer
	node   attribute.KeyValue
}

// NewTracing returns nil, which makes no spans, where there is no provider.
func NewTracing(p trace.TracerProvider, id scheme.NodeID, version string) *Tracing {
	if p == nil {
		return nil
	}
	return &Tracing{p.Tracer("hydrant/edge", trace.WithInstrumentationVersion(version)), attribute.String("hydrant.node", string(id))}
}

// maxTracedHeaders bounds the headers of a message in which its sender's own
// trace is looked for (bytes).
const maxTracedHeaders = 4 << 10

// frame begins the trace of a client's message: its span lasts until NATS has
// the message, or until a request has its answer. It returns the headers for
// NATS with the trace in them. to is the service that the message is for, if it
// is for one; from the session that it is from, which stands in the span as in logs.
//
// The client's own traceparent becomes a link, never the parent: a client could
// otherwise have everything sampled, or write into anybody's trace.
func (t *Tracing) frame(kind stats.Received, to string, from scheme.SID, e *umf.Envelope, h nats.Header) (nats.Header, trace.Span) {
	if t == nil {
		return h, nil
	}
	attrs := []attribute.KeyValue{t.node, attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.type", "send")}
	if to != "" {
		attrs = append(attrs, attribute.String("messaging.destination.name", to))
	}
	ctx, span := t.tracer.Start(context.Background(), "frame "+kind.String(), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("hydrant.session", from.Short()))
		if sc := senderTrace(e); sc.IsValid() {
			span.AddLink(trace.Link{SpanContext: sc})
		}
	}
	return tracectx.Inject(ctx, h), span
}

// senderTrace returns the trace that a message names in hdr.traceparent.
func senderTrace(e *umf.Envelope) trace.SpanContext {
	raw := e.Raw(umf.Headers)
	if len(raw) == 0 || len(raw) > maxTracedHeaders {
		return trace.SpanContext{}
	}
	var headers struct {
		TraceParent string `json:"traceparent"`
	}
	if json.Unmarshal(raw, &headers) != nil || headers.TraceParent == "" {
		return trace.SpanContext{}
	}
	return tracectx.Parse(headers.TraceParent)
}

// delivery begins the span of giving a message to a socket, in the trace that
// its headers name; nil: they name none.
func (t *Tracing) delivery(parent string, kind stats.Sent) trace.Span {
	if t == nil || parent == "" {
		return nil
	}
	sc := tracectx.Parse(parent)
	if !sc.IsValid() {
		return nil
	}
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), sc)
	_, span := t.tracer.Start(ctx, "deliver "+kind.String(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(t.node))
	return span
}

// of returns the trace that a NATS message belongs to; empty: none, or the
// node is not traced.
func (t *Tracing) of(h nats.Header) string {
	if t == nil {
		return ""
	}
	return tracectx.Parent(h)
}

// errNotQueued marks the span of a message that its socket did not take.
var errNotQueued = errors.New("edge: client does not read")

// sendTraced is send for a message that may be part of a trace. Its span ends
// when the frame is queued, which is written at the end of the loop's iteration.
func (c *Client) sendTraced(kind stats.Sent, parent string, payload []byte) bool {
	span := c.s.node.Tracing.delivery(parent, kind)
	room := c.send(kind, payload)
	if span != nil {
		var err error
		if c.closing {
			err = errNotQueued
		}
		tracectx.End(span, err)
	}
	return room
}
