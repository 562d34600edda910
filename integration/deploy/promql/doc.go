// Package promql has Prometheus' own parsers read the alert rules and the
// dashboard. It is a module of its own, so that nothing else depends on
// Prometheus.
package promql
