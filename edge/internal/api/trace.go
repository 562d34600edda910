package api

import (
	"context"
	"net/http"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/tracectx"
)

// trace begins the trace of a request that goes to a service, or of a message that was
// posted: as a frame's, its span lasts until the answer, or until NATS has the message.
// It returns the headers for NATS with the trace in them. The caller's own traceparent
// becomes a link, for the reason that a client's does. Neither path nor method is part of
// a span: there is no end of them, and a path may hold secrets.
func (a *API) trace(r *http.Request, name, service string, h nats.Header) (nats.Header, trace.Span) {
	if a.node.Tracer == nil {
		return h, nil
	}
	ctx, span := a.node.Tracer.Start(context.Background(), name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("hydrant.node", string(a.node.ID)), attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.destination.name", service)))
	if span.IsRecording() {
		if own := tracectx.Parse(field(r, "Traceparent")); own.IsValid() {
			span.AddLink(trace.Link{SpanContext: own})
		}
	}
	return tracectx.Inject(ctx, h), span
}
