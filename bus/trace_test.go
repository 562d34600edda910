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

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
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
	answer, err := f.live.NextMsgWithContext(natstest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return f, answer
}

func reply(ctx context.Context, r *Request) error { return r.Reply(ctx, "y") }

func TestServiceContinuesTrace(t *testing.T) {
	spans, p := recorder(t)
	f, answer := traced(t, p, sampled, reply)
	if err := f.svc.Stop(natstest.Context(t)); err != nil {
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
	if got := tracectx.Parse(tracectx.Parent(answer.Header)); got.SpanID() != sent.SpanContext().SpanID() {
		t.Errorf("the mailbox has the trace %v", got)
	}
}

func TestFailureIsInTrace(t *testing.T) {
	spans, p := recorder(t)
	f, _ := traced(t, p, sampled, func(context.Context, *Request) error { return errors.New("went wrong " + strings.Repeat("x", 1000)) })
	if err := f.svc.Stop(natstest.Context(t)); err != nil {
		t.Fatal(err)
	}
	for _, s := range spans.Ended() {
		if s.Name() == "process echo-svcs" {
			if text := s.Status().Description; !strings.HasPrefix(text, "went wrong") || len(text) > 256 {
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
			if _, answer := traced(t, nil, sampled, handler); tracectx.Parent(answer.Header) != sampled {
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
	h := nats.Header{scheme.HeaderSession: {"s"}}
	ctx := context.Background()
	out := jet.Outgoing{}
	if n := testing.AllocsPerRun(1000, func() {
		ctx, span := s.receiving(ctx, h)
		_, sent := s.sending(ctx, "reply", &out)
		tracectx.End(sent, nil)
		tracectx.End(span, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
