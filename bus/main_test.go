package bus

import (
	"errors"
	"flag"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/store"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Those that are parallel wait for time to pass, and compute little.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// connect connects to a server for one test.
func connect(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := Connect(Config{URL: url}, t.Name(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	natstest.CloseAtEnd(t, nc)
	return nc
}

// nodeStore is the store of a node, and what tests of a service need besides.
type nodeStore struct {
	*store.Store
	nc *nats.Conn
	js jetstream.JetStream
}

// newStore opens a store in memory on a server and a connection of its own.
func newStore(t testing.TB, cfg store.Config) *nodeStore {
	t.Helper()
	cfg.Memory = true
	s := &nodeStore{nc: connect(t, natstest.Start(t).URL())}
	var err error
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	if s.Store, err = store.Open(natstest.Context(t), s.nc, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
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
