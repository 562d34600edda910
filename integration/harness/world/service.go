package world

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
)

// A Service is a bare NATS subscription, as any language has it.
type Service struct {
	t        *testing.T
	nc       *nats.Conn
	Name     string
	Requests chan *nats.Msg // sent by the NATS client, never closed
}

// Serve subscribes as the service of that name.
func (w *World) Serve(t *testing.T, name string) *Service {
	t.Helper()
	return w.Subscribe(t, name, "umf.v1.svc."+name, name)
}

// ServeInstance subscribes as one instance of it.
func (w *World) ServeInstance(t *testing.T, name, instance string) *Service {
	t.Helper()
	return w.Subscribe(t, name, "umf.v1.inst."+name+"."+instance, "")
}

// Subscribe subscribes to any subject, in a queue group or, with "", in none.
func (w *World) Subscribe(t *testing.T, name, subject, queue string) *Service {
	t.Helper()
	s := &Service{t: t, nc: w.Conn, Name: name, Requests: make(chan *nats.Msg, 1024)}
	subscription, err := w.Conn.ChanQueueSubscribe(subject, queue, s.Requests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = subscription.Unsubscribe() }) // the connection may be closed already
	if err := w.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// RegisterQueue registers the work queue of a service, as an installer does, and returns
// its consumer.
func (w *World) RegisterQueue(t *testing.T, name string) jetstream.Consumer {
	t.Helper()
	consumer, err := w.JS.CreateOrUpdateConsumer(t.Context(), "UMF_WORK", jetstream.ConsumerConfig{
		Durable: name, FilterSubject: "umf.v1.work." + name, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return consumer
}

// Next takes the next request and its UMF message.
func (s *Service) Next() (*nats.Msg, harness.Message) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), harness.Patience)
	defer cancel()
	select {
	case m := <-s.Requests:
		parsed, err := harness.Parse(m.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		return m, parsed
	case <-ctx.Done():
		s.t.Fatalf("service %s got nothing", s.Name)
		return nil, harness.Message{}
	}
}

// Empty fails if there is a request that no test took. Fence first.
func (s *Service) Empty() {
	s.t.Helper()
	if err := s.nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
	select {
	case m := <-s.Requests:
		s.t.Errorf("service %s got %.300s", s.Name, m.Data)
	default:
	}
}

// Respond answers with the bytes of v, the way a bare service does.
func (s *Service) Respond(request *nats.Msg, v any) {
	s.t.Helper()
	raw, err := harness.Encode(v)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := request.Respond(raw); err != nil {
		s.t.Fatal(err)
	}
}

// Mailbox is the subject of a session's mailbox.
func Mailbox(sid string) string { return "umf.v1.out." + sid[:1] + "." + sid }

// Push stores a message for a session, and waits until it is stored.
func (w *World) Push(t *testing.T, sid string, v any) uint64 {
	t.Helper()
	return w.PushWith(t, sid, v, nil)
}

// PushWith is Push with NATS headers.
func (w *World) PushWith(t *testing.T, sid string, v any, header nats.Header) uint64 {
	t.Helper()
	seq, err := w.Publish(t.Context(), sid, v, header)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// Publish is PushWith for goroutines that are not the test's.
func (w *World) Publish(ctx context.Context, sid string, v any, header nats.Header) (uint64, error) {
	raw, err := harness.Encode(v)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	ack, err := w.JS.PublishMsg(ctx, &nats.Msg{Subject: Mailbox(sid), Data: raw, Header: header})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// Pushed is a message of the test's own service to a session.
func Pushed(sid, mid string, body any) harness.Object {
	return harness.Object{"to": sid + "@client:/", "frm": "test@push-svcs:/", "mid": mid,
		"ts": "2026-01-12T20:16:29.157Z", "ver": "UMF/1.4.6", "bdy": body}
}
