package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"hydrant/bus"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Those that are parallel wait for elections and for time to pass, and compute little.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	// A NATS server that is shut down while a peer has it make a stream may leave that
	// stream's store behind.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// connect connects to a server for one test.
func connect(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(bus.Config{URL: url}, t.Name(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	natstest.CloseAtEnd(t, nc)
	return nc
}

// openStore opens a store with few streams in memory for one test.
func openStore(t testing.TB, nc *nats.Conn, cfg Config) *Store {
	t.Helper()
	if cfg.Streams == 0 {
		cfg.Streams = 2
	}
	cfg.Memory = true
	s, err := Open(natstest.Context(t), nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// openReplicated opens a store on a cluster. A server that has not spoken for a moment
// counts as offline, and no streams are placed on it until it is back.
func openReplicated(ctx context.Context, t testing.TB, nc *nats.Conn, cfg Config) *Store {
	t.Helper()
	for {
		s, err := Open(ctx, nc, cfg)
		if err == nil {
			t.Cleanup(s.Close)
			return s
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "peer offline") {
			t.Fatal(err)
		}
	}
}

// newStore is openStore on a server and a connection of its own.
func newStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	return openStore(t, connect(t, natstest.Start(t).URL()), cfg)
}

// patiently calls f with a time in which the server is to say no. One that has no
// time to answer has not said so: then f has to wait longer.
func patiently(f func(wait time.Duration) error) error {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		if err := f(wait); !errors.Is(err, ErrUnconfirmed) || wait > time.Minute {
			return err
		}
	}
}

const testNode = "00112233445566778899aabbccddeeff"

func testEntry() scheme.Entry {
	return scheme.Entry{
		Node: testNode, State: scheme.StateLive, Position: scheme.Position{Floor: 5, Seen: 7}, TokenHash: []byte{1, 2, 3}, Identity: "alice",
		Acked: true, Opened: 1700000000,
	}
}

func sameEntry(a, b scheme.Entry) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }
