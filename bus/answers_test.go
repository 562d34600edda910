package bus

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// TestAnyAnswer: every JSON value is an answer, to a message and to a request, and can
// be pushed and asked for.
func TestAnyAnswer(t *testing.T) {
	for text, value := range map[string]any{"0": 0, "false": false, `""`: "", "null": (*int)(nil), "[]": []int{}, "{}": nil, "1": 1} {
		f := newFixture(t, ServiceConfig{}, func(s *Service) error {
			return s.HandleAny(func(ctx context.Context, r *Request) error { return r.Reply(ctx, value) })
		})
		f.send(t, "echo-svcs:/", "", "m", "x")
		if got := f.next(t); string(got.Body) != text {
			t.Errorf("answered with %s, got %s", text, got.Body)
		}
		got, err := f.svc.Call(natstest.Context(t), "echo-svcs:[GET]/", value)
		if err != nil || string(got.Body) != text {
			t.Errorf("asked with %s: %v, %v", text, got, err)
		}
	}
}

// TestDecode: a body is read into what the handler wants, and the sender of another one
// is told so.
func TestDecode(t *testing.T) {
	log := new(lines)
	level := new(slog.LevelVar)
	f := newFixture(t, ServiceConfig{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))}, func(s *Service) error {
		return s.HandleAny(func(ctx context.Context, r *Request) error {
			var in struct{ N int }
			if err := r.Decode(&in); err != nil {
				return err
			}
			return r.Reply(ctx, in.N+1)
		})
	})
	for body, want := range map[any]string{struct{ N int }{4}: "5", "text": `{"error":"The body is not what the service expects","code":"bad_request"}`} {
		f.send(t, "echo-svcs:/", "", "m", body)
		if got := f.next(t); string(got.Body) != want {
			t.Errorf("%v: %s", body, got.Body)
		}
	}
	natstest.WaitFor(t, func() bool { return f.svc.stats.Refused.Load() == 1 })
	if f.svc.stats.Failed.Load() != 0 || log.String() != "" {
		t.Errorf("an expected answer is in the log: %s", log)
	}
	level.Set(slog.LevelDebug)
	f.send(t, "echo-svcs:/", "", "m2", "text")
	f.next(t)
	if !strings.Contains(log.String(), "cannot unmarshal") || !strings.Contains(log.String(), "level=DEBUG") {
		t.Errorf("log: %s", log)
	}
}

// TestRegistrations: what would never be called is refused, and Start says so to who has
// not looked.
func TestRegistrations(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	for _, name := range []string{"client", "hydra-router"} {
		if _, err := NewService(nc, ServiceConfig{Name: name}); !errors.Is(err, ErrServiceConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	svc, err := NewService(nc, ServiceConfig{Name: "a", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(svc.HandleMethod("GET", "/a/{id}", echo), svc.HandleMethod("POST", "/a/{id}", echo), svc.HandleMethod("GET", "/a/b", echo)); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/a/{id}", "/a/{other}", "/a/:id", "/a/b", "/a/{rest...}"} {
		if err := svc.HandleMethod("get", path, echo); !errors.Is(err, ErrServiceConfig) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := svc.Start(); !errors.Is(err, ErrServiceConfig) || !strings.Contains(err.Error(), "/a/{other}") {
		t.Errorf("started: %v", err)
	}
}

// TestEnqueue: one service stores work for another, once for each message.
func TestEnqueue(t *testing.T) {
	got := make(chan *Request, 10)
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return s.HandleWork(func(_ context.Context, r *Request) error {
			got <- r
			return nil
		}, WorkOptions{})
	})
	other, err := NewService(connect(t, f.store.nc.ConnectedUrl()), ServiceConfig{Name: "other", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Stop(natstest.Context(t)) }()
	if err := other.Enqueue(natstest.Context(t), "echo-svcs:/job", map[string]int{"n": 7}); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if string(r.Message.Body) != `{"n":7}` || r.Path != "/job" || r.Message.From != other.Address() || r.Session != "" || r.Identity != "" {
		t.Errorf("%+v", r.Message)
	}
	for _, to := range []string{"", "no address", "a b:/"} {
		if err := other.Enqueue(natstest.Context(t), to, 1); err == nil {
			t.Errorf("%q is taken", to)
		}
	}
	if err := other.Enqueue(natstest.Context(t), "echo-svcs:/", strings.Repeat("x", int(f.store.nc.MaxPayload()))); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	natstest.WaitFor(t, func() bool { return queued(t, f.store) == 0 })
}

// TestEnqueueForNobody: work for a service without a queue is not stored. A node tells why,
// so that who sends it waits for nothing; without one it may be that NATS cannot store now.
func TestEnqueueForNobody(t *testing.T) {
	s := newStore(t, store.Config{Streams: 1})
	svc, err := NewService(connect(t, s.nc.ConnectedUrl()), ServiceConfig{Name: "sender", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = svc.Stop(natstest.Context(t)) }()
	ways := func(err error) {
		t.Helper()
		for _, way := range []string{"hydrant setup -queues nobody", "nobody in EDGE_QUEUE_SERVICES"} {
			if !strings.Contains(err.Error(), way) {
				t.Errorf("%v does not name %s", err, way)
			}
		}
	}
	in := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		return svc.Enqueue(ctx, "nobody:/", 1)
	}
	unknown := func(what string) {
		t.Helper()
		err := in(100 * time.Millisecond)
		for d := 200 * time.Millisecond; errors.Is(err, ErrUnconfirmed) && d < natstest.Patience; d *= 2 { // a slow machine
			err = in(d)
		}
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNoQueue) {
			t.Errorf("%s: %v", what, err)
		} else {
			ways(err)
		}
	}
	unknown("no node runs")
	var says atomic.Value // of nil: nothing
	says.Store("")
	if _, err := s.nc.Subscribe(scheme.ExistsWildcard, func(m *nats.Msg) {
		switch text := says.Load(); text {
		case "":
		case "list":
			service, err := scheme.ParseQueueExistsSubject(m.Subject)
			if there, ask := s.Queues().Ask(natstest.Context(t), service); err != nil || ask != nil || there {
				t.Error(there, err, ask)
			}
			_ = m.Respond([]byte(scheme.ExistsNo))
		default:
			_ = m.Respond([]byte(text.(string)))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	unknown("a node does not answer")
	for _, text := range []string{scheme.ExistsYes, "?"} {
		says.Store(text)
		unknown("a node says " + text)
	}
	says.Store("list")
	if err := in(natstest.Patience); !errors.Is(err, ErrNoQueue) || errors.Is(err, ErrUnavailable) {
		t.Error(err)
	} else {
		ways(err)
	}
	if n := queued(t, s); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
	if err := s.Queues().Keep(natstest.Context(t), []scheme.Service{"nobody"}); err != nil {
		t.Fatal(err)
	}
	if err := in(natstest.Patience); err != nil || queued(t, s) != 1 {
		t.Error(err, queued(t, s))
	}
}
