package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// has asks for one queue.
func has(t *testing.T, s *Store, service scheme.Service) bool {
	t.Helper()
	there, err := s.Queues().Ask(natstest.Context(t), service)
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// TestQueues: a queue is there from its registration on, and until that ends.
func TestQueues(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	q := s.Queues()
	if q.Known("a") || has(t, s, "a") {
		t.Error("a queue that nobody has registered is there")
	}
	for range 2 { // the second time there is nothing to do
		if err := q.Keep(natstest.Context(t), []scheme.Service{"a", "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if !has(t, s, "a") || !has(t, s, "b") || has(t, s, "c") || !q.Known("a") || q.Known("c") || q.Count() != 2 {
		t.Errorf("registered are a and b; known are %d", q.Count())
	}
	c, err := s.js.Consumer(natstest.Context(t), scheme.WorkStream, "a")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.CachedInfo().Config, jet.WorkConsumer("a"); got.AckPolicy != want.AckPolicy || got.AckWait != want.AckWait || got.MaxAckPending != want.MaxAckPending || got.FilterSubject != want.FilterSubject {
		t.Errorf("the consumer is %+v", got)
	}
	if err := s.js.DeleteConsumer(natstest.Context(t), scheme.WorkStream, "a"); err != nil {
		t.Fatal(err)
	}
	if has(t, s, "a") || q.Known("a") || !has(t, s, "b") {
		t.Error("a queue that is gone is there")
	}
}

// TestQueuesKeepOthersSettings: a queue that an installer has registered with settings of
// its own stays as it is.
func TestQueuesKeepOthersSettings(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	c := jet.WorkConsumer("a")
	c.AckWait *= 2
	if _, err := s.js.CreateConsumer(natstest.Context(t), scheme.WorkStream, c); err != nil {
		t.Fatal(err)
	}
	if err := s.Queues().Keep(natstest.Context(t), []scheme.Service{"a"}); err != nil {
		t.Fatal(err)
	}
	after, err := s.js.Consumer(natstest.Context(t), scheme.WorkStream, "a")
	if err != nil || after.CachedInfo().Config.AckWait != c.AckWait {
		t.Errorf("%+v %v", after.CachedInfo().Config, err)
	}
}

// TestQueuesManyPages: the list is read to its end.
func TestQueuesManyPages(t *testing.T) {
	nc := connect(t, natstest.StartServer(t, server.Options{}).ClientURL()) // without JetStream: the test answers
	const pages, perPage = 3, 4
	answer := func(m *nats.Msg) {
		var q struct{ Offset int }
		if err := json.Unmarshal(m.Data, &q); err != nil {
			t.Error(err)
		}
		var names []string
		for i := range perPage {
			names = append(names, fmt.Sprint("s", q.Offset+i))
		}
		names = append(names[:perPage-1], "no.name")
		text, err := json.Marshal(map[string]any{"total": pages * perPage, "offset": q.Offset, "limit": perPage, "consumers": names})
		if err != nil {
			t.Error(err)
		}
		if err := m.Respond(text); err != nil {
			t.Error(err)
		}
	}
	if _, err := nc.Subscribe(askQueues, answer); err != nil {
		t.Fatal(err)
	}
	s := &Store{nc: nc}
	l, err := s.listQueues(natstest.Context(t))
	if err != nil || len(l.names) != pages*(perPage-1) || !l.has("s10") || l.has("no.name") {
		t.Errorf("%v %v", l, err)
	}
}

// TestQueuesWithoutAnEnd: a list that never ends is given up.
func TestQueuesWithoutAnEnd(t *testing.T) {
	nc := connect(t, natstest.StartServer(t, server.Options{}).ClientURL()) // without JetStream: the test answers
	names := make([]string, 8192)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	text, err := json.Marshal(map[string]any{"total": 1 << 40, "consumers": names})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe(askQueues, func(m *nats.Msg) { _ = m.Respond(text) }); err != nil {
		t.Fatal(err)
	}
	s := &Store{nc: nc}
	if l, err := s.listQueues(natstest.Context(t)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v, %v", l, err)
	}
}

// TestQueuesShareReadings: however many ask, and for whatever names, the list is read a
// few times: those who come while it is read wait for the next reading.
func TestQueuesShareReadings(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	q := s.Queues()
	before := q.Looks()
	var all sync.WaitGroup
	const askers = 2000
	q.mu.Lock() // no reading begins before all wait
	for i := range askers {
		all.Go(func() {
			if there, err := q.Ask(natstest.Context(t), scheme.Service(fmt.Sprint("made-up-", i))); there || err != nil {
				t.Error(there, err)
			}
		})
	}
	q.mu.Unlock()
	all.Wait()
	if n := q.Looks() - before; n == 0 || n > askers/10 {
		t.Errorf("%d readings for %d questions", n, askers)
	}
	if q.Count() != 0 {
		t.Errorf("%d names are kept", q.Count())
	}
}

// TestQueuesDenied: who may not read the list, or not register, says what is to be done.
func TestQueuesDenied(t *testing.T) {
	all := scheme.NodePermissions(1)
	less := all
	less.Publish = nil
	for _, subject := range all.Publish {
		if subject != askQueues {
			less.Publish = append(less.Publish, subject)
		}
	}
	ns := natstest.StartServer(t, natstest.Users(map[string]scheme.Permissions{"setup": scheme.SetupPermissions(1), "node": all, "less": less}))
	as := func(user, inbox string) *nats.Conn {
		return connect(t, ns.ClientURL(), nats.UserInfo(user, "p"), nats.CustomInboxPrefix(inbox),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	}
	if _, err := Setup(natstest.Context(t), as("setup", scheme.InboxPrefix("setup")), Config{Streams: 1, Memory: true}, []scheme.Service{"a"}, nil); err != nil {
		t.Fatal(err)
	}
	node := openStore(t, as("node", scheme.NodeInbox), Config{Streams: 1})
	if !has(t, node, "a") || has(t, node, "b") {
		t.Error("a node's user does not see what is registered")
	}
	if err := node.Queues().Keep(natstest.Context(t), []scheme.Service{"a", "b", "c"}); !errors.Is(err, jet.ErrDenied) || !strings.Contains(err.Error(), "setup -queues b,c") {
		t.Error(err)
	}
	other := openStore(t, as("less", scheme.NodeInbox), Config{Streams: 1})
	if there, err := other.Queues().Ask(natstest.Context(t), "a"); there || !errors.Is(err, jet.ErrDenied) || !strings.Contains(err.Error(), "hydrant setup nats") {
		t.Error(there, err)
	}
}

// TestQueuesHold: while NATS does not answer, a queue that was there still is, and of
// others nothing is known.
func TestQueuesHold(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	q := s.Queues()
	if err := q.Keep(natstest.Context(t), []scheme.Service{"a"}); err != nil {
		t.Fatal(err)
	}
	s.nc.Close()
	if there, err := q.Ask(natstest.Context(t), "a"); !there || err != nil {
		t.Error(there, err)
	}
	if there, err := q.Ask(natstest.Context(t), "b"); there || err == nil {
		t.Error(there, err)
	}
}

// TestDiagnoseQueues: the doctor says which queues are not there, and what comes of that.
func TestDiagnoseQueues(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	look := func(verdict Verdict, says string, services ...scheme.Service) {
		t.Helper()
		found := DiagnoseQueues(natstest.Context(t), nc, services)
		if len(found) != 1 || found[0].Verdict != verdict || !strings.Contains(found[0].Detail, says) {
			t.Errorf("%v: %v, want %s", services, found, says)
		}
	}
	look(OK, "at its start: a,b", "a", "b") // without streams
	s := openStore(t, nc, Config{Streams: 1})
	if err := s.Queues().Keep(natstest.Context(t), []scheme.Service{"a"}); err != nil {
		t.Fatal(err)
	}
	look(OK, "registered: a", "a")
	look(OK, "at its start: b", "a", "b")
	if found := DiagnoseQueues(natstest.Context(t), nc, nil); found != nil {
		t.Errorf("nothing was asked: %v", found)
	}
	ns := natstest.StartServer(t, natstest.Users(map[string]scheme.Permissions{"setup": scheme.SetupPermissions(1), "node": scheme.NodePermissions(1)}))
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	setup := connect(t, ns.ClientURL(), nats.UserInfo("setup", "p"), nats.CustomInboxPrefix(scheme.InboxPrefix("setup")), quiet)
	if _, err := Setup(natstest.Context(t), setup, Config{Streams: 1, Memory: true}, nil, nil); err != nil {
		t.Fatal(err)
	}
	nc = connect(t, ns.ClientURL(), nats.UserInfo("node", "p"), nats.CustomInboxPrefix(scheme.NodeInbox), quiet)
	look(Warn, "may not: a", "a")
}
