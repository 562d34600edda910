package store

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestPublishRepeated: a repetition is stored once; the same mid of another
// sender, or for another session, is another message.
func TestPublishRepeated(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	pub := func(sid scheme.SID, sender, mid string) uint64 {
		t.Helper()
		seq, err := s.Publish(ctx, sid, Outgoing{Payload: []byte("x"), Mid: mid, Sender: sender})
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	for _, mid := range []string{"m", "with space", "line\r\nbreak", strings.Repeat("long", 1000), "a:b", "é"} {
		first := pub(sid, "a", mid)
		if again := pub(sid, "a", mid); again != first {
			t.Errorf("mid %.20q: stored as %d and %d", mid, first, again)
		}
		if pub(sid, "b", mid) == first || pub(other(sid), "a", mid) == first {
			t.Errorf("mid %.20q of another sender or for another session was suppressed", mid)
		}
	}
	if first := pub(sid, "", ""); pub(sid, "", "") == first {
		t.Error("without a mid nothing is a repetition")
	}
}

// TestHeadersCannotBeSmuggled: a mid or an identity that holds line breaks adds no
// header.
func TestHeadersCannotBeSmuggled(t *testing.T) {
	s := newStore(t, Config{})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	evil := "x\r\n" + scheme.HeaderMark + ": 1\r\n\r\npayload"
	out := Outgoing{Payload: []byte("x"), Mid: evil, Header: nats.Header{scheme.HeaderIdentity: {evil}}}
	if _, err := s.Publish(ctx, sid, out); err != nil {
		t.Fatal(err)
	}
	b, err := s.Read(ctx, sid, 1, 0, 10, 0)
	if err != nil || len(b.Msgs) != 1 || b.Msgs[0].Mark || string(b.Msgs[0].Payload) != "x" {
		t.Fatalf("%+v, %v", b, err)
	}
	if len(out.Header) != 1 {
		t.Error("the caller's header was changed")
	}
}

func TestPublishRefused(t *testing.T) {
	s := newStore(t, Config{})
	ctx := natstest.Context(t)
	never := func(uint64, error) { t.Error("done was called") }
	big := make([]byte, 2<<20)
	if _, err := s.Publish(ctx, scheme.NewSID(), Outgoing{Payload: big, Mid: "m"}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if err := s.PublishAsync(scheme.NewSID(), Outgoing{Payload: big}, never); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	// The connection stays.
	if _, err := s.Publish(ctx, scheme.NewSID(), Outgoing{}); err != nil {
		t.Error(err)
	}
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// TestPublishWithoutStream: nobody takes the subject, and the sender is told
// at once.
func TestPublishWithoutStream(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	ctx := natstest.Context(t)
	if err := s.js.DeleteStream(ctx, "UMF_OUT_0"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(ctx, scheme.NewSID(), Outgoing{}); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	result := make(chan error, 1)
	if err := s.PublishAsync(scheme.NewSID(), Outgoing{}, func(_ uint64, err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	err := patiently(func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		_, err := s.Publish(ctx, scheme.NewSID(), Outgoing{Mid: "m"})
		return err
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Error("with a mid, repeated until the context ended:", err)
	}
}

// TestPublishAsync: every publish is completed once, in order, and the window
// refuses instead of waiting.
func TestPublishAsync(t *testing.T) {
	const window = 8
	s := newStore(t, Config{Window: window})
	sid := scheme.NewSID()
	var mu sync.Mutex
	var seqs []uint64
	var wg sync.WaitGroup
	stored, refused := 0, 0
	for stored < 500 {
		wg.Add(1)
		err := s.PublishAsync(sid, Outgoing{Payload: []byte("x")}, func(seq uint64, err error) {
			defer wg.Done()
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seqs = append(seqs, seq)
		})
		switch {
		case err == nil:
			stored++
		case errors.Is(err, ErrOverload):
			wg.Done()
			refused++
			if n := s.InFlight(); n > window {
				t.Fatalf("%d in flight", n)
			}
		default:
			t.Fatal(err)
		}
	}
	wg.Wait()
	if refused == 0 || len(seqs) != stored {
		t.Errorf("%d completed, %d refused", len(seqs), refused)
	}
	for i := 1; i < len(seqs); i++ {
		if seqs[i] <= seqs[i-1] {
			t.Fatalf("%d after %d", seqs[i], seqs[i-1])
		}
	}
}

// TestPublishFrozen: when the server has stopped reading, calls return, each
// accepted publish is completed once, and nothing grows without bound.
func TestPublishFrozen(t *testing.T) {
	ns := natstest.Start(t)
	p := natstest.NewProxy(t, ns.URL())
	var nc *nats.Conn
	natstest.WaitFor(t, func() (connected bool) { // in so short a time, which is what it takes to come back, too
		var err error
		nc, err = bus.Connect(bus.Config{URL: p.URL()}, t.Name(), nats.FlusherTimeout(200*time.Millisecond), nats.Timeout(200*time.Millisecond))
		return err == nil
	})
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() {
		nc.Close()
		<-closed
	}()
	s := openStore(t, nc, Config{AckTimeout: time.Second, Window: 200})
	p.Frozen.Store(true)
	var calls, completed, accepted atomic.Int64
	var wg sync.WaitGroup
	payload := make([]byte, 64<<10)
	// More than socket buffers and the reconnect buffer hold together.
	for range 400 {
		calls.Add(1)
		wg.Add(1)
		err := s.PublishAsync(scheme.NewSID(), Outgoing{Payload: payload}, func(_ uint64, err error) {
			defer wg.Done()
			completed.Add(1)
			if !errors.Is(err, ErrUnconfirmed) {
				t.Error(err)
			}
		})
		if err == nil {
			accepted.Add(1)
			continue
		}
		wg.Done()
		if !errors.Is(err, ErrOverload) && !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	}
	wg.Wait()
	if completed.Load() != accepted.Load() || s.InFlight() != 0 {
		t.Errorf("%d of %d completed, %d in flight", completed.Load(), accepted.Load(), s.InFlight())
	}
	if err := s.PublishMarker(scheme.NewSID(), Marker{ID: 1}); err != nil && !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Publish(ctx, scheme.NewSID(), Outgoing{Mid: "m"}); !errors.Is(err, ErrUnconfirmed) && !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

// TestPublishDisconnected: acknowledgements do not come on the next
// connection, so the loss of this one ends what waits for them.
func TestPublishDisconnected(t *testing.T) {
	ns, err := embedded.Start(embedded.Options{Open: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	nc := connect(t, ns.URL())
	s := openStore(t, nc, Config{AckTimeout: time.Hour})
	if _, err := nc.SubscribeSync("silent"); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	done := func(_ uint64, err error) { results <- err }
	for _, a := range []*jet.Acks{s.acks, s.directory.acks} {
		if err := a.Publish(&nats.Msg{Subject: "silent"}, done); err != nil {
			t.Fatal(err)
		}
	}
	call, err := s.replies.Open(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-results; !errors.Is(err, ErrUnconfirmed) || !errors.Is(err, nats.ErrDisconnected) {
			t.Error(err)
		}
	}
	if err := <-call.Lost; !errors.Is(err, ErrUnconfirmed) {
		t.Error(err)
	}
}

func TestStoreClosed(t *testing.T) {
	s := newStore(t, Config{AckTimeout: time.Hour})
	if _, err := s.nc.SubscribeSync("silent"); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	if err := s.acks.Publish(&nats.Msg{Subject: "silent"}, func(_ uint64, err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if err := <-result; !errors.Is(err, ErrUnconfirmed) || !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	never := func(uint64, error) { t.Error("done was called") }
	if err := s.PublishAsync(scheme.NewSID(), Outgoing{}, never); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := s.Read(natstest.Context(t), scheme.NewSID(), 1, 0, 1, 0); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestTTLWithoutEnd: a time to live that no clock reaches is a long one. Added to
// the time of the day in nanoseconds it would be in the past.
func TestTTLWithoutEnd(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	for _, ttl := range []time.Duration{math.MaxInt64, math.MaxInt64 - time.Second} {
		sid := scheme.NewSID()
		seq, err := s.Publish(natstest.Context(t), sid, Outgoing{Payload: []byte("{}"), TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.js.Stream(natstest.Context(t), scheme.OutStream(0))
		if err != nil {
			t.Fatal(err)
		}
		m, err := st.GetMsg(natstest.Context(t), seq)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get(jet.HeaderTTL); got != strconv.Itoa(int(365*24*time.Hour/time.Second)) {
			t.Errorf("%v is stored as %s s", ttl, got)
		}
	}
}

// TestAcknowledges: a refusal is an answer, and the absence of a stream is none.
func TestAcknowledges(t *testing.T) {
	url := natstest.Start(t).URL()
	nc := connect(t, url)
	sid := scheme.NewSIDIn(0, 2)
	if err := Acknowledges(natstest.Context(t), nc, sid); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a stream: %v", err)
	}
	openStore(t, nc, Config{})
	if err := Acknowledges(natstest.Context(t), nc, sid); err != nil {
		t.Error(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(natstest.Context(t), scheme.OutStream(0))
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgSize = 1
	if _, err := js.UpdateStream(natstest.Context(t), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(natstest.Context(t), scheme.MailboxSubject(sid), []byte("refused")); err == nil {
		t.Fatal("the stream refuses nothing")
	}
	if err := Acknowledges(natstest.Context(t), nc, sid); err != nil {
		t.Errorf("refused: %v", err)
	}
}
