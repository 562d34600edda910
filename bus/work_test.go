package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/umf"
)

// enqueue stores work for the fixture's service, as a node does.
func (f *fixture) enqueue(t *testing.T, typ, mid string) {
	t.Helper()
	m := f.message(t, "echo-svcs:/", typ, mid, "x")
	out := jet.Outgoing{Payload: m.Data, Mid: mid, Sender: f.sid, Header: m.Header}
	if _, err := f.store.EnqueueWork(natstest.Context(t), "echo-svcs", out); err != nil {
		t.Fatal(err)
	}
}

// queued is the number of messages in the work queues.
func queued(t *testing.T, s *nodeStore) uint64 {
	t.Helper()
	st, err := s.js.Stream(natstest.Context(t), scheme.WorkStream)
	if err != nil {
		t.Fatal(err)
	}
	return st.CachedInfo().State.Msgs
}

func TestWork(t *testing.T) {
	tries := make(map[string]int)
	seen := make(chan string, 100)
	log := new(lines)
	f := newFixture(t, ServiceConfig{Logger: slog.New(slog.NewTextHandler(log, nil))}, func(s *Service) error {
		return s.HandleWork(func(ctx context.Context, r *Request) error {
			mid := r.Message.Mid
			tries[mid]++
			seen <- mid
			switch r.Message.Type {
			case "twice":
				if tries[mid] < 2 {
					return errors.New("not yet")
				}
			case "never":
				return errors.New("never")
			case "refuse":
				return &Failure{"refused", "Not that"}
			case "panic":
				panic("work")
			}
			return r.Reply(ctx, fmt.Sprint(mid, " ", r.Session == f2sid(r)))
		}, WorkOptions{Concurrency: 1, Backoff: 20 * time.Millisecond, MaxDeliver: 3})
	})
	letters, err := f.store.nc.SubscribeSync(scheme.DeadSubject("echo-svcs"))
	if err := errors.Join(err, f.store.nc.Flush()); err != nil {
		t.Fatal(err)
	}
	f.enqueue(t, "", "plain")
	f.enqueue(t, "", "plain") // a repetition
	if got := f.next(t); got.Rmid != "plain" || string(got.Body) != `"plain true"` {
		t.Errorf("%s", got.Body)
	}
	f.enqueue(t, "twice", "twice")
	if got := f.next(t); got.Rmid != "twice" {
		t.Errorf("%s", got.Body)
	}
	f.enqueue(t, "refuse", "refuse")
	if got := f.next(t); !strings.Contains(string(got.Body), `"refused"`) {
		t.Errorf("%s", got.Body)
	}
	for _, typ := range []string{"never", "panic"} {
		f.enqueue(t, typ, typ)
		if got := f.next(t); got.Rmid != typ || !strings.Contains(string(got.Body), `"service_error"`) {
			t.Errorf("%s", got.Body)
		}
	}
	junk := jet.Outgoing{Payload: []byte("junk")}
	if _, err := f.store.EnqueueWork(natstest.Context(t), "echo-svcs", junk); err != nil {
		t.Fatal(err)
	}
	natstest.WaitFor(t, func() bool { return queued(t, f.store) == 0 })
	if err := f.svc.Stop(natstest.Context(t)); err != nil {
		t.Fatal(err)
	}
	for mid, want := range map[string]int{"plain": 1, "twice": 2, "refuse": 1, "never": 3, "panic": 3} {
		if tries[mid] != want {
			t.Errorf("%s: %d attempts, want %d", mid, tries[mid], want)
		}
	}
	checkDead(t, f, letters)
	for mid, given := range map[string]bool{"twice": false, "refuse": false, "never": true, "panic": true} {
		if got := strings.Contains(log.String(), `level=WARN msg="work is given up" attempts=3 service=echo-svcs mid=`+mid); got != given {
			t.Errorf("%s: in the log as given up: %v\n%s", mid, got, log)
		}
	}
}

// checkDead: what was given up comes as it was, with its reason.
func checkDead(t *testing.T, f *fixture, letters *nats.Subscription) {
	t.Helper()
	for _, want := range []struct{ mid, reason, attempts string }{{"refuse", "refused", "1"}, {"never", "service_error", "3"}, {"panic", "service_error", "3"}, {"", "invalid", "1"}} {
		m, err := letters.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get(scheme.HeaderReason) != want.reason || m.Header.Get(scheme.HeaderAttempts) != want.attempts {
			t.Errorf("%s: %v", want.mid, m.Header)
		}
		if want.mid == "" {
			if string(m.Data) != "junk" {
				t.Errorf("%s", m.Data)
			}
			continue
		}
		msg, err := umf.Parse(m.Data)
		if err != nil || msg.Mid != want.mid || m.Header.Get(scheme.HeaderSession) != f.sid || m.Header.Get(jet.HeaderMsgID) != "" {
			t.Errorf("%s: %s with %v", want.mid, m.Data, m.Header)
		}
	}
	if n, _, _ := letters.Pending(); n != 0 {
		t.Errorf("%d more", n)
	}
}

