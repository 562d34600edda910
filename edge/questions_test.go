package edge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// TestQuestions: the answer of who was asked counts, and no other; it goes to a subject
// that services reach from accounts of their own. What is not answered any more is
// forgotten.
func TestQuestions(t *testing.T) {
	t.Parallel()
	ns := natsOn(t, server.Options{})
	nc, err := nats.Connect(ns.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	node := scheme.NewNodeID()
	q := newQuestions(node)
	taken := func(msg *nats.Msg) {
		if loop, id, ok := scheme.ParseRequestSubject(msg.Subject); ok && loop == questionLoop {
			q.answer(id, msg)
		}
	}
	if _, err := nc.Subscribe(scheme.RequestWildcard(node), taken); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("asked", func(m *nats.Msg) {
		if !scheme.IsRequestReply(m.Reply) {
			t.Errorf("the answer is to go to %q", m.Reply)
		}
		forged := m.Reply[:strings.LastIndexByte(m.Reply, '_')+1] + strings.Repeat("0", 32) // who counts, and cannot know
		for _, answer := range [][2]string{{forged, "forged"}, {m.Reply, "first"}, {m.Reply, "second"}} {
			if err := nc.Publish(answer[0], []byte(answer[1])); err != nil {
				t.Error(err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("mute", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 3 {
		if m, err := q.ask(ctx, nc, &nats.Msg{Subject: "asked"}); err != nil || string(m.Data) != "first" {
			t.Errorf("%v, %v", m, err)
		}
	}
	if m, err := q.ask(ctx, nc, &nats.Msg{Subject: "nobody"}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("nobody listens: %v, %v", m, err)
	}
	given, giveUp := context.WithCancel(ctx)
	giveUp()
	if m, err := q.ask(given, nc, &nats.Msg{Subject: "mute"}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v, %v", m, err)
	}
	if m, err := q.ask(ctx, nc, &nats.Msg{Subject: "mute", Data: make([]byte, nc.MaxPayload()+1)}); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("too large: %v, %v", m, err)
	}
	if len(q.asked) != 0 {
		t.Errorf("%d questions are remembered", len(q.asked))
	}
}

// TestLargeQuestions: of large ones one is on its way to NATS at a time, so that others
// have their turn between them; one that cannot leave holds up the others no longer than
// they wait.
func TestLargeQuestions(t *testing.T) {
	t.Parallel()
	ns := natsOn(t, server.Options{})
	line, err := harness.NewProxy(strings.TrimPrefix(ns.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(line.Close)
	nc, err := nats.Connect("nats://" + line.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	q := newQuestions(scheme.NewNodeID())
	line.Set(harness.Weather{Blackhole: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const many = 8
	ended := make(chan error, many)
	before := nc.Stats().OutMsgs
	for range many {
		go func() {
			_, err := q.ask(ctx, nc, &nats.Msg{Subject: "asked", Data: make([]byte, largeMessage)})
			ended <- err
		}()
	}
	if err := harness.Until(ctx, func() error {
		q.mu.Lock()
		defer q.mu.Unlock()
		if n := len(q.asked); n < many || nc.Stats().OutMsgs == before {
			return fmt.Errorf("%d questions have begun", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	small := make(chan error)
	go func() { small <- q.line.publish(ctx, nc, &nats.Msg{Subject: "asked"}) }()
	if err := <-small; err != nil {
		t.Error(err)
	}
	if n := nc.Stats().OutMsgs - before; n != 2 {
		t.Errorf("%d messages are on their way, want one large and one small", n)
	}
	cancel()
	for range many {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
