package integration

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"hydrant/bus"
	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// collector receives spans as an OpenTelemetry collector does: OTLP over HTTP.
type collector struct {
	*httptest.Server

	// Guarded by mu.
	mu    sync.Mutex
	spans []span
}

// span is one span and the service that made it.
type span struct {
	*tracepb.Span
	service string
}

func (s span) trace() string  { return hex.EncodeToString(s.TraceId) }
func (s span) id() string     { return hex.EncodeToString(s.SpanId) }
func (s span) parent() string { return hex.EncodeToString(s.ParentSpanId) }

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	// An export request has the same form as TracesData: ResourceSpans in field 1.
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(text, &data)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(r.URL.Path, err), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range data.ResourceSpans {
		service := ""
		for _, a := range resource.Resource.GetAttributes() {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, span{s, service})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty answer: all taken
}

// env makes a process export everything at once.
func (c *collector) env() map[string]string {
	return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_BSP_SCHEDULE_DELAY": "50"}
}

func (c *collector) all() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// chain waits for the span of the last name whose ancestors have the other
// names, in this order from the root, and checks that they are of one trace. A
// name is "service/span".
func (c *collector) chain(ctx context.Context, t *testing.T, names ...string) []span {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	var found []span
	err := harness.Until(ctx, func() error {
		all := c.all()
		byID := make(map[string]span)
		for _, s := range all {
			byID[s.id()] = s
		}
		for _, last := range all {
			found = found[:0]
			for s, ok := last, true; ok; s, ok = byID[s.parent()] {
				found = append(found, s)
			}
			slices.Reverse(found)
			if slices.Equal(namesOf(found), names) && found[0].parent() == "" {
				return nil
			}
		}
		return fmt.Errorf("no chain of spans %v among %v", names, namesOf(all))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		if s.trace() != found[0].trace() {
			t.Errorf("%s is of trace %s, its root of %s", s.Name, s.trace(), found[0].trace())
		}
	}
	return found
}

func namesOf(spans []span) []string {
	var names []string
	for _, s := range spans {
		names = append(names, s.service+"/"+s.Name)
	}
	return names
}

// tracedWorld is a world whose nodes a and b, and whose service, export their
// spans. more are further variables of the nodes.
func tracedWorld(t *testing.T, more map[string]string) (*collector, *world.World) {
	t.Helper()
	c := startCollector(t)
	w := world.Own(t, harness.NATSOptions{})
	for _, name := range []string{"a", "b"} {
		env := maps.Clone(c.env())
		maps.Copy(env, more)
		env["OTEL_SERVICE_NAME"] = name
		w.Start(t, name, env)
	}
	var list []string
	for name, value := range c.env() {
		list = append(list, name+"="+value)
	}
	w.EchoService(t, list...)
	return c, w
}

const foreignTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// One message is one trace: from the frame through NATS to the service, its
// reply, the mailbox, and the socket.
func TestTraceOfAMessage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, w := tracedWorld(t, nil)
	alice, bob := world.Dial(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "b"))

	alice.Call(object{"to": "echo-svcs:/", "hdr": object{"traceparent": foreignTrace}, "bdy": "x"})
	chain := c.chain(ctx, t, "a/frame service", "echo-svcs/process echo-svcs", "echo-svcs/reply echo-svcs", "a/deliver mailbox")
	links := chain[0].Links
	if len(links) != 1 || hex.EncodeToString(links[0].TraceId) != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the client's own trace is no link of the frame's: %v", links)
	}
	if chain[0].trace() == "0af7651916cd43dd8448eb211c80319c" {
		t.Error("the client's own trace became the parent")
	}
	named := false
	for _, s := range chain {
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), alice.ID) {
				t.Errorf("%s shows the session's id: %v", s.Name, a)
			}
			named = named || a.Key == "hydrant.session" && a.Value.GetStringValue() == shortID(alice.ID)
		}
	}
	if !named {
		t.Error("no span says by its short form which session it is about")
	}

	alice.Call(object{"to": "echo-svcs:[GET]/", "bdy": "x"})
	c.chain(ctx, t, "a/frame request", "echo-svcs/process echo-svcs", "echo-svcs/reply echo-svcs", "a/deliver answer")

	alice.Send(object{"to": bob.Address(), "bdy": "x"})
	bob.Next()
	c.chain(ctx, t, "a/frame client", "b/deliver mailbox")

	// Whether spans are lost on the way to the collector can be seen.
	page, err := harness.Get(w.Node(t, "a").AdminHTTP("/metrics"))
	if err != nil || !strings.Contains(string(page), `hydrant_spans_total{result="exported"}`) {
		t.Errorf("spans are not counted: %v", err)
	}

	// Also where the receiver is away and reads it after its return.
	bob.Drop()
	alice.Send(object{"to": bob.Address(), "mid": "waits", "bdy": "y"})
	again := world.Dial(t, w.Node(t, "a"))
	if _, err := again.Client.Resume(ctx, "reconnect", harness.Object{"id": bob.ID}); err != nil {
		t.Fatal(err)
	}
	again.Next()
	c.chain(ctx, t, "a/frame client", "a/deliver mailbox")
}

