package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// asked counts how often a connection has asked for something.
type asked struct {
	what  []byte
	times atomic.Int64
}

func (a *asked) dialer() nats.Option {
	return nats.SetCustomDialer(&beforeWrite{before: func(b []byte) {
		if bytes.Contains(b, a.what) {
			a.times.Add(1)
		}
	}})
}

// TestTurns: one has the turn, and the next one when that gives it back.
func TestTurns(t *testing.T) {
	url := natstest.Start(t).URL()
	ctx := natstest.Context(t)
	first := openStore(t, connect(t, url), Config{Streams: 1})
	looks := &asked{what: []byte(scheme.APIMsgGet + scheme.SessionStream)}
	second := openStore(t, connect(t, url, looks.dialer()), Config{Streams: 1})
	for range 3 {
		end, err := first.turn(ctx, "test", turnTime)
		if err != nil {
			t.Fatal(err)
		}
		before := looks.times.Load()
		var ended atomic.Bool
		var all sync.WaitGroup
		all.Go(func() {
			end, err := second.turn(ctx, "test", turnTime)
			if err != nil {
				t.Error(err)
				return
			}
			if !ended.Load() {
				t.Error("two have the turn")
			}
			end()
		})
		natstest.WaitFor(t, func() bool { return looks.times.Load() > before+3 })
		ended.Store(true)
		end()
		all.Wait()
	}
	other, err := first.turn(ctx, "other", turnTime)
	if err != nil {
		t.Fatal(err)
	}
	end, err := second.turn(ctx, "test", turnTime) // which does not wait for the other
	if err != nil {
		t.Fatal(err)
	}
	end()
	other()
	if err := second.Directory().List(ctx, func(sid scheme.SID, _ scheme.Entry) bool {
		t.Errorf("a turn is taken for the session %s", sid)
		return true
	}); err != nil {
		t.Error(err)
	}
}

// TestTurnOfTheDead: the turn of a holder that has died ends with its time. One who wakes
// after that ends nobody else's.
func TestTurnOfTheDead(t *testing.T) {
	t.Parallel()
	s := newStore(t, Config{Streams: 1})
	ctx := natstest.Context(t)
	late, err := s.turn(ctx, "test", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	end, err := s.turn(ctx, "test", turnTime)
	if err != nil {
		t.Fatal(err)
	}
	late()
	last, _, err := jet.LeaderGet(ctx, s.nc, scheme.SessionStream, jet.GetRequest{LastFor: scheme.TurnKey("test")})
	if err != nil || len(last.Data) == 0 {
		t.Errorf("another has ended the turn: %v", err)
	}
	end()
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.turn(short, "test", turnTime); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRegistrarsTakeTurns: a node changes what the stream of work takes in its turn only,
// which it gives back.
func TestRegistrarsTakeTurns(t *testing.T) {
	url := natstest.Start(t).URL()
	s := openStore(t, connect(t, url), Config{Streams: 1})
	held := func() bool {
		last, _, err := jet.LeaderGet(natstest.Context(t), s.nc, scheme.SessionStream, jet.GetRequest{LastFor: scheme.TurnKey("work")})
		if err != nil {
			t.Error(err)
		}
		return len(last.Data) > 0
	}
	changes := 0
	node := openStore(t, connect(t, url, nats.SetCustomDialer(&beforeWrite{before: func(b []byte) {
		if bytes.Contains(b, []byte(scheme.APIStreamUpdate+scheme.WorkStream)) && bytes.Contains(b, []byte(`"subjects"`)) {
			changes++
			if !held() {
				t.Error("the stream is changed without a turn")
			}
		}
	}})), Config{Streams: 1})
	if err := node.registerQueues(natstest.Context(t), []scheme.Service{"a", "b"}, false); err != nil {
		t.Fatal(err)
	}
	if changes != 1 || held() {
		t.Errorf("%d changes; the turn is held: %v", changes, held())
	}
	takes(t, s, map[scheme.Service]bool{"a": true, "b": true, "c": false})
}

// deafen has two change the stream at a time, by which NATS comes to have a subject that
// it does not listen to: one takes it out, and the other one, which has it from before,
// need not put it in. It does so until that has happened, as s sees it.
func deafen(t *testing.T, s *Store, one, other *nats.Conn, service scheme.Service) {
	t.Helper()
	ctx := natstest.Context(t)
	with := work(t, s).Config
	for i := range 1000 { // NATS compares them with one another, which takes its time
		with.Subjects = append(with.Subjects, scheme.WorkSubject(scheme.Service(fmt.Sprint("many-", i))))
	}
	without := with
	without.Subjects = slices.DeleteFunc(slices.Clone(with.Subjects), func(s string) bool { return s == scheme.WorkSubject(service) })
	change := func(nc *nats.Conn, c jetstream.StreamConfig) {
		js, err := jetstream.New(nc)
		if err == nil {
			_, err = js.UpdateStream(ctx, c)
		}
		if err != nil {
			t.Error(err)
		}
	}
	change(one, with)
	for !t.Failed() {
		var both sync.WaitGroup
		both.Go(func() { change(other, without) })
		both.Go(func() { change(one, with) })
		both.Wait()
		if !slices.Contains(work(t, s).Config.Subjects, scheme.WorkSubject(service)) {
			change(one, with)
		}
		if errors.Is(publishWork(t, s, service), nats.ErrNoResponders) {
			return
		}
	}
	t.FailNow()
}

// twoAtATime has NATS make two changes at a time, which it does for as many as Go has
// processors.
func twoAtATime(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(4, before))
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// TestDeafWork: a queue whose work NATS does not take, although the stream has it, is
// found and put right by the next look; those beside it are not touched.
func TestDeafWork(t *testing.T) {
	twoAtATime(t)
	url := natstest.Start(t).URL()
	s := openStore(t, connect(t, url), Config{Streams: 1})
	if err := s.Queues().Keep(natstest.Context(t), []scheme.Service{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	deafen(t, s, connect(t, url), connect(t, url), "a")
	if err := s.Queues().Fit(natstest.Context(t), true); err != nil {
		t.Fatal(err)
	}
	takes(t, s, map[scheme.Service]bool{"b": true, "many-0": false})
	if err := publishWork(t, s, "a"); err != nil {
		t.Errorf("work for a: %v", err)
	}
}

// TestDeafWorkDenied: a node that may not change the stream says what is to be done.
func TestDeafWorkDenied(t *testing.T) {
	twoAtATime(t)
	ns := natstest.StartServer(t, natstest.Users(map[string]scheme.Permissions{"setup": scheme.SetupPermissions(1), "node": scheme.NodePermissions(1)}))
	as := func(user, inbox string) *nats.Conn {
		return connect(t, ns.ClientURL(), nats.UserInfo(user, "p"), nats.CustomInboxPrefix(inbox),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	}
	one, other := as("setup", scheme.InboxPrefix("setup")), as("setup", scheme.InboxPrefix("setup"))
	setUp := func() error {
		_, err := Setup(natstest.Context(t), one, Config{Streams: 1, Memory: true}, []scheme.Service{"a"}, nil)
		return err
	}
	if err := setUp(); err != nil {
		t.Fatal(err)
	}
	node := openStore(t, as("node", scheme.NodeInbox), Config{Streams: 1})
	deafen(t, node, one, other, "a")
	if err := setUp(); err != nil { // which has no right to ask who listens
		t.Fatal(err)
	}
	if err := node.Queues().Fit(natstest.Context(t), true); !errors.Is(err, jet.ErrDenied) || !strings.Contains(err.Error(), "listen again to what it is to take, umf.v1.work.a:") {
		t.Error(err)
	}
}
