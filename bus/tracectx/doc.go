// Package tracectx carries a trace in NATS headers from one participant to the
// next, in the form of W3C Trace Context.
//
// # Design
//
// The headers are written with a carrier of our own, and not with the process'
// propagator: NATS headers are case-sensitive, and OpenTelemetry's own carrier for
// headers writes Traceparent; and what a process has configured for HTTP, such as
// baggage, must not travel with all messages.
package tracectx
