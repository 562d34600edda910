package integration

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// A service is a bare NATS subscription, as any language has it.
type service struct {
	t        *testing.T
	nc       *nats.Conn
	name     string
	requests chan *nats.Msg // sent by the NATS client, never closed
}

// serve subscribes as the service of that name.
func (w *world) serve(t *testing.T, name string) *service {
	t.Helper()
	return w.subscribe(t, name, "umf.v1.svc."+name, name)
}

// serveInstance subscribes as one instance of it.
func (w *world) serveInstance(t *testing.T, name, instance string) *service {
	t.Helper()
	return w.subscribe(t, name, "umf.v1.inst."+name+"."+instance, "")
}

func (w *world) subscribe(t *testing.T, name, subject, queue string) *service {
	t.Helper()
	s := &service{t: t, nc: w.nc, name: name, requests: make(chan *nats.Msg, 1024)}
	subscription, err := w.nc.ChanQueueSubscribe(subject, queue, s.requests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = subscription.Unsubscribe() }) // the connection may be closed already
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// next takes the next request and its UMF message.
func (s *service) next() (*nats.Msg, message) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), harness.Patience)
	defer cancel()
	select {
	case m := <-s.requests:
		parsed, err := harness.Parse(m.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		return m, parsed
	case <-ctx.Done():
		s.t.Fatalf("service %s got nothing", s.name)
		return nil, message{}
	}
}

// empty fails if there is a request that no test took. Fence first.
func (s *service) empty() {
	s.t.Helper()
	if err := s.nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
	select {
	case m := <-s.requests:
		s.t.Errorf("service %s got %.300s", s.name, m.Data)
	default:
	}
}

// respond answers with the bytes of v, the way a bare service does.
func (s *service) respond(request *nats.Msg, v any) {
	s.t.Helper()
	raw, err := harness.Encode(v)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := request.Respond(raw); err != nil {
		s.t.Fatal(err)
	}
}

// mailbox is the subject of a session's mailbox.
func mailbox(sid string) string { return "umf.v1.out." + sid[:1] + "." + sid }

// push stores a message for a session, and waits until it is stored.
func (w *world) push(t *testing.T, sid string, v any) uint64 {
	t.Helper()
	return w.pushWith(t, sid, v, nil)
}

func (w *world) pushWith(t *testing.T, sid string, v any, header nats.Header) uint64 {
	t.Helper()
	seq, err := w.publish(t.Context(), sid, v, header)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// publish is pushWith for goroutines that are not the test's.
func (w *world) publish(ctx context.Context, sid string, v any, header nats.Header) (uint64, error) {
	raw, err := harness.Encode(v)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	ack, err := w.js.PublishMsg(ctx, &nats.Msg{Subject: mailbox(sid), Data: raw, Header: header})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// pushed is a message of the test's own service to a session.
func pushed(sid, mid string, body any) object {
	return object{"to": sid + "@client:/", "frm": "test@push-svcs:/", "mid": mid,
		"ts": "2026-01-12T20:16:29.157Z", "ver": "UMF/1.4.6", "bdy": body}
}

// compact removes white space outside strings, to compare JSON.
func compact(t *testing.T, raw string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newBusService makes a service of the Go SDK.
func newBusService(t *testing.T, w *world, name string) *bus.Service {
	t.Helper()
	s, err := bus.NewService(w.nc, bus.ServiceConfig{Name: name, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}
