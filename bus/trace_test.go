package bus

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	parentID = "b7ad6b7169203331"
	sampled  = "00-" + traceID + "-" + parentID + "-01"
)

// recorder is a provider whose ended spans can be looked at.
func recorder(t *testing.T) (*tracetest.SpanRecorder, trace.TracerProvider) {
	t.Helper()
	r := tracetest.NewSpanRecorder()
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r))
	t.Cleanup(func() {
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r, p
}

func TestTraceHeaders(t *testing.T) {
	ctx := ExtractTrace(context.Background(), nats.Header{"traceparent": {sampled}, "baggage": {"a=b"}})
	sc := trace.SpanContextFromContext(ctx)
	if sc.TraceID().String() != traceID || sc.SpanID().String() != parentID || !sc.IsSampled() || !sc.IsRemote() {
		t.Errorf("read as %v", sc)
	}
	before := nats.Header{"Umf-Session": {"s"}}
	h := InjectTrace(ctx, before)
	if h["traceparent"][0] != sampled || h["Umf-Session"][0] != "s" || len(h) != 2 || len(before) != 1 {
		t.Errorf("written as %v, what was there as %v", h, before)
	}
	for _, bad := range []string{"", "00", "00-" + traceID, strings.ToUpper(sampled), "ff" + sampled[2:], sampled + "-x",
		"00-" + strings.Repeat("0", 32) + "-" + parentID + "-01", "00-" + traceID + "-0000000000000000-01", sampled + "\r\nX: y"} {
		if sc := ParseTraceParent(bad); sc.IsValid() {
			t.Errorf("%q was read as %v", bad, sc)
		}
		if h := InjectTrace(ExtractTrace(context.Background(), nats.Header{"traceparent": {bad}}), nil); h != nil {
			t.Errorf("%q went on as %v", bad, h)
		}
	}
	if h := ExtractTrace(context.Background(), nats.Header{"Traceparent": {sampled}}); trace.SpanContextFromContext(h).IsValid() {
		t.Error("NATS headers are case-sensitive, this one was not")
	}
}

// traced sends a message with a traceparent to a service that replies, and
// returns what the mailbox got.
func traced(t *testing.T, p trace.TracerProvider, header string, h Handler) (f *fixture, answer *nats.Msg) {
	t.Helper()
	f = newFixture(t, ServiceConfig{TracerProvider: p}, func(s *Service) error { return s.HandleAny(h) })
	m := f.message(t, "echo-svcs:/", "", "m1", "x")
	if header != "" {
		m.Header["traceparent"] = []string{header}
	}
	if err := f.store.nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	answer, err := f.live.NextMsgWithContext(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return f, answer
}

func reply(ctx context.Context, r *Request) error { return r.Reply(ctx, "y") }

func TestServiceContinuesTrace(t *testing.T) {
	spans, p := recorder(t)
	f, answer := traced(t, p, sampled, reply)
	if err := f.svc.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	ended := spans.Ended()
	if len(ended) != 2 || ended[0].Name() != "reply echo-svcs" || ended[1].Name() != "process echo-svcs" {
		t.Fatalf("spans %v", ended)
	}
	sent, handled := ended[0], ended[1]
	if handled.SpanContext().TraceID().String() != traceID || handled.Parent().SpanID().String() != parentID {
		t.Errorf("the handler's span is not under the node's: %v", handled.Parent())
	}
	if sent.Parent().SpanID() != handled.SpanContext().SpanID() {
		t.Errorf("the reply's span is not under the handler's: %v", sent.Parent())
	}
	if got := ParseTraceParent(TraceParent(answer.Header)); got.SpanID() != sent.SpanContext().SpanID() {
		t.Errorf("the mailbox has the trace %v", got)
	}
}

func TestFailureIsInTrace(t *testing.T) {
	spans, p := recorder(t)
	f, _ := traced(t, p, sampled, func(context.Context, *Request) error { return errors.New("went wrong " + strings.Repeat("x", 1000)) })
	if err := f.svc.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	for _, s := range spans.Ended() {
		if s.Name() == "process echo-svcs" {
			if text := s.Status().Description; !strings.HasPrefix(text, "went wrong") || len(text) > maxSpanError {
				t.Errorf("status %q", text)
			}
			return
		}
	}
	t.Errorf("spans %v", spans.Ended())
}

// Without an SDK in the service a trace still passes through it.
func TestTracePassesThrough(t *testing.T) {
	for name, handler := range map[string]Handler{
		"reply": reply,
		"reply with another context": func(_ context.Context, r *Request) error {
			return r.Reply(context.Background(), "y")
		},
		"push": func(ctx context.Context, r *Request) error {
			m, err := r.svc.NewMessage(r.Message.From, "y")
			if err != nil {
				return err
			}
			return r.svc.PushVia(ctx, r.Message.From, m)
		},
		"push without waiting": func(ctx context.Context, r *Request) error {
			m, err := r.svc.NewMessage(r.Message.From, "y")
			if err != nil {
				return err
			}
			return r.svc.PushAsync(ctx, r.Session, m, func(error) {})
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, answer := traced(t, nil, sampled, handler); TraceParent(answer.Header) != sampled {
				t.Errorf("headers %v", answer.Header)
			}
			if _, answer := traced(t, nil, "", handler); answer.Header["traceparent"] != nil {
				t.Errorf("a trace from nowhere: %v", answer.Header)
			}
		})
	}
}

// A service that nobody traces pays nothing.
func TestNoTraceNoAllocations(t *testing.T) {
	cfg := ServiceConfig{Name: "s"}
	s := &Service{cfg: cfg, tracing: cfg.tracing()}
	h := nats.Header{HeaderSession: {"s"}}
	ctx := context.Background()
	out := Outgoing{}
	if n := testing.AllocsPerRun(1000, func() {
		ctx, span := s.receiving(ctx, h)
		_, sent := s.sending(ctx, "reply", &out)
		EndSpan(sent, nil)
		EndSpan(span, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