// Without the variables there is nothing: no header towards the service, and
// what a client writes does not get into one (S4).
func TestTraceOff(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	sub := subscribe(t, w, "umf.v1.svc.untraced")
	c := world.Dial(t, w.Node(t, "a"))
	c.Send(object{"to": "untraced:/", "hdr": object{"traceparent": foreignTrace, "tracestate": "a=b"}, "bdy": "x"})
	m, err := sub.NextMsg(harness.Patience)
	if err != nil {
		t.Fatal(err)
	}
	for name := range m.Header {
		if !strings.HasPrefix(name, "Umf-") {
			t.Errorf("header %s: %s", name, m.Header[name])
		}
	}
}

// What a client says of its trace is never a header as it stands; what is no
// trace is nothing; and an unsampled trace stays one, for everybody behind.
func TestTraceOfStrangers(t *testing.T) {
	t.Parallel()
	c, w := tracedWorld(t, map[string]string{"OTEL_TRACES_SAMPLER": "always_off"})
	sub := subscribe(t, w, "umf.v1.svc.watched")
	cl := world.Dial(t, w.Node(t, "a"))
	for _, trace := range []any{foreignTrace, "00-\r\nX-Evil: 1", strings.Repeat("0", 10_000), 7, nil, "ff-" + foreignTrace[3:]} {
		cl.Send(object{"to": "watched:/", "hdr": object{"traceparent": trace, "tracestate": "evil=1", "baggage": "evil=1"}, "bdy": "x"})
		m, err := sub.NextMsg(harness.Patience)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range m.Header {
			switch {
			case strings.HasPrefix(name, "Umf-"):
			case name != "traceparent":
				t.Errorf("header %s: %q", name, values)
			case len(values) != 1 || !strings.HasSuffix(values[0], "-00") && !strings.HasSuffix(values[0], "-02") || strings.Contains(values[0], foreignTrace[3:35]):
				t.Errorf("traceparent %q after %v", values, trace)
			}
		}
	}
	// The node's decision binds the service, whose own would be to sample.
	cl.Call(object{"to": "echo-svcs:/", "bdy": "x"})
	// A mailbox message with a broken traceparent is delivered like any other.
	for _, trace := range []string{"nonsense", "00-" + strings.Repeat("0", 32) + "-0000000000000000-01"} {
		m := nats.NewMsg("umf.v1.out." + cl.ID[:1] + "." + cl.ID)
		m.Header["traceparent"] = []string{trace}
		m.Data = []byte(`{"to":"` + cl.Address() + `","frm":"test:/","mid":"` + trace + `","bdy":"x"}`)
		if _, err := w.Conn.RequestMsg(m, harness.Patience); err != nil {
			t.Fatal(err)
		}
		world.Want(t, cl.Next(), "mid", trace)
	}
	// What there was to export is exported when the processes have ended.
	if err := w.Node(t, "a").Terminate(world.Patient(t)); err != nil {
		t.Fatal(err)
	}
	w.StopEcho(t)
	for _, s := range c.all() {
		t.Errorf("%s/%s was sampled", s.service, s.Name)
	}
}

func subscribe(t *testing.T, w *world.World, subject string) *nats.Subscription {
	t.Helper()
	sub, err := w.Conn.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() }) // or the connection is closed already
	if err := w.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

// TestTraceOfHTTP: so is a request over HTTP, by path or posted; its own trace is a link.
func TestTraceOfHTTP(t *testing.T) {
	t.Parallel()
	c, w := tracedWorld(t, nil)
	name, node := "by-path", w.Node(t, "a")
	kitService(t, w, name, func(s *bus.Service) error {
		return s.HandleMethod("GET", "/v1/traced", func(ctx context.Context, r *bus.Request) error { return r.Reply(ctx, r.Header.Get("traceparent")) })
	})
	_, raw := byPath(t, "GET", there(t, node.HTTP("/v1/traced?secret=1")), nil, http.Header{"Traceparent": {foreignTrace}})
	span := c.chain(t.Context(), t, "a/http request")[0]
	if len(span.Links) != 1 || hex.EncodeToString(span.Links[0].TraceId) != foreignTrace[3:35] || span.trace() == foreignTrace[3:35] {
		t.Errorf("the caller's own trace is no link: %v", span.Links)
	}
	if !strings.Contains(string(raw), span.trace()) || strings.Contains(span.String(), "secret") {
		t.Errorf("the service got %s, in the span is %s", raw, span)
	}
	byPath(t, "POST", node.HTTP("/v1/router/message"), strings.NewReader(`{"to":"echo-svcs:[GET]/","frm":"test:/","bdy":"x"}`), nil)
	c.chain(t.Context(), t, "a/http post", "echo-svcs/process echo-svcs", "echo-svcs/reply echo-svcs")
	world.Dial(t, node).Call(object{"to": name + ":[GET]/v1/traced", "bdy": object{}})
	c.chain(t.Context(), t, "a/frame request")
}
