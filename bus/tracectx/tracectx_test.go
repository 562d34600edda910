package tracectx

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
)

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	parentID = "b7ad6b7169203331"
	sampled  = "00-" + traceID + "-" + parentID + "-01"
)

func TestTraceHeaders(t *testing.T) {
	ctx := Extract(context.Background(), nats.Header{"traceparent": {sampled}, "baggage": {"a=b"}})
	sc := trace.SpanContextFromContext(ctx)
	if sc.TraceID().String() != traceID || sc.SpanID().String() != parentID || !sc.IsSampled() || !sc.IsRemote() {
		t.Errorf("read as %v", sc)
	}
	before := nats.Header{"Umf-Session": {"s"}}
	h := Inject(ctx, before)
	if h["traceparent"][0] != sampled || h["Umf-Session"][0] != "s" || len(h) != 2 || len(before) != 1 {
		t.Errorf("written as %v, what was there as %v", h, before)
	}
	for _, bad := range []string{"", "00", "00-" + traceID, strings.ToUpper(sampled), "ff" + sampled[2:], sampled + "-x",
		"00-" + strings.Repeat("0", 32) + "-" + parentID + "-01", "00-" + traceID + "-0000000000000000-01", sampled + "\r\nX: y"} {
		if sc := Parse(bad); sc.IsValid() {
			t.Errorf("%q was read as %v", bad, sc)
		}
		if h := Inject(Extract(context.Background(), nats.Header{"traceparent": {bad}}), nil); h != nil {
			t.Errorf("%q went on as %v", bad, h)
		}
	}
	if h := Extract(context.Background(), nats.Header{"Traceparent": {sampled}}); trace.SpanContextFromContext(h).IsValid() {
		t.Error("NATS headers are case-sensitive, this one was not")
	}
}