// f2sid is the session in the message's from field.
func f2sid(r *Request) string {
	sid, _ := sessionOf(r.Message.From)
	return string(sid)
}

// TestWorkKeepsAlive: a handler that takes longer than AckWait keeps its
// message.
func TestWorkKeepsAlive(t *testing.T) {
	t.Parallel()                               // it waits for time to pass
	for wait := 2 * time.Second; ; wait *= 2 { // a machine that stood still for as long has given no sign of life
		n := handledSlowly(t, wait)
		if n == 1 {
			return
		}
		if wait > 16*time.Second {
			t.Fatalf("handled %d times within %v", n, wait)
		}
	}
}

// handledSlowly returns how often a message is handled whose handler takes twice the
// AckWait.
func handledSlowly(t *testing.T, wait time.Duration) int {
	t.Helper()
	calls := make(chan struct{}, 10)
	f := newFixtureWith(t, ServiceConfig{}, wait, func(s *Service) error {
		return s.HandleWork(func(ctx context.Context, r *Request) error {
			calls <- struct{}{}
			timer := time.NewTimer(2 * wait)
			defer timer.Stop()
			<-timer.C
			return r.Reply(ctx, "done")
		}, WorkOptions{})
	})
	f.enqueue(t, "", "slow")
	f.next(t)
	natstest.WaitFor(t, func() bool { return queued(t, f.store) == 0 })
	return len(calls)
}

// TestWorkWaitsAlive: a message that waits for a free handler is kept for it,
// however long the handlers take.
func TestWorkWaitsAlive(t *testing.T) {
	busy, release := context.WithCancel(context.Background())
	defer release()
	f := newFixtureWith(t, ServiceConfig{}, 200*time.Millisecond, func(s *Service) error {
		return s.HandleWork(func(context.Context, *Request) error {
			<-busy.Done()
			return nil
		}, WorkOptions{Concurrency: 1})
	})
	signs, err := f.store.nc.SubscribeSync("$JS.ACK." + scheme.WorkStream + ".>")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		f.enqueue(t, "", fmt.Sprint(i))
	}
	ctx := natstest.Context(t)
	for seq := uint64(0); seq != 2; { // the first is being handled
		m, err := signs.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if token := strings.Split(m.Subject, "."); string(m.Data) == "+WPI" { // $JS.ACK.<stream>.<consumer>.<delivered>.<seq>…
			if seq, err = strconv.ParseUint(token[5], 10, 64); err != nil {
				t.Fatal(m.Subject, err)
			}
		}
	}
	c, err := f.store.js.Consumer(ctx, scheme.WorkStream, "echo-svcs")
	if err != nil {
		t.Fatal(err)
	}
	if n := c.CachedInfo().NumAckPending; n != 2 {
		t.Errorf("%d messages were taken", n)
	}
	release()
	natstest.WaitFor(t, func() bool { return queued(t, f.store) == 0 })
}

// TestWorkStop: a stop finishes what is in work; the rest stays for others.
func TestWorkStop(t *testing.T) {
	started, release := make(chan struct{}, 10), make(chan struct{})
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return s.HandleWork(func(ctx context.Context, r *Request) error {
			started <- struct{}{}
			<-release
			return nil
		}, WorkOptions{Concurrency: 2})
	})
	for i := range 2 {
		f.enqueue(t, "", fmt.Sprint(i))
		<-started
	}
	stopped := make(chan error, 1)
	go func() { stopped <- f.svc.Stop(context.Background()) }()
	select {
	case err := <-stopped:
		t.Fatal("stopped with work under way:", err)
	case <-f.svc.work.consume.Closed():
	}
	f.enqueue(t, "", "later")
	close(release)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	natstest.WaitFor(t, func() bool { return queued(t, f.store) == 1 })
}

