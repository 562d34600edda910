package edge

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// TestDeliver: who passes a message on learns that nobody takes it, and waits for no
// answer of those who do.
func TestDeliver(t *testing.T) {
	t.Parallel()
	ns := natsOn(t, server.Options{})
	connect := func() *nats.Conn {
		nc, err := nats.Connect(ns.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	d, service := delivery{connect(), newQuestions(scheme.NewNodeID()), newBulk(nil, nil, nil, nil)}, connect()
	got := make(chan *nats.Msg, 4)
	for subject, answer := range map[string]func(*nats.Msg){
		"mute":  func(*nats.Msg) {},
		"quick": func(m *nats.Msg) { _ = m.Respond([]byte("x")) },
		"empty": func(m *nats.Msg) { _ = m.Respond(nil) },
	} {
		if _, err := service.Subscribe(subject, func(m *nats.Msg) { answer(m); got <- m }); err != nil {
			t.Fatal(err)
		}
	}
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for subject, want := range map[string]error{"mute": nil, "quick": nil, "empty": nil, "nobody": nats.ErrNoResponders} {
		if err := d.Deliver(ctx, &nats.Msg{Subject: subject, Data: []byte("hi")}); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v", subject, err)
		}
		if want == nil {
			select {
			case m := <-got:
				if m.Subject != subject || string(m.Data) != "hi" {
					t.Errorf("%s gets %s %s", subject, m.Subject, m.Data)
				}
			case <-ctx.Done():
				t.Fatal("nothing comes")
			}
		}
	}
	if n := d.conn.NumSubscriptions(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}
