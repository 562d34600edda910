package embedded

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// patience bounds every wait of the tests. A test that succeeds does not use it up.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, s) })
	return s
}

func shutdown(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func connect(t *testing.T, s *Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	nc, err := s.Connect(t.Name(), append(opts, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// TestMaxPayload: a message of 1 MiB fits with what is added to it.
func TestMaxPayload(t *testing.T) {
	s := start(t, Options{DataDir: t.TempDir(), Open: true})
	nc := connect(t, s)
	sub, err := nc.SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	m := &nats.Msg{Subject: "x", Header: nats.Header{"Umf-Identity": {strings.Repeat("i", 8<<10)}}, Data: make([]byte, 1<<20+4<<10)}
	if err := nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	if got, err := sub.NextMsg(patience); err != nil || len(got.Data) != len(m.Data) {
		t.Fatal(err)
	}
}

// TestLargestMaxPayload: as large as EDGE_MAX_MESSAGE may be.
func TestLargestMaxPayload(t *testing.T) {
	const most = 64<<20 + Room
	nc := connect(t, start(t, Options{DataDir: t.TempDir(), Open: true, MaxPayload: most}))
	if got := nc.MaxPayload(); got != most {
		t.Errorf("%d bytes, want %d", got, most)
	}
}

// TestRestart: what was stored is there again after a graceful shutdown.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range 3 {
		s, err := Start(Options{DataDir: dir, Open: true})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(s.URL(), nats.Timeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
			t.Fatal(err)
		}
		ack, err := js.Publish(ctx, "s", nil)
		if err != nil || ack.Sequence != uint64(i+1) {
			t.Fatal(ack, err)
		}
		nc.Close()
		shutdown(t, s)
	}
}

func TestInProcess(t *testing.T) {
	s := start(t, Options{DataDir: t.TempDir(), NoListen: true, Open: true})
	nc := connect(t, s, s.InProcess())
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if nc.ConnectedServerName() != s.NATS().Name() {
		t.Error(nc.ConnectedServerName())
	}
}

// TestStartFails: the error says why, and comes before the timeout.
func TestStartFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    Options
		says string
	}{
		"no directory":          {Options{}, "directory"},
		"address in use":        {Options{DataDir: t.TempDir(), Listen: ln.Addr().String()}, "address already in use"},
		"directory is a file":   {Options{DataDir: file}, "not a directory"},
		"address without port":  {Options{DataDir: t.TempDir(), Listen: "127.0.0.1"}, "missing port"},
		"address with bad port": {Options{DataDir: t.TempDir(), Listen: "127.0.0.1:65536"}, "bad port"},
		"cluster address":       {Options{DataDir: t.TempDir(), Cluster: &Cluster{Listen: "x"}}, "missing port"},
	} {
		s, err := Start(c.o)
		if err == nil {
			shutdown(t, s)
		}
		if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDataDirInUse: a second server keeps its hands off the first one's store,
// and may have it afterwards.
func TestDataDirInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	first, err := Start(Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Start(Options{DataDir: dir})
	if err == nil {
		shutdown(t, second)
	}
	if !errors.Is(err, ErrDataDirInUse) || !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), dir) {
		t.Errorf("the second server: %v", err)
	}
	shutdown(t, first)
	// One that could not start gives the directory back as well.
	if _, err := Start(Options{DataDir: dir, Listen: "256.0.0.1:0"}); !errors.Is(err, ErrStart) || errors.Is(err, ErrDataDirInUse) {
		t.Errorf("a server without an address: %v", err)
	}
	start(t, Options{DataDir: dir})
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestLog: at the finest level the log says what the server does, without its banner; and
// a start warns of nothing, which includes the passwords that the server was given.
func TestLog(t *testing.T) {
	var out syncBuffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := Start(Options{DataDir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	shutdown(t, s)
	if !strings.Contains(out.String(), "Server is ready") || strings.Contains(out.String(), "level=INFO") || strings.Contains(out.String(), "level=WARN") {
		t.Errorf("log:\n%s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		if _, said, _ := strings.Cut(line, " msg="); !unicode.IsLetter(rune(strings.TrimLeft(said, `"`)[0])) {
			t.Errorf("a line of a banner: %s", line)
		}
	}
}

func TestShutdownTimeout(t *testing.T) {
	s := start(t, Options{DataDir: t.TempDir(), Open: true})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
