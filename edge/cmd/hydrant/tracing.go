package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"hydrant/edge"
)

// errTracing wraps what is wrong with the OTEL_ variables.
var errTracing = errors.New("bad OpenTelemetry configuration")

// stopTracing bounds how long the last spans may take to reach the collector.
const stopTracing = 5 * time.Second

// tracingHelp is what `hydrant help config` says about the variables.
const tracingHelp = `
Traces are configured by OpenTelemetry's own variables, and are off unless
OTEL_TRACES_EXPORTER=otlp, or OTEL_EXPORTER_OTLP_ENDPOINT, is set. Of use are
also OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER (with
OTEL_TRACES_SAMPLER_ARG; try parentbased_traceidratio and 0.01),
OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_CERTIFICATE and
OTEL_SDK_DISABLED. Spans leave by OTLP over HTTP.
`

// tracingWanted reads the variables that say whether there are to be traces.
// The specification's default exporter is otlp; here it counts only where
// somebody has said where to: no node looks for a collector that nobody runs.
func tracingWanted(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "otlp":
	case "":
		if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
			return false, nil
		}
	default:
		return false, fmt.Errorf("%w: OTEL_TRACES_EXPORTER: %q is none of otlp, none", errTracing, exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := getenv(name); protocol != "" && protocol != "http/protobuf" {
			return false, fmt.Errorf("%w: %s: %q; only http/protobuf is spoken", errTracing, name, protocol)
		}
	}
	return true, nil
}

// counted counts the spans that an exporter is given, so that those are known
// which a collector did not take, and, with what has ended, those that the
// bounded queue before it (OTEL_BSP_MAX_QUEUE_SIZE) had no room for.
type counted struct {
	sdktrace.SpanExporter
	ended, exported, failed prometheus.Counter
}

func countSpans(to sdktrace.SpanExporter) (*counted, prometheus.Collector) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "hydrant", Name: "spans_total",
		Help: "Spans of traces: ended; of these exported, or failed to be. The rest waits, or found the queue full."}, []string{"result"})
	return &counted{to, vec.WithLabelValues("ended"), vec.WithLabelValues("exported"), vec.WithLabelValues("failed")}, vec
}

// ExportSpans implements sdktrace.SpanExporter.
func (c *counted) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		c.failed.Add(float64(len(spans)))
	} else {
		c.exported.Add(float64(len(spans)))
	}
	return err
}

// endings is a span processor that only counts.
type endings struct{ ended prometheus.Counter }

func (endings) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (endings) Shutdown(context.Context) error                  { return nil }
func (endings) ForceFlush(context.Context) error                { return nil }
func (e endings) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		e.ended.Inc()
	}
}

// traces is what a process exports its spans with. The zero value is for one
// that exports none.
type traces struct {
	sdk      *sdktrace.TracerProvider
	counters prometheus.Collector
	log      *slog.Logger
}

// provider makes the spans; nil: there are to be none.
func (t *traces) provider() trace.TracerProvider {
	if t.sdk == nil {
		return nil
	}
	return t.sdk
}

// collectors tell how many spans there were.
func (t *traces) collectors() []prometheus.Collector {
	if t.sdk == nil {
		return nil
	}
	return []prometheus.Collector{t.counters}
}

// stop sends what is left.
func (t *traces) stop() {
	if t.sdk == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTracing)
	defer cancel()
	if err := t.sdk.Shutdown(ctx); err != nil {
		t.log.Warn("last traces not sent", "error", err)
	}
}

// startTracing begins to export spans, if the variables ask for it, for a
// process whose service.name is name unless they name another.
func startTracing(ctx context.Context, name string, log *slog.Logger) (*traces, error) {
	wanted, err := tracingWanted(os.Getenv)
	if err != nil || !wanted {
		return &traces{}, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces", "error", err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTracing, err)
	}
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", name), attribute.String("service.version", edge.Version)),
		resource.WithFromEnv(), // comes last, so it wins
	)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTracing, err)
	}
	counter, counters := countSpans(exporter)
	sdk := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(endings{counter.ended}), sdktrace.WithBatcher(counter), sdktrace.WithResource(about))
	otel.SetTracerProvider(sdk)
	return &traces{sdk, counters, log}, nil
}
