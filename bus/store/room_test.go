package store

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// limits are the bounds of all streams.
func limits(t *testing.T, s *Store) map[string]int64 {
	t.Helper()
	found := make(map[string]int64)
	for _, c := range s.cfg.configs() {
		st, err := s.js.Stream(natstest.Context(t), c.Name)
		if err != nil {
			t.Fatal(err)
		}
		found[c.Name] = st.CachedInfo().Config.MaxBytes
	}
	return found
}

// TestEveryStreamIsBounded: with settings or without, and those of a store that is there
// stay where none are set.
func TestEveryStreamIsBounded(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	open := func(c Config) map[string]int64 {
		c.Streams = 2
		s, err := Open(natstest.Context(t), nc, c)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return limits(t, s)
	}
	for _, c := range []struct {
		name string
		cfg  Config
		all  int64
	}{{"by itself", Config{Room: 1 << 30}, 1 << 30}, {"another room", Config{Room: 2 << 30}, 1 << 30}, {"set", Config{Bytes: 500 << 20}, 500 << 20}, {"no more", Config{}, 500 << 20}} {
		got := open(c.cfg)
		for stream, share := range map[string]int64{scheme.OutStream(0): 35, scheme.OutStream(1): 35, scheme.WorkStream: 15, scheme.SessionStream: 10, scheme.ExpiryStream: 5} {
			if want := c.all / 100 * share; got[stream] < want-2 || got[stream] > want+2 {
				t.Errorf("%s: %s has %d bytes, want %d", c.name, stream, got[stream], want)
			}
		}
	}
	// One that was made without a bound is given one, unless that would cost messages.
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(natstest.Context(t), scheme.WorkStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.MaxBytes = -1
	if _, err := js.UpdateStream(natstest.Context(t), cfg); err != nil {
		t.Fatal(err)
	}
	if err := RegisterQueues(natstest.Context(t), nc, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(natstest.Context(t), scheme.PrefixWork+"a", make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	if got := open(Config{Room: 1 << 20})[scheme.WorkStream]; got != -1 {
		t.Errorf("%d bytes for 100,000", got)
	}
	if got := open(Config{Room: 1 << 30})[scheme.WorkStream]; got < 100<<20 {
		t.Errorf("%d bytes", got)
	}
}

// TestRoomThatIsNotThere: a store that bounds itself makes do with less, and one that
// was told is told the setting.
func TestRoomThatIsNotThere(t *testing.T) {
	small := func() *nats.Conn {
		return connect(t, natstest.StartServer(t, server.Options{JetStream: true, JetStreamMaxStore: 600 << 20}).ClientURL())
	}
	_, err := Open(natstest.Context(t), small(), Config{Streams: 2, Bytes: 4 << 30})
	var contract *ContractError
	if !errors.As(err, &contract) || !strings.Contains(err.Error(), "EDGE_STORE_BYTES") {
		t.Fatal(err)
	}
	s, err := Open(natstest.Context(t), small(), Config{Streams: 2, Room: 4 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var sum int64
	for stream, n := range limits(t, s) {
		if n <= 0 {
			t.Errorf("%s has no bound", stream)
		}
		sum += n
	}
	if sum > 600<<20 {
		t.Errorf("%d bytes are reserved", sum)
	}
}

// TestRoomForSeveral: nodes that make a store at once, none of which has made all of it,
// make do with less.
func TestRoomForSeveral(t *testing.T) {
	url := natstest.StartServer(t, server.Options{JetStream: true, JetStreamMaxStore: 600 << 20}).ClientURL()
	cfg := Config{Streams: 2, Room: 4 << 30}
	// What another node has made so far, of all that there is.
	other := cfg
	if err := other.defaults(); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range other.configs() {
		if c.Name != scheme.OutStream(0) && c.Name != scheme.SessionStream {
			continue
		}
		c.MaxBytes = 300 << 20
		if _, err := js.CreateStream(natstest.Context(t), c); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for range 3 {
		nc := connect(t, url)
		all.Go(func() {
			s, err := Open(natstest.Context(t), nc, cfg)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for stream, n := range limits(t, s) {
				if n <= 0 {
					t.Errorf("%s has no bound", stream)
				}
			}
		})
	}
	all.Wait()
}

// TestFullWorkRefuses: a work stream at its bytes takes nothing, and says so; what it has
// taken stays.
func TestFullWorkRefuses(t *testing.T) {
	s := newStore(t, Config{Streams: 1, Bytes: 2 << 20})
	if err := RegisterQueues(natstest.Context(t), s.nc, "a"); err != nil {
		t.Fatal(err)
	}
	stored, noise := 0, make([]byte, 4<<10)
	_, err := rand.Read(noise) // which does not compress
	for err == nil && stored < 1000 {
		if _, err = s.EnqueueWork(natstest.Context(t), "a", Outgoing{Payload: noise}); err == nil {
			stored++
		}
	}
	if !errors.Is(err, ErrOverload) || !errors.Is(err, ErrRefused) {
		t.Fatalf("%d are stored: %v", stored, err)
	}
	st, err := s.js.Stream(natstest.Context(t), scheme.WorkStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := st.CachedInfo().State.Msgs; int(n) != stored {
		t.Errorf("%d of %d are there", n, stored)
	}
	mailboxes, work, err := s.Usage(natstest.Context(t))
	if err != nil || work.Share() < 0.9 || work.Reach > work.Age || mailboxes.Share() > 0.1 || mailboxes.Reach != mailboxes.Age {
		t.Errorf("%+v %+v %v", mailboxes, work, err)
	}
}

// TestDirectoryUsage: sessions are counted in bytes, against the directory's part.
func TestDirectoryUsage(t *testing.T) {
	s := newStore(t, Config{Streams: 1, Bytes: 10 << 20})
	before, err := s.Directory().Usage(natstest.Context(t))
	if err != nil || before.Limit < 1<<20-200 || before.Limit > 1<<20 {
		t.Fatalf("%+v, %v", before, err)
	}
	for range 100 {
		if _, err := s.Directory().Create(natstest.Context(t), scheme.NewSID(), testEntry()); err != nil {
			t.Fatal(err)
		}
	}
	after, err := s.Directory().Usage(natstest.Context(t))
	if err != nil || after.Bytes <= before.Bytes || after.Share() <= before.Share() {
		t.Errorf("%+v, %v", after, err)
	}
}
