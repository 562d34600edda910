package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus"
	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

func TestDiscovery(t *testing.T) {
	ns := natstest.Start(t)
	var services []*bus.Service
	for range 2 {
		svc, err := bus.NewService(connect(t, ns.URL()), bus.ServiceConfig{
			Name: "echo", Version: "1.2.3", Logger: quiet(),
			Metadata: map[string]string{"team": "red", scheme.MetaInstance: "cannot be set"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(svc.HandleAny(echo), svc.HandleMethod("get", "/v1/x", echo), svc.HandleMethod("post", "/v1/y/{id}", echo), svc.Start()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := svc.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		services = append(services, svc)
	}
	nc := connect(t, ns.URL())
	node := scheme.NewNodeID()
	orders := make(chan string, 1)
	n, err := RegisterNode(nc, NodeInfo{
		ID: node, Service: "hydra-router", Version: "0.1.0",
	}, func(_ string, data []byte) { orders <- string(data) })
	if err != nil {
		t.Fatal(err)
	}
	// A service of somebody else, with nothing on this scheme's subjects.
	foreign, err := micro.AddService(nc, micro.Config{Name: "foreign", Version: "1.0.0", Endpoint: &micro.EndpointConfig{
		Subject: "foreign", Handler: micro.HandlerFunc(func(micro.Request) {}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := foreign.Stop(); err != nil {
			t.Error(err)
		}
	})

	if err := nc.Flush(); err != nil { // or the question is there before the node
		t.Fatal(err)
	}
	d := New(connect(t, ns.URL()))
	ctx := natstest.Context(t)
	var list []Instance
	natstest.WaitFor(t, func() bool { // who pauses has answered, as far as anybody can tell
		var err error
		list, err = d.Services(ctx)
		return err == nil && len(list) == 2
	})
	ids := map[string]bool{services[0].Instance(): true, services[1].Instance(): true}
	for _, in := range list {
		if !ids[in.ID] || in.Service != "echo" || in.Version != "1.2.3" || in.Host == "" || in.Metadata["team"] != "red" ||
			len(in.Routes) != 2 || in.Routes[0] != "[GET]/v1/x" || in.Routes[1] != "[POST]/v1/y/{id}" {
			t.Errorf("%+v", in)
		}
		delete(ids, in.ID)
	}
	var nodes []Instance
	natstest.WaitFor(t, func() bool {
		var err error
		nodes, err = d.Nodes(ctx)
		return err == nil && len(nodes) == 1
	})
	if nodes[0].ID != string(node) || nodes[0].Service != "hydra-router" || nodes[0].Host == "" {
		t.Errorf("%+v", nodes)
	}
	subject := scheme.NodeSubject(node)
	if err := nc.Publish(subject, []byte("release")); err != nil {
		t.Fatal(err)
	}
	if got := <-orders; got != "release" {
		t.Error(got)
	}
	if err := n.Unregister(); err != nil {
		t.Fatal(err)
	}
}

// TestDiscoveryShares: those who ask at the same time cause one question.
func TestDiscoveryShares(t *testing.T) {
	ns := natstest.Start(t)
	nc := connect(t, ns.URL())
	var questions atomic.Int32
	if _, err := nc.Subscribe("$SRV.INFO", func(m *nats.Msg) {
		questions.Add(1)
		if err := m.Respond([]byte("{}")); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	d := New(connect(t, ns.URL()))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if list, err := d.Services(natstest.Context(t)); err != nil || len(list) != 0 {
				t.Error(list, err)
			}
		})
	}
	wg.Wait()
	if n := questions.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	d = New(connect(t, ns.URL()))
	if _, err := d.Nodes(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := d.Nodes(context.Background()); err != nil { // the question goes on for others
		t.Error(err)
	}
}

// TestDiscoveryUnanswered: that nobody is there is an answer, silence is none.
func TestDiscoveryUnanswered(t *testing.T) {
	t.Parallel() // it waits for answers that do not come
	nc := connect(t, natstest.Start(t).URL())
	if list, err := New(nc).Services(natstest.Context(t)); err != nil || len(list) != 0 {
		t.Error("nobody is there:", list, err)
	}
	if _, err := nc.SubscribeSync("$SRV.INFO"); err != nil {
		t.Fatal(err)
	}
	if list, err := New(nc).Services(natstest.Context(t)); !errors.Is(err, jet.ErrUnconfirmed) {
		t.Error("nobody answers:", list, err)
	}
}

// TestDiscoveryLimit: more instances than one result holds. It holds as many as
// it can, and that it lacks some is counted.
func TestDiscoveryLimit(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	answer := func(i int) []byte {
		return fmt.Appendf(nil, `{"name":"a","id":"i%d","endpoints":[{"subject":"umf.v1.svc.a"}]}`, i)
	}
	for name, waiting := range map[string]int{
		"all of them wait":  discoveryLimit + 1,
		"one found no room": discoveryLimit,
	} {
		t.Run(name, func(t *testing.T) {
			sub, err := nc.SubscribeSync(nc.NewInbox())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = sub.Unsubscribe() }()
			if err := sub.SetPendingLimits(waiting, -1); err != nil {
				t.Fatal(err)
			}
			for i := range discoveryLimit + 1 {
				if err := nc.Publish(sub.Subject, answer(i)); err != nil {
					t.Fatal(err)
				}
			}
			natstest.WaitFor(t, func() bool {
				n, _, err := sub.Pending()
				dropped, _ := sub.Dropped()
				return err == nil && n+dropped == discoveryLimit+1
			})
			// As many as could be read in time: that is a bound as well.
			list, cut, err := New(nc).info.collect(sub.NextMsg, nil)
			if len(list) == 0 || len(list) > discoveryLimit || !cut || err != nil {
				t.Errorf("%d instances, cut %v, %v", len(list), cut, err)
			}
		})
	}

	// All the way: everybody answers twice, so to speak.
	crowd, err := nc.Subscribe("$SRV.INFO", func(m *nats.Msg) {
		for i := range 2 * discoveryLimit {
			if m.Respond(answer(i)) != nil {
				return // the test has seen enough
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = crowd.Unsubscribe() }()
	d := New(nc)
	// Who pauses has answered, as far as anybody can tell. Who is busy with the
	// question before does not answer in time.
	natstest.WaitFor(t, func() bool {
		d.info.mu.Lock()
		d.info.latest = nil
		d.info.mu.Unlock()
		list, err := d.Services(natstest.Context(t))
		if (len(list) == 0 || len(list) > discoveryLimit || err != nil) && !errors.Is(err, jet.ErrUnconfirmed) {
			t.Fatalf("%d instances, %v", len(list), err)
		}
		return d.Cut() > 0
	})
}

// TestNodeAnswersInboxes: a node answers discovery, and to inboxes only: what else is
// named as the reply subject would be written with its rights.
func TestNodeAnswersInboxes(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	n, err := RegisterNode(nc, NodeInfo{ID: testNode, Service: "r", Version: "1.0.0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Unregister(); err != nil {
			t.Error(err)
		}
	})
	spy, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		for _, tail := range []string{"", ".r", ".r." + testNode} {
			for _, reply := range []string{scheme.SessionKeyPrefix + "x", "umf.v1.node.x", "x", nats.NewInbox()} {
				subject := "$SRV." + verb + tail
				if err := nc.PublishRequest(subject, reply, nil); err != nil {
					t.Fatal(err)
				}
				if m, err := spy.NextMsg(natstest.Patience); err != nil || m.Subject != subject {
					t.Fatal(m, err)
				}
				if !scheme.IsInbox(reply) {
					continue // what is answered all the same comes before the next question
				}
				m, err := spy.NextMsg(natstest.Patience)
				if err != nil || m.Subject != reply {
					t.Fatal(m, err)
				}
				var answer micro.ServiceIdentity
				if err := json.Unmarshal(m.Data, &answer); err != nil || answer.Name != "r" || answer.ID != testNode {
					t.Errorf("%s: %s", subject, m.Data)
				}
			}
		}
	}
}

func TestParseInstance(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"a","id":"MICROID","endpoints":[{"subject":"umf.v1.svc.a"}]}`:                        "MICROID",
		`{"name":"a","id":"m","metadata":{"instance":"i1"},"endpoints":[{"subject":"umf.v1.svc.a"}]}`: "i1",
		`{"name":"a","id":"m","metadata":{"instance":"*"},"endpoints":[{"subject":"umf.v1.svc.a"}]}`:  "m",
		`{"name":"a","id":"m","endpoints":[{"subject":"umf.v1.svc.b"}]}`:                              "",
		`{"name":"a.b","id":"m","metadata":{"kind":"node"}}`:                                          "",
		`{"name":"r","id":"m","metadata":{"kind":"node","instance":"n1"}}`:                            "n1",
		`{}`: "", `junk`: "", ``: "",
	} {
		in, ok := parseInstance([]byte(text))
		if ok != (want != "") || ok && in.ID != want {
			t.Errorf("%s: %+v %v", text, in, ok)
		}
	}
}

// TestOutdated: a node of a version that cannot read this one's sessions is told
// from one of this version, and from a service.
func TestOutdated(t *testing.T) {
	ns := natstest.Start(t)
	nc := connect(t, ns.URL())
	fresh, old := scheme.NewNodeID(), scheme.NewNodeID()
	n, err := RegisterNode(nc, NodeInfo{ID: fresh, Service: "hydra-router", Version: "0.2.0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Unregister(); err != nil {
			t.Error(err)
		}
	})
	for kind, id := range map[string]string{scheme.KindNode: string(old), scheme.KindService: "s1"} {
		addService(t, nc, micro.Config{Name: "hydra-router", Version: "0.1.0", // as it was before there were forms
			Metadata: map[string]string{scheme.MetaKind: kind, scheme.MetaInstance: id},
			Endpoint: &micro.EndpointConfig{Subject: scheme.NodeSubject(scheme.NodeID(id))},
		})
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	d := New(connect(t, ns.URL()))
	natstest.WaitFor(t, func() bool { // who pauses has answered, as far as anybody can tell
		list, err := d.Outdated(natstest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range list {
			if in.ID != string(old) || in.Version != "0.1.0" {
				t.Fatalf("%+v", in)
			}
		}
		return len(list) == 1
	})
}

// addService runs a service that does nothing.
func addService(t *testing.T, nc *nats.Conn, c micro.Config) {
	t.Helper()
	if c.Endpoint != nil {
		c.Endpoint.Handler = micro.HandlerFunc(func(micro.Request) {})
	}
	m, err := micro.AddService(nc, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestQueues: a service that takes from a work queue says so, also one of another kit,
// and one that takes nothing else. Those are no services for clients.
func TestQueues(t *testing.T) {
	ns := natstest.Start(t)
	nc := connect(t, ns.URL())
	for _, c := range []micro.Config{
		{Name: "both", Metadata: map[string]string{scheme.MetaQueue: "true"}, Endpoint: &micro.EndpointConfig{Subject: "umf.v1.svc.both"}},
		{Name: "both", Metadata: map[string]string{scheme.MetaQueue: "true"}, Endpoint: &micro.EndpointConfig{Subject: "umf.v1.svc.both"}},
		{Name: "work", Metadata: map[string]string{scheme.MetaQueue: "true", scheme.MetaKind: scheme.KindService}},
		{Name: "none", Endpoint: &micro.EndpointConfig{Subject: "umf.v1.svc.none"}},
		{Name: "no", Metadata: map[string]string{scheme.MetaQueue: "false"}, Endpoint: &micro.EndpointConfig{Subject: "umf.v1.svc.no"}},
	} {
		c.Version = "1.0.0"
		addService(t, nc, c)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	d := New(connect(t, ns.URL()))
	natstest.WaitFor(t, func() bool { // who pauses has answered, as far as anybody can tell
		list, err := d.Queues(natstest.Context(t), time.Now())
		return err == nil && slices.Equal(list, []scheme.Service{"both", "work"})
	})
	list, err := d.Services(natstest.Context(t))
	if err != nil || len(list) != 4 {
		t.Error(list, err)
	}
}
