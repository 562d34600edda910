package bus

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"hydrant/bus/embedded"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// startNATS runs a server for one test.
func startNATS(t testing.TB) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect connects to a server for one test.
func connect(t testing.TB, s *embedded.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := Connect(Config{URL: s.URL()}, t.Name(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
		nc.Close()
		<-closed
	})
	return nc
}

// openStore opens a store with few streams in memory for one test.
func openStore(t testing.TB, nc *nats.Conn, cfg MailboxConfig) *Store {
	t.Helper()
	if cfg.Streams == 0 {
		cfg.Streams = 2
	}
	cfg.Memory = true
	s, err := OpenStore(testContext(t), nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// newStore is openStore on a server and a connection of its own.
func newStore(t testing.TB, cfg MailboxConfig) *Store {
	t.Helper()
	return openStore(t, connect(t, startNATS(t)), cfg)
}

// patience bounds what a test waits for, and all that it does with one context.
// What goes well takes a small part of it.
const patience = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
