package deploy

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// TestWorkOfServices: a service's work for names without a queue is refused, S88, whether
// it is sent with the kit or by a bare publish: in a NATS without users, in both forms of
// what is written, and inside a node. What is registered later is taken from then on.
func TestWorkOfServices(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, shared bool) {
		r := startRights(t, shared, "echo,evil")
		r.node(t, "a")
		refusesWork(t, r.config(t, "evil"), r.config(t, scheme.UserAdmin), func(*nats.Conn) {
			hydrant(t, r.env(t, scheme.UserSetup), "setup", "-queues", "late")
		})
	})
	t.Run("plain", func(t *testing.T) {
		n, err := harness.StartNATS(t.Context(), harness.NATSOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Stop() }) // it is killed
		node := func(name, queues string) {
			env := map[string]string{"EDGE_MAILBOX_STREAMS": "1", "EDGE_QUEUE_SERVICES": queues}
			if _, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: name, NATS: n.URL(), Env: env}); err != nil {
				t.Fatal(err)
			}
		}
		node("a", "echo")
		refusesWork(t, bus.Config{URL: n.URL()}, bus.Config{URL: n.URL()}, func(*nats.Conn) { node("b", "late") })
	})
	t.Run("inside", func(t *testing.T) {
		listen, err := harness.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if _, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "inside", Env: map[string]string{
			"EDGE_DATA_DIR": dir, "EDGE_NATS_LISTEN": listen, "EDGE_MAILBOX_STREAMS": "1", "EDGE_QUEUE_SERVICES": "echo",
		}}); err != nil {
			t.Fatal(err)
		}
		user := func(name string) bus.Config {
			return bus.Config{URL: "nats://" + listen, User: name, PasswordFile: filepath.Join(dir, "nats-"+name+".password")}
		}
		refusesWork(t, user("service"), user("edge"), func(nc *nats.Conn) {
			if _, err := micro.AddService(nc, micro.Config{Name: "late", Version: "1.0.0", Metadata: map[string]string{scheme.MetaQueue: "true"}}); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// refusesWork sends work with a service's credentials, and looks with others what is
// stored. The queue of echo is registered, and that of late by register.
func refusesWork(t *testing.T, service, looks bus.Config, register func(*nats.Conn)) {
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	as := func(c bus.Config) *nats.Conn {
		nc, err := bus.Connect(c, t.Name(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	nc := as(service)
	js, err := jetstream.New(as(looks))
	if err != nil {
		t.Fatal(err)
	}
	stored := func() (n uint64) {
		t.Helper()
		if err := harness.Until(ctx, func() error {
			st, err := js.Stream(ctx, scheme.WorkStream)
			if err == nil {
				n = st.CachedInfo().State.LastSeq
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	s, err := bus.NewService(nc, bus.ServiceConfig{Name: "sender"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) }) // the connection may be closed already
	begun := stored()
	const names = 5000
	for i := range names {
		if _, err := nc.Request(scheme.WorkSubject(scheme.Service(fmt.Sprint("made-up-", i))), []byte("work"), harness.Patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Fatalf("bare work for a made-up name: %v", err)
		}
	}
	for _, name := range []string{"late", "evil", "made-up-1"} {
		if err := s.Enqueue(ctx, name+":/", 1); !errors.Is(err, bus.ErrNoQueue) || !strings.Contains(err.Error(), "setup -queues "+name) || !strings.Contains(err.Error(), "EDGE_QUEUE_SERVICES") {
			t.Errorf("work for %s: %v", name, err)
		}
	}
	if n := stored(); n != begun {
		t.Errorf("%d messages were stored", n-begun)
	}
	taken := func(name string) {
		t.Helper()
		before := stored()
		if err := harness.Until(ctx, func() error { // it may be registered in a moment
			short, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return s.Enqueue(short, name+":/", 1)
		}); err != nil {
			t.Errorf("work for %s: %v", name, err)
		}
		if _, err := nc.Request(scheme.WorkSubject(scheme.Service(name)), []byte("work"), harness.Patience); err != nil {
			t.Errorf("bare work for %s: %v", name, err)
		}
		if n := stored() - before; n != 2 {
			t.Errorf("%d messages for %s are stored", n, name)
		}
	}
	taken("echo")
	register(nc)
	taken("late")
	if err := s.Enqueue(ctx, "made-up-1:/", 1); !errors.Is(err, bus.ErrNoQueue) {
		t.Errorf("work for a made-up name: %v", err)
	}
}
