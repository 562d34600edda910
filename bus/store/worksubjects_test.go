package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// work is the stream of work as it is.
func work(t *testing.T, s *Store) *jetstream.StreamInfo {
	t.Helper()
	st, err := s.js.Stream(natstest.Context(t), scheme.WorkStream)
	if err != nil {
		t.Fatal(err)
	}
	return st.CachedInfo()
}

// publishWork sends work as a program without a kit does.
func publishWork(t *testing.T, s *Store, service scheme.Service) error {
	t.Helper()
	m, err := s.nc.RequestWithContext(natstest.Context(t), scheme.WorkSubject(service), []byte("work"))
	if err == nil {
		_, err = jet.ParseAck(m)
	}
	return err
}

// takes looks which work is taken.
func takes(t *testing.T, s *Store, want map[scheme.Service]bool) {
	t.Helper()
	for service, yes := range want {
		err := publishWork(t, s, service)
		for end := time.Now().Add(natstest.Patience); yes && errors.Is(err, nats.ErrNoResponders) && time.Now().Before(end); {
			err = publishWork(t, s, service) // the server listens some time after it has said so
		}
		if (err == nil) != yes || !yes && !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("work for %s: %v", service, err)
		}
	}
}

// formerWork makes the stream as former versions had it.
func formerWork(t *testing.T, s *Store) {
	t.Helper()
	cfg := work(t, s).Config
	cfg.Subjects = []string{anyWork}
	if _, err := s.js.UpdateStream(natstest.Context(t), cfg); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyRegisteredWork: NATS refuses work for a service without a queue, whoever sends
// it, from the first moment on; with thousands of names nothing is stored. What is
// registered is taken, and no more when the queue is gone.
func TestOnlyRegisteredWork(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx := natstest.Context(t)
	const names = 5000
	refused := func() {
		t.Helper()
		stored := work(t, s).State.LastSeq
		for i := range names {
			if err := s.nc.Publish(scheme.WorkSubject(scheme.Service(fmt.Sprint("made-up-", i))), []byte("work")); err != nil {
				t.Fatal(err)
			}
		}
		takes(t, s, map[scheme.Service]bool{"made-up-0": false, "none": false})
		if err := s.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if last := work(t, s).State.LastSeq; last != stored {
			t.Errorf("%d messages were stored", last-stored)
		}
	}
	refused()
	if err := s.Queues().Keep(ctx, []scheme.Service{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	refused()
	takes(t, s, map[scheme.Service]bool{"a": true, "b": true, "c": false})
	if err := s.js.DeleteConsumer(ctx, scheme.WorkStream, "a"); err != nil {
		t.Fatal(err)
	}
	if has(t, s, "a") {
		t.Error("a queue that is gone is there")
	}
	takes(t, s, map[scheme.Service]bool{"a": false, "b": true})
	again, err := Open(ctx, s.nc, s.Config()) // a node that starts changes none of it
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	takes(t, s, map[scheme.Service]bool{"a": false, "b": true})
	if err := s.js.DeleteConsumer(ctx, scheme.WorkStream, "b"); err != nil {
		t.Fatal(err)
	}
	if err := s.Queues().Fit(ctx, false); err != nil {
		t.Fatal(err)
	}
	refused() // also without any queue
	if err := s.CheckContract(ctx); err != nil {
		t.Error(err)
	}
}

// TestQueueByItsConsumer: whoever makes a queue's consumer registers it; that subjects
// belong to it, the next node that looks knows.
func TestQueueByItsConsumer(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	if _, err := s.js.CreateConsumer(natstest.Context(t), scheme.WorkStream, jet.WorkConsumer("a")); err != nil {
		t.Fatal(err)
	}
	if !has(t, s, "a") {
		t.Error("the queue is not known")
	}
	takes(t, s, map[scheme.Service]bool{"a": true, "b": false})
}

// TestRegistrarsAtOnce: many nodes register queues at the same time, each others' too. None
// undoes what another did.
func TestRegistrarsAtOnce(t *testing.T) {
	url := natstest.Start(t).URL()
	s := openStore(t, connect(t, url), Config{Streams: 1})
	formerWork(t, s)
	const registrars, each = 12, 4
	var all sync.WaitGroup
	want := make(map[scheme.Service]bool)
	for i := range registrars {
		node := openStore(t, connect(t, url), Config{Streams: 1})
		var own []scheme.Service
		for j := range each {
			own = append(own, scheme.Service(fmt.Sprintf("s-%d", i*each/2+j)))
			want[own[j]] = true
		}
		all.Go(func() {
			if err := node.registerQueues(natstest.Context(t), own, true); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if have := work(t, s).Config.Subjects; len(have) != len(want) {
		t.Errorf("%d queues, and the subjects %v", len(want), have)
	}
	want["none"] = false
	takes(t, s, want)
}

// beforeWrite is a connection that calls before with what it is to write.
type beforeWrite struct {
	net.Conn
	before func([]byte)
}

func (c *beforeWrite) Write(b []byte) (int, error) {
	c.before(b)
	return c.Conn.Write(b)
}

// Dial implements nats.CustomDialer.
func (c *beforeWrite) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &beforeWrite{conn, c.before}, err
}

// TestStaleRegistrar: another registers a queue between this one's look at the stream and
// its change of it, which undoes that. It finds out.
func TestStaleRegistrar(t *testing.T) {
	url := natstest.Start(t).URL()
	s := openStore(t, connect(t, url), Config{Streams: 1})
	var once sync.Once
	nc := connect(t, url, nats.SetCustomDialer(&beforeWrite{before: func(b []byte) {
		if bytes.Contains(b, []byte(scheme.APIStreamUpdate+scheme.WorkStream)) && bytes.Contains(b, []byte(`"subjects"`)) {
			once.Do(func() {
				if err := RegisterQueues(context.Background(), s.nc, "meanwhile"); err != nil {
					t.Error(err)
				}
				takes(t, s, map[scheme.Service]bool{"meanwhile": true})
			})
		}
	}}))
	if err := RegisterQueues(natstest.Context(t), nc, "stale"); err != nil {
		t.Fatal(err)
	}
	takes(t, s, map[scheme.Service]bool{"meanwhile": true, "stale": true, "none": false})
}

// TestWorkOfAFormerStore: a stream that takes work for any name goes on doing so while
// nodes run that expect it, and then takes that of the queues alone. What it has stay.
func TestWorkOfAFormerStore(t *testing.T) {
	for name, narrow := range map[string]func(s *Store, older []string) error{
		"node": func(s *Store, older []string) error { return s.Queues().Fit(context.Background(), len(older) == 0) },
		"setup": func(s *Store, older []string) error {
			found, err := Setup(context.Background(), s.nc, s.Config(), nil, func(context.Context) (Older, error) { return Older{Work: older}, nil })
			if warned := len(found) == 1 && strings.Contains(found[0].Detail, "old-node"); warned != (older != nil) {
				return fmt.Errorf("found %v", found)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Config{Streams: 1})
			ctx := natstest.Context(t)
			formerWork(t, s)
			if _, err := s.js.CreateConsumer(ctx, scheme.WorkStream, jet.WorkConsumer("a")); err != nil {
				t.Fatal(err)
			}
			takes(t, s, map[scheme.Service]bool{"a": true, "late": true})
			again := openStore(t, s.nc, Config{Streams: 1})
			if !again.Queues().TakesAny() || len(again.Warnings()) > 0 {
				t.Errorf("takes any %v, %v", again.Queues().TakesAny(), again.Warnings())
			}
			if found := DiagnoseQueues(ctx, s.nc, nil); len(found) != 1 || found[0].Verdict != Warn {
				t.Errorf("the doctor finds %v", found)
			}
			if err := narrow(again, []string{"old-node"}); err != nil {
				t.Fatal(err)
			}
			takes(t, s, map[scheme.Service]bool{"a": true, "other": true})
			if err := again.Queues().Keep(ctx, []scheme.Service{"b"}); err != nil { // which leaves it as well
				t.Fatal(err)
			}
			takes(t, s, map[scheme.Service]bool{"b": true, "other": true})
			if err := narrow(again, nil); err != nil {
				t.Fatal(err)
			}
			takes(t, s, map[scheme.Service]bool{"a": true, "b": true, "late": false, "other": false})
			if err := again.CheckContract(ctx); err != nil || again.Queues().TakesAny() {
				t.Error(err, again.Queues().TakesAny())
			}
			if err := again.Queues().Keep(ctx, []scheme.Service{"late"}); err != nil {
				t.Fatal(err)
			}
			if info, err := s.js.Consumer(ctx, scheme.WorkStream, "late"); err != nil || info.CachedInfo().NumPending != 1 {
				t.Errorf("what was stored for late is gone: %v", err)
			}
		})
	}
}

// TestWorkSubjectsDenied: who may not change the stream says what is to be done, and
// leaves it.
func TestWorkSubjectsDenied(t *testing.T) {
	ns := natstest.StartServer(t, natstest.Users(map[string]scheme.Permissions{"setup": scheme.SetupPermissions(1), "node": scheme.NodePermissions(1)}))
	as := func(user, inbox string) *nats.Conn {
		return connect(t, ns.ClientURL(), nats.UserInfo(user, "p"), nats.CustomInboxPrefix(inbox),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	}
	setup := as("setup", scheme.InboxPrefix("setup"))
	if _, err := Setup(natstest.Context(t), setup, Config{Streams: 1, Memory: true}, []scheme.Service{"a"}, nil); err != nil {
		t.Fatal(err)
	}
	node := openStore(t, as("node", scheme.NodeInbox), Config{Streams: 1})
	if err := node.Queues().Fit(natstest.Context(t), true); err != nil {
		t.Errorf("all is well, and %v", err)
	}
	installer, err := unopened(setup, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := installer.js.CreateConsumer(natstest.Context(t), scheme.WorkStream, jet.WorkConsumer("b")); err != nil {
		t.Fatal(err)
	}
	if err := node.Queues().Fit(natstest.Context(t), true); !errors.Is(err, jet.ErrDenied) || !strings.Contains(err.Error(), "hydrant setup") {
		t.Error(err)
	}
	takes(t, node, map[scheme.Service]bool{"a": true, "b": false})
	if _, err := Setup(natstest.Context(t), setup, Config{Streams: 1, Memory: true}, nil, nil); err != nil { // sees to it
		t.Fatal(err)
	}
	takes(t, node, map[scheme.Service]bool{"a": true, "b": true, "c": false})
}

// TestWorkSubjectsMended: subjects that the stream of work must not have break the
// contract, and are mended.
func TestWorkSubjectsMended(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx := natstest.Context(t)
	cfg := work(t, s).Config
	cfg.Subjects = []string{scheme.WorkSubject("a"), "foreign"}
	if _, err := s.js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	var c *ContractError
	if err := s.CheckContract(ctx); !errors.As(err, &c) || !strings.Contains(c.Findings[0].What, "UMF_WORK: subjects") {
		t.Error(err)
	}
	if err := s.Repair(ctx); err != nil {
		t.Fatal(err)
	}
	if have := work(t, s).Config.Subjects; !slices.Equal(have, []string{noWork}) {
		t.Error(have)
	}
	if err := s.js.DeleteStream(ctx, scheme.WorkStream); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Repair(ctx), s.Queues().Keep(ctx, []scheme.Service{"a"})); err != nil {
		t.Fatal(err)
	}
	takes(t, s, map[scheme.Service]bool{"a": true, "b": false})
}
