package bus

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestPushToNobody: a node says that there is no such session. One that has just sent a
// message, or was asked for, is not asked for again.
func TestPushToNobody(t *testing.T) {
	f := newFixture(t, ServiceConfig{}, func(s *Service) error { return s.HandleAny(echo) })
	var asked atomic.Int32
	there := scheme.NewSID()
	_, err := f.store.nc.QueueSubscribe(scheme.ExistsWildcard, scheme.ExistsGroup, func(m *nats.Msg) {
		asked.Add(1)
		answer := scheme.ExistsNo
		if m.Subject == scheme.ExistsSubject(there) {
			answer = scheme.ExistsYes
		}
		_ = m.Respond([]byte(answer))
	})
	if err := errors.Join(err, f.store.nc.Flush()); err != nil {
		t.Fatal(err)
	}
	ctx := natstest.Context(t)
	push := func(sid scheme.SID) []error {
		m, err := f.svc.NewMessage(string(sid)+"@client:/", "x")
		if err != nil {
			t.Fatal(err)
		}
		errs := f.svc.PushAll(ctx, []Push{{string(sid), m}, {string(sid), m}})
		return append(errs, f.svc.Push(ctx, string(sid), m), f.svc.PushVia(ctx, m.To, m))
	}
	for _, err := range push(scheme.NewSID()) {
		if !errors.Is(err, ErrNoSession) {
			t.Errorf("a push to nobody: %v", err)
		}
	}
	before := asked.Load()
	for range 2 {
		for _, err := range push(there) {
			if err != nil {
				t.Error(err)
			}
		}
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("asked %d times for a session that is there", n)
	}
	f.send(t, "echo-svcs:/", "", "m", "x") // which says that its session is there
	f.next(t)
	before = asked.Load()
	for _, err := range push(f.id) {
		if err != nil {
			t.Error(err)
		}
	}
	if asked.Load() != before {
		t.Error("asked for a session that has just sent a message")
	}
}

// TestPushIsForItsSession: a push whose message names another session goes to nobody,
// and one without a message is an error.
func TestPushIsForItsSession(t *testing.T) {
	f := newFixture(t, ServiceConfig{}, func(s *Service) error { return s.HandleAny(echo) })
	ctx := natstest.Context(t)
	m, err := f.svc.NewMessage(string(scheme.NewSID())+"@client:/", "x")
	if err != nil {
		t.Fatal(err)
	}
	via := strings.Repeat("0", scheme.NodeIDLen) + "-" + f.sid + "@hydra-router:/"
	for i, err := range []error{
		f.svc.Push(ctx, f.sid, m), f.svc.PushVia(ctx, via, m), f.svc.PushLive(f.sid, m),
		f.svc.PushAsync(ctx, f.sid, m, func(error) {}), f.svc.PushAll(ctx, []Push{{f.sid, m}})[0],
	} {
		if !errors.Is(err, ErrNoSession) {
			t.Errorf("%d: %v", i, err)
		}
	}
	for i, err := range []error{
		f.svc.Push(ctx, f.sid, nil), f.svc.PushVia(ctx, via, nil), f.svc.PushLive(f.sid, nil), f.svc.PushAsync(ctx, f.sid, nil, func(error) {}),
		f.svc.PushAll(ctx, []Push{{SID: f.sid}})[0], (&Request{svc: f.svc}).ReplyMessage(ctx, nil),
	} {
		if !errors.Is(err, ErrNotUMF) {
			t.Errorf("%d: %v", i, err)
		}
	}
	m.To = via
	if err := f.svc.Push(ctx, f.sid, m); err != nil {
		t.Errorf("to its via: %v", err)
	}
}

// TestPushWithoutNodes: where no node answers, nothing is concluded.
func TestPushWithoutNodes(t *testing.T) {
	f := newFixture(t, ServiceConfig{}, func(s *Service) error { return s.HandleAny(echo) })
	m, err := f.svc.NewMessage(f.sid+"@client:/", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.svc.Push(natstest.Context(t), f.sid, m); err != nil {
		t.Error(err)
	}
	if got := f.next(t); string(got.Body) != `"x"` {
		t.Errorf("%s", got.Body)
	}
}