// TestWorkLimit: a queue that is full refuses, and says so.
func TestWorkLimit(t *testing.T) {
	s := newStore(t, store.Config{Streams: 1, WorkLimit: 2})
	ctx := natstest.Context(t)
	if err := store.RegisterQueues(ctx, s.nc, "a", "b"); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := s.EnqueueWork(ctx, "a", jet.Outgoing{Payload: []byte("x"), Mid: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.EnqueueWork(ctx, "a", jet.Outgoing{Mid: "3"}); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	result := make(chan error, 1)
	done := func(_ uint64, err error) { result <- err }
	if err := s.EnqueueWorkAsync("a", jet.Outgoing{Mid: "4"}, done); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	if _, err := s.EnqueueWork(ctx, "b", jet.Outgoing{}); err != nil { // another service's
		t.Error(err)
	}
}

// TestNoQueue: a service whose queue is not registered is told by whom it can be, and
// makes none itself, whatever it may do. Its metadata say that it wants one.
func TestNoQueue(t *testing.T) {
	s := newStore(t, store.Config{Streams: 1})
	start := func(nc *nats.Conn, wait time.Duration) error {
		svc, err := NewService(nc, ServiceConfig{Name: "a", Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		if err := svc.HandleWork(echo, WorkOptions{StartTimeout: wait}); err != nil {
			t.Fatal(err)
		}
		if got := svc.metadata()[scheme.MetaQueue]; got != "true" {
			t.Errorf("metadata: %q", got)
		}
		return svc.Start()
	}
	for name, nc := range map[string]*nats.Conn{"no queue": s.nc, "no stream": connect(t, natstest.Start(t).URL())} {
		err := patiently(func(wait time.Duration) error { return start(nc, wait) })
		if !errors.Is(err, ErrNoQueue) || !strings.Contains(err.Error(), "hydrant setup -queues a") || !strings.Contains(err.Error(), "EDGE_QUEUE_SERVICES") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.js.Consumer(natstest.Context(t), scheme.WorkStream, "a"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("a service has made its queue: %v", err)
	}
}

// TestQueueComesLater: a service waits for its queue, which may be registered when it
// has been seen.
func TestQueueComesLater(t *testing.T) {
	s := newStore(t, store.Config{Streams: 1})
	svc, err := NewService(connect(t, s.nc.ConnectedUrl()), ServiceConfig{Name: "a", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.HandleWork(echo, WorkOptions{StartTimeout: natstest.Patience}); err != nil {
		t.Fatal(err)
	}
	asks, err := s.nc.SubscribeSync(scheme.WorkInfoSubject(scheme.APIPrefix, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- svc.Start() }()
	for range 3 { // two a look: it has been told no at least once
		if _, err := asks.NextMsg(natstest.Patience); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Queues().Keep(natstest.Context(t), []scheme.Service{"a"}); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Error(err)
	}
	if err := svc.Stop(natstest.Context(t)); err != nil {
		t.Error(err)
	}
}

func TestWorkBackoff(t *testing.T) {
	w := &workQueue{opts: WorkOptions{Backoff: time.Second}}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1000: time.Minute} {
		if got := w.backoff(n); got != want {
			t.Errorf("%d: %v", n, got)
		}
	}
}

// TestWorkConsumer: the consumer is one for all instances and survives them.
func TestWorkConsumer(t *testing.T) {
	f := newFixture(t, ServiceConfig{}, func(s *Service) error { return s.HandleWork(echo, WorkOptions{}) })
	c, err := f.store.js.Consumer(natstest.Context(t), scheme.WorkStream, "echo-svcs")
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.CachedInfo().Config
	if cfg.AckPolicy != jetstream.AckExplicitPolicy || cfg.FilterSubject != "umf.v1.work.echo-svcs" || cfg.Durable != "echo-svcs" {
		t.Errorf("%+v", cfg)
	}
}

// TestWorkConsumerGone: the consumer is deleted, or lost with the stream. The service goes
// on when it is registered again.
func TestWorkConsumerGone(t *testing.T) {
	t.Parallel() // it waits until the service notices
	seen := make(chan string, 100)
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return s.HandleWork(func(ctx context.Context, r *Request) error {
			seen <- r.Message.Mid
			return nil
		}, WorkOptions{Backoff: time.Millisecond})
	})
	handles := func(mid string) {
		t.Helper()
		f.enqueue(t, "", mid)
		for got, end := "", natstest.Context(t).Done(); got != mid; { // what was not acknowledged comes again
			select {
			case got = <-seen:
			case <-end:
				t.Fatalf("%q is not handled", mid)
			}
		}
	}
	handles("before")
	if err := f.store.js.DeleteConsumer(natstest.Context(t), scheme.WorkStream, "echo-svcs"); err != nil {
		t.Fatal(err)
	}
	f.registerQueue(t, jet.WorkAckWait)
	handles("deleted")
	st, err := f.store.js.Stream(natstest.Context(t), scheme.WorkStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.js.DeleteStream(natstest.Context(t), scheme.WorkStream); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.js.CreateStream(natstest.Context(t), st.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	f.registerQueue(t, jet.WorkAckWait)
	handles("lost")
}

// TestWorkOptions: what cannot work is refused where it is set.
func TestWorkOptions(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	svc, err := NewService(nc, ServiceConfig{Name: "a", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = svc.Stop(natstest.Context(t)) }()
	for _, o := range []WorkOptions{{Concurrency: -1}, {MaxDeliver: -1}, {Backoff: -1}, {StartTimeout: -1}} {
		if err := svc.HandleWork(echo, o); !errors.Is(err, ErrServiceConfig) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := svc.HandleWork(echo, WorkOptions{}); err != nil {
		t.Error(err)
	}
}
