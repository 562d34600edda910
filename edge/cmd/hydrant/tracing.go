package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

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
OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_CERTIFICATE and OTEL_SDK_DISABLED.
Spans leave by OTLP over HTTP.
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

// startTracing begins to export spans, if the variables ask for it, for a
// process whose service.name is name unless they name another. provider is nil
// if there are to be none. stop sends what is left.
func startTracing(ctx context.Context, name string, log *slog.Logger) (provider trace.TracerProvider, stop func(), err error) {
	wanted, err := tracingWanted(os.Getenv)
	if err != nil || !wanted {
		return nil, func() {}, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces", "error", err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errTracing, err)
	}
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", name), attribute.String("service.version", edge.Version)),
		resource.WithFromEnv(), // comes last, so it wins
	)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errTracing, err)
	}
	sdk := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetTracerProvider(sdk)
	return sdk, func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTracing)
		defer cancel()
		if err := sdk.Shutdown(ctx); err != nil {
			log.Warn("last traces not sent", "error", err)
		}
	}, nil
}
