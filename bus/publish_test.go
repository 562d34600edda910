package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/embedded"
)

// TestPublishRepeated: FAILURES R37 and R38. A repetition is stored once; the
// same mid of another sender, or for another session, is another message.
func TestPublishRepeated(t *testing.T) {
	s := newStore(t, MailboxConfig{})
	ctx, sid := testContext(t), NewSID()
	pub := func(sid, sender, mid string) uint64 {
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

// TestHeadersCannotBeSmuggled: FAILURES S4.
func TestHeadersCannotBeSmuggled(t *testing.T) {
	s := newStore(t, MailboxConfig{})
	ctx, sid := testContext(t), NewSID()
	evil := "x\r\n" + HeaderMark + ": 1\r\n\r\npayload"
	out := Outgoing{Payload: []byte("x"), Mid: evil, Header: nats.Header{HeaderIdentity: {evil}}}
	if _, err := s.Publish(ctx, sid, out); err != nil {
		t.Fatal(err)
	}
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	b, err := r.Read(ctx, 1, 0, 10, 0)
	if err != nil || len(b.Msgs) != 1 || b.Msgs[0].Mark || string(b.Msgs[0].Payload) != "x" {
		t.Fatalf("%+v, %v", b, err)
	}
	if len(out.Header) != 1 {
		t.Error("the caller's header was changed")
	}
}

func TestPublishRefused(t *testing.T) {
	s := newStore(t, MailboxConfig{})
	ctx := testContext(t)
	never := func(uint64, error) { t.Error("done was called") }
	if _, err := s.Publish(ctx, "umf.>", Outgoing{}); !errors.Is(err, ErrBadSID) {
		t.Error(err)
	}
	if err := s.PublishAsync("*", Outgoing{}, never); !errors.Is(err, ErrBadSID) {
		t.Error(err)
	}
	if err := s.PublishMarker(">", 1, true); !errors.Is(err, ErrBadSID) {
		t.Error(err)
	}
	big := make([]byte, 2<<20)
	if _, err := s.Publish(ctx, NewSID(), Outgoing{Payload: big, Mid: "m"}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if err := s.PublishAsync(NewSID(), Outgoing{Payload: big}, never); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	// The connection stays (FAILURES R40).
	if _, err := s.Publish(ctx, NewSID(), Outgoing{}); err != nil {
		t.Error(err)
	}
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// TestPublishWithoutStream: nobody takes the subject, and the sender is told
// at once.
func TestPublishWithoutStream(t *testing.T) {
	s := newStore(t, MailboxConfig{Streams: 1})
	ctx := testContext(t)
	if err := s.js.DeleteStream(ctx, "UMF_OUT_0"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(ctx, NewSID(), Outgoing{}); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	result := make(chan error, 1)
	if err := s.PublishAsync(NewSID(), Outgoing{}, func(_ uint64, err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	err := patiently(func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		_, err := s.Publish(ctx, NewSID(), Outgoing{Mid: "m"})
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
	s := newStore(t, MailboxConfig{Window: window})
	sid := NewSID()
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

// proxy stands between a client and a server and can stop forwarding without
// closing anything: a server that hangs.
type proxy struct {
	ln     net.Listener
	frozen atomic.Bool
	thaw   chan struct{} // closed by close
	conns  sync.WaitGroup
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, thaw: make(chan struct{})}
	p.conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", strings.TrimPrefix(to, "nats://"))
			if err != nil {
				_ = c.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{c, up}, {up, c}} {
				p.conns.Go(func() { p.forward(pair[0], pair[1]) })
			}
		}
	})
	t.Cleanup(func() {
		close(p.thaw)
		_ = ln.Close()
		p.conns.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.ln.Addr().String() }

func (p *proxy) forward(from, to net.Conn) {
	defer func() { _ = errors.Join(from.Close(), to.Close()) }() // the other direction may have been first
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if p.frozen.Load() {
			<-p.thaw
			return
		}
		if _, werr := to.Write(buf[:n]); werr != nil || err == io.EOF || err != nil {
			return
		}
	}
}

// TestPublishFrozen: FAILURES R11. When the server has stopped reading, calls
// return, each accepted publish is completed once, and nothing grows without
// bound.
func TestPublishFrozen(t *testing.T) {
	ns := startNATS(t)
	p := newProxy(t, ns.URL())
	var nc *nats.Conn
	waitFor(t, func() (connected bool) { // in so short a time, which is what it takes to come back, too
		var err error
		nc, err = Connect(Config{URL: p.url()}, t.Name(), nats.FlusherTimeout(200*time.Millisecond), nats.Timeout(200*time.Millisecond))
		return err == nil
	})
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() {
		nc.Close()
		<-closed
	}()
	s := openStore(t, nc, MailboxConfig{AckTimeout: time.Second, Window: 200})
	p.frozen.Store(true)
	var calls, completed, accepted atomic.Int64
	var wg sync.WaitGroup
	payload := make([]byte, 64<<10)
	// More than socket buffers and the reconnect buffer hold together.
	for range 400 {
		calls.Add(1)
		wg.Add(1)
		err := s.PublishAsync(NewSID(), Outgoing{Payload: payload}, func(_ uint64, err error) {
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
	if err := s.PublishMarker(NewSID(), 1, false); err != nil && !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Publish(ctx, NewSID(), Outgoing{Mid: "m"}); !errors.Is(err, ErrUnconfirmed) && !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

// TestPublishTimesOut: an acknowledgement that does not come ends the publish
// at AckTimeout, oldest first.
func TestPublishTimesOut(t *testing.T) {
	nc := connect(t, startNATS(t))
	a, err := newAcks(nc, 10, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	sub, err := nc.SubscribeSync("silent") // takes it, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan int, 3)
	for i := range 3 {
		err := a.publish(&nats.Msg{Subject: "silent"}, func(_ uint64, err error) {
			if !errors.Is(err, ErrUnconfirmed) {
				t.Error(err)
			}
			order <- i
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if got := <-order; got != i {
			t.Errorf("publish %d timed out when %d was due", got, i)
		}
	}
	// An answer that comes too late is nobody's.
	m, err := sub.NextMsg(5 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Respond([]byte(`{"stream":"S","seq":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := a.pending(); n != 0 {
		t.Errorf("%d pending", n)
	}
}

// TestPublishDisconnected: acknowledgements do not come on the next
// connection, so the loss of this one ends what waits for them.
func TestPublishDisconnected(t *testing.T) {
	ns, err := embedded.Start(embedded.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	nc := connect(t, ns)
	s := openStore(t, nc, MailboxConfig{AckTimeout: time.Hour})
	if _, err := nc.SubscribeSync("silent"); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	done := func(_ uint64, err error) { results <- err }
	for _, a := range []*acks{s.acks, s.directory.acks} {
		if err := a.publish(&nats.Msg{Subject: "silent"}, done); err != nil {
			t.Fatal(err)
		}
	}
	call, err := s.inbox.open("", 1)
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
	if err := <-call.lost; !errors.Is(err, ErrUnconfirmed) {
		t.Error(err)
	}
}

func TestStoreClosed(t *testing.T) {
	s := newStore(t, MailboxConfig{AckTimeout: time.Hour})
	if _, err := s.nc.SubscribeSync("silent"); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	if err := s.acks.publish(&nats.Msg{Subject: "silent"}, func(_ uint64, err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if err := <-result; !errors.Is(err, ErrUnconfirmed) || !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	never := func(uint64, error) { t.Error("done was called") }
	if err := s.PublishAsync(NewSID(), Outgoing{}, never); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := s.NewReader(NewSID(), 1).Read(testContext(t), 1, 0, 1, 0); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestParseAck(t *testing.T) {
	for _, c := range []struct {
		data string
		seq  uint64
		err  error
	}{
		{`{"stream":"UMF_OUT_1","seq":42}`, 42, nil},
		{`{"stream":"UMF_OUT_1", "seq":42,"duplicate": true}`, 42, nil},
		{`{"stream":"UMF_OUT_1","domain":"hub","seq":42}`, 42, nil},
		{`{"seq":42,"stream":"UMF_OUT_1"}`, 42, nil},
		{`{"stream":"S","seq":18446744073709551615}`, 1<<64 - 1, nil},
		{`{"stream":"S","seq": 7 }`, 7, nil},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"S","seq":0}`, 0, ErrFenced},
		{`{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"S"}`, 0, ErrFenced},
		{`{"stream":"S","seq":0,"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`, 0, ErrRefused},
		{`{"error":{"code":503,"err_code":10008,"description":"unavailable"}}`, 0, ErrUnavailable},
		{`{"error":{"code":409,"err_code":10158,"description":"in process"}}`, 0, ErrUnconfirmed},
		{`{"stream":"S","seq":`, 0, ErrUnconfirmed},
		{`pong`, 0, ErrUnconfirmed},
		{`{}`, 0, ErrUnconfirmed},
		{``, 0, ErrUnconfirmed},
	} {
		seq, err := parseAck(&nats.Msg{Data: []byte(c.data)})
		if seq != c.seq || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v", c.data, seq, err)
		}
	}
	m := &nats.Msg{Header: nats.Header{"Status": {"503"}}}
	if _, err := parseAck(m); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func TestMessageID(t *testing.T) {
	seen := make(map[string]string)
	for _, c := range [][3]string{
		{"s", "", "m"}, {"s", "a", "m"}, {"s", "", "a:m"}, {"s", "", "a m"}, {"s", "", "~m"}, {"s", "", ""},
		{"s", "", strings.Repeat("x", MaxMid)}, {"s", "", strings.Repeat("x", MaxMid+1)}, {"s", "", "\x7f"},
	} {
		id := messageID(c[0], c[1], c[2])
		if other, dup := seen[id]; dup {
			t.Errorf("%q and %q: %q", c, other, id)
		}
		seen[id] = fmt.Sprint(c)
		if len(id) > 200 || strings.ContainsAny(id, " \r\n\x7f") {
			t.Errorf("%q", id)
		}
	}
}

// TestTTLWithoutEnd: a time to live that no clock reaches is a long one. Added to
// the time of the day in nanoseconds it would be in the past.
func TestTTLWithoutEnd(t *testing.T) {
	s := newStore(t, MailboxConfig{Streams: 1})
	for _, ttl := range []time.Duration{math.MaxInt64, math.MaxInt64 - time.Second} {
		sid := NewSID()
		seq, err := s.Publish(testContext(t), sid, Outgoing{Payload: []byte("{}"), TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.js.Stream(testContext(t), outStream(0))
		if err != nil {
			t.Fatal(err)
		}
		m, err := st.GetMsg(testContext(t), seq)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get(headerTTL); got != strconv.Itoa(int(maxTTL/time.Second)) {
			t.Errorf("%v is stored as %s s", ttl, got)
		}
	}
}
