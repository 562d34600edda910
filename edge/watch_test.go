package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/stats"
)

// lines is a log that a test reads.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logger logs text without times.
func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// gauges are the series of hydrant_waiting that are up, and hydrant_ready.
func gauges(t *testing.T, m *stats.Metrics) (waiting []string, ready float64) {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			switch {
			case family.GetName() == "hydrant_ready":
				ready = series.GetGauge().GetValue()
			case family.GetName() == "hydrant_waiting" && series.GetGauge().GetValue() == 1:
				waiting = append(waiting, series.GetLabel()[0].GetValue())
			}
		}
	}
	return waiting, ready
}

// TestWaiting: what a node waits for is told at once, and then each change of it, in
// the log, by /readyz and in a metric.
func TestWaiting(t *testing.T) {
	var log lines
	m := stats.New()
	r := newReadiness(m, log.logger())
	expect := func(step string, waiting []string, reasons ...string) {
		t.Helper()
		got, ready := gauges(t, m)
		if fmt.Sprint(got) != fmt.Sprint(waiting) || (ready == 1) != (len(waiting) == 0) {
			t.Errorf("%s: hydrant_waiting %v, want %v; hydrant_ready %v", step, got, waiting, ready)
		}
		if _, told := r.reasons(true); fmt.Sprint(told) != fmt.Sprint(reasons) {
			t.Errorf("%s: reasons %q, want %q", step, told, reasons)
		}
	}
	r.begin(stats.PartNATS, "asks a")
	expect("asked", []string{"nats"}, "nats: asks a")
	for range 3 {
		r.not(stats.PartNATS, "refused")
	}
	r.not(stats.PartStore, "no quorum")
	expect("both", []string{"nats", "store"}, "nats: refused", "store: no quorum")
	r.now(stats.PartNATS)
	r.now(stats.PartNATS)
	expect("one", []string{"store"}, "store: no quorum")
	r.now(stats.PartStore)
	expect("none", nil)
	r.leave()
	expect("drain", []string{"drain"}, "drain: the node is stopping")
	want := `level=INFO msg=waiting for=nats why="asks a"
level=WARN msg=waiting for=nats why=refused
level=WARN msg=waiting for=store why="no quorum"
level=INFO msg="no longer waiting" for=nats
level=INFO msg="no longer waiting" for=store
`
	if got := log.String(); got != want {
		t.Errorf("the log says\n%swant\n%s", got, want)
	}
}

// quiet is a readiness whose log nobody reads.
func quiet() *readiness { return newReadiness(stats.New(), slog.New(slog.DiscardHandler)) }

// TestContractLooks: a store that is as it must be is looked at every half minute; one
// that is not every second, however long a look takes, until the first that finds
// nothing.
func TestContractLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		var looks []time.Duration
		var mu sync.Mutex
		broken, well := 30*time.Second, 95*time.Second
		w := &contractWatch{ready: quiet(), connected: func() bool { return true }, now: make(chan struct{}, 1),
			check: func(ctx context.Context) error {
				mu.Lock()
				at := time.Since(began)
				looks = append(looks, at)
				mu.Unlock()
				switch {
				case at < broken || at >= well:
					return nil
				case at < 40*time.Second:
					return errors.New("said at once")
				}
				<-ctx.Done() // as what was asked of a leader that died
				return ctx.Err()
			}}
		go w.run(ctx)
		count := func() int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return len(looks)
		}
		time.Sleep(broken + time.Millisecond)
		if n := count(); !w.ready.waits(stats.PartStore) || n != 1 {
			t.Fatalf("%d looks", n)
		}
		time.Sleep(well - broken)
		for w.ready.waits(stats.PartStore) {
			time.Sleep(10 * time.Millisecond)
		}
		if late := time.Since(began) - well; late > 4*time.Second {
			t.Errorf("known to be well %v after it was", late)
		}
		mu.Lock()
		for i := 1; i < len(looks); i++ {
			if gap := looks[i] - looks[i-1]; gap < contractAgain {
				t.Errorf("looks at %v and %v", looks[i-1], looks[i])
			}
		}
		mu.Unlock()
		before := count()
		time.Sleep(contractEvery * 2)
		after := count()
		if n := after - before; n > 3 {
			t.Errorf("%d looks in a minute at what is well", n)
		}
		w.look()
		if count() != after+1 {
			t.Error("asked to look, it does not")
		}
	})
}

