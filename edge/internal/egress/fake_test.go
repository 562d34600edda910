package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

const (
	testSID     = scheme.SID("k7abcdefghijklmnopqrstuvwx")
	testService = scheme.Service("echo")
)

var errFake = errors.New("NATS says no")

// fakeNATS writes down what it is asked for. It acknowledges nothing by itself.
type fakeNATS struct {
	mu    sync.Mutex
	said  []string
	acks  []func(seq uint64, err error) // of what is on its way, oldest first
	fails error                         // what every call returns
	gate  chan struct{}                 // not nil: publishes do not return before it is closed
	flush chan error                    // not nil: flushes do not return before it has something
}

func (f *fakeNATS) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf(format, args...))
	return f.fails
}

func (f *fakeNATS) await(done func(uint64, error), format string, args ...any) error {
	if err := f.note(format, args...); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acks = append(f.acks, done)
	return nil
}

// heard returns what was asked for since the last call.
func (f *fakeNATS) heard() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	said := f.said
	f.said = nil
	return said
}

// answer answers the oldest n that wait.
func (f *fakeNATS) answer(n int, seq uint64, err error) {
	f.mu.Lock()
	list := f.acks[:n]
	f.acks = f.acks[n:]
	f.mu.Unlock()
	for _, done := range list {
		done(seq, err)
	}
}

func (f *fakeNATS) PublishMsg(m *nats.Msg) error {
	if f.gate != nil {
		<-f.gate
	}
	return f.note("publish %s %s %s", m.Subject, m.Reply, m.Data)
}

// FlushWithContext returns when the test has let it, with what the test says.
func (f *fakeNATS) FlushWithContext(ctx context.Context) error {
	if f.flush == nil {
		return f.note("flush")
	}
	_ = f.note("flush")
	select {
	case err := <-f.flush:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeNATS) Publish(subject string, _ []byte) error { return f.note("event %s", subject) }

func (f *fakeNATS) ChanSubscribe(subject string, _ chan *nats.Msg) (*nats.Subscription, error) {
	return new(nats.Subscription), f.note("subscribe %s", subject)
}

func (f *fakeNATS) PublishAsync(sid scheme.SID, out store.Outgoing, done func(uint64, error)) error {
	return f.await(done, "store %s %s %s %s %v", sid, out.Payload, out.Mid, out.Sender, out.TTL)
}

func (f *fakeNATS) EnqueueWorkAsync(service scheme.Service, out store.Outgoing, done func(uint64, error)) error {
	return f.await(done, "work %s %s %s %s", service, out.Payload, out.Mid, out.Sender)
}

func (f *fakeNATS) PublishMarker(sid scheme.SID, m store.Marker) error {
	return f.note("mark %s %d %d.%d %v", sid, m.ID, m.Holder, m.Attempt, m.Keep)
}

func (f *fakeNATS) UpdateAsync(sid scheme.SID, e scheme.Entry, rev uint64, _ time.Duration, done func(uint64, error)) error {
	return f.await(done, "save %s %d %d", sid, e.Holder, rev)
}

func (f *fakeNATS) OnceAsync(name string, keep time.Duration, done func(error)) error {
	return f.await(func(_ uint64, err error) { done(err) }, "once %s %v", name, keep)
}

// box is an outbox that runs, with NATS of the test's own. The test stands for the
// loop.
type box struct {
	*Outbox
	t        *testing.T
	nats     fakeNATS
	metrics  *stats.Metrics
	tally    stats.Tally
	relieved int
	refused  fakeRefused
}

// fakeRefused is what NATS says of messages to which nobody listens.
type fakeRefused struct {
	dropped int
	ran     int
}

func (r *fakeRefused) Behind(f func()) {
	r.ran++
	f()
}

func (r *fakeRefused) Dropped() int { return r.dropped }

// inBox runs a test with an outbox, on a clock of its own. The outbox is closed and
// has ended when the test is over.
func inBox(t *testing.T, test func(*box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &box{t: t, metrics: stats.New()}
		b.Outbox = NewOutbox(NATS{&b.nats, &b.nats, &b.nats}, Options{Started: time.Now(), Log: slog.New(slog.DiscardHandler),
			Metrics: b.metrics, Tally: &b.tally, Relieve: func() { b.relieved++ }, Refused: &b.refused})
		go b.Run()
		test(b)
		b.Close()
		<-b.Done()
	})
}

// give pushes operations, as in one iteration of the loop, and returns when the
// outbox has done what it can.
func (b *box) give(ops ...Op) {
	for _, p := range ops {
		b.Push(p)
	}
	b.Flush()
	synctest.Wait()
}

// failures are the operations of a kind that NATS is said not to have done.
func (b *box) failures(kind stats.Op) (n float64) {
	b.t.Helper()
	families, err := b.metrics.Registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "hydrant_nats_errors_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == kind.String() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// published is how many durations the loop's tally has, and their sum in seconds.
func (b *box) published() (count uint64, sum float64) {
	b.t.Helper()
	b.metrics.Registry.MustRegister(stats.NewCollector(func() stats.Sample {
		return stats.Sample{Loops: []stats.Loop{{Tally: &b.tally}}}
	}))
	families, err := b.metrics.Registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "hydrant_frame_to_nats_seconds" {
			h := family.GetMetric()[0].GetHistogram()
			return h.GetSampleCount(), h.GetSampleSum()
		}
	}
	b.t.Fatal("no histogram of publishes")
	return 0, 0
}

// fakeSpan notes how it ended.
type fakeSpan struct {
	noop.Span
	ended int
	err   bool
}

func (s *fakeSpan) IsRecording() bool { return true }

func (s *fakeSpan) SetStatus(c codes.Code, _ string) { s.err = c == codes.Error }

func (s *fakeSpan) End(...trace.SpanEndOption) { s.ended++ }