// TestLateVerdict: a look that began before another does not undo what that one found.
func TestLateVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var number atomic.Int32
		w := &contractWatch{ready: quiet(), connected: func() bool { return true }, now: make(chan struct{}, 1),
			check: func(ctx context.Context) error {
				if number.Add(1) == 1 {
					time.Sleep(5 * time.Second)
					return errors.New("long ago")
				}
				return nil
			}}
		go w.run(ctx)
		w.look()
		time.Sleep(time.Second)
		w.look()
		synctest.Wait()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := number.Load(); n < 2 || w.ready.waits(stats.PartStore) {
			t.Errorf("%d looks; waits: %v", n, w.ready.waits(stats.PartStore))
		}
	})
}

// TestAcknowledgementsStop: a node whose server acknowledges nothing is not ready
// within seconds, looks for another server after a bounded time, at a bounded rate,
// and is ready with the next acknowledgement.
func TestAcknowledgementsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		var silent, away atomic.Bool
		var moves []time.Duration
		w := &acksWatch{ready: quiet(), connected: func() bool { return !away.Load() },
			pulse: func(ctx context.Context) error {
				if silent.Load() {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			},
			move: func() bool {
				moves = append(moves, time.Since(began))
				return true
			}}
		go w.run(ctx)
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.ready.waits(stats.PartAcks) || len(moves) > 0 {
			t.Fatalf("moves at %v although all is acknowledged", moves)
		}
		from := time.Since(began)
		silent.Store(true)
		for !w.ready.waits(stats.PartAcks) {
			time.Sleep(10 * time.Millisecond)
		}
		if late := time.Since(began) - from; late > pulseEvery+pulseLate+time.Second {
			t.Errorf("not ready after %v", late)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(moves) < 5 || len(moves) > 14 {
			t.Errorf("moves at %v", moves)
		}
		if first := moves[0] - from; first < pulseMove-pulseEvery || first > pulseMove+2*(pulseEvery+pulseLate) {
			t.Errorf("moved first after %v", first)
		}
		for i := 1; i < len(moves); i++ {
			if moves[i]-moves[i-1] < moveAtLeast {
				t.Errorf("moves at %v", moves)
			}
		}
		silent.Store(false)
		time.Sleep(pulseEvery + pulseLate)
		synctest.Wait()
		if w.ready.waits(stats.PartAcks) {
			t.Error("not ready although all is acknowledged")
		}
		// Without a connection there is nothing to acknowledge.
		silent.Store(true)
		away.Store(true)
		before := len(moves)
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.ready.waits(stats.PartAcks) || len(moves) > before {
			t.Error("without a connection it waits for acknowledgements")
		}
	})
}

// noInfo is what a server says of itself.
var noInfo nats.ServerInfo

// servers are those of nats.go's list.
func servers(hosts ...string) (list []nats.Server) {
	for _, host := range hosts {
		list = append(list, nats.Server{URL: &url.URL{Scheme: "nats", Host: host}})
	}
	return list
}

// TestMoveOnlyOnce: the server that a node moves to is chosen for one reconnect, and
// only if nats.go knows it.
func TestMoveOnlyOnce(t *testing.T) {
	var m moves
	if s, _ := m.choose(servers("a:1", "b:1"), noInfo); s != nil {
		t.Errorf("%v was chosen without a wish", s.URL)
	}
	host := "b:1"
	m.to.Store(&host)
	if s, _ := m.choose(servers("a:1", "b:1"), noInfo); s == nil || s.URL.Host != host {
		t.Errorf("%v was chosen, not %s", s, host)
	}
	if s, _ := m.choose(servers("a:1", "b:1"), noInfo); s != nil {
		t.Errorf("%v was chosen once more", s.URL)
	}
	host = "c:1"
	m.to.Store(&host)
	if s, _ := m.choose(servers("a:1"), noInfo); s != nil || !strings.HasPrefix(host, "c") {
		t.Errorf("%v was chosen for one that is not there", s)
	}
}
