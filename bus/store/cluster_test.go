package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestCluster: with three replicas, reads right after an acknowledgement meet
// replicas that lag and leaders that change all the time; what was acknowledged
// is read, once and in order, from every server.
func TestCluster(t *testing.T) {
	t.Parallel() // it waits for elections
	servers := natstest.StartCluster(t)
	cfg := Config{Streams: 1, Replicas: 3, Memory: true}
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	defer cancel()
	stores := make([]*Store, len(servers))
	for i, ns := range servers {
		stores[i] = openReplicated(ctx, t, connect(t, ns.URL()), cfg)
	}
	elected := make(chan int, 100)
	stop, err := stores[0].WatchLeaders(func(partition int) { elected <- partition })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	t.Run("directory", func(t *testing.T) { clusterDirectory(ctx, t, stores) })
	t.Run("reads", func(t *testing.T) { clusterReads(ctx, t, stores, 200, 0) })
	t.Run("leader changes", func(t *testing.T) { clusterReads(ctx, t, stores, 45, 20) })
	select {
	case p := <-elected:
		if p != 0 {
			t.Errorf("partition %d", p)
		}
	case <-ctx.Done():
		t.Error("no leader was elected")
	}
}

// clusterDirectory: a session that was just made is found from every server, though
// some of them lag.
func clusterDirectory(ctx context.Context, t *testing.T, stores []*Store) {
	for i := range 20 {
		sid := scheme.NewSID()
		rev, err := stores[i%3].Directory().Create(ctx, sid, testEntry())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stores {
			if _, got, err := s.Directory().Sure(ctx, sid); err != nil || got != rev {
				t.Fatalf("session %d: %d, %v", i, got, err)
			}
		}
	}
}

// clusterReads publishes n messages through one server and reads after each
// one through another; every stepDown-th time the stream's leader steps down.
func clusterReads(ctx context.Context, t *testing.T, stores []*Store, n, stepDown int) {
	sid := scheme.NewSID()
	w := stores[0]
	next := make([]uint64, len(stores)) // where each goes on
	got := make([]int, len(stores))     // how many it has
	anchor := make([]uint64, len(stores))
	for i := range next {
		next[i] = 1
	}
	stale := 0
	for i := range n {
		if stepDown > 0 && i%stepDown == stepDown/2 {
			err := jet.Ask(ctx, w.nc, scheme.APIPrefix+"STREAM.LEADER.STEPDOWN.UMF_OUT_0", nil, new(jet.Answer))
			if err != nil && !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
		}
		last, err := w.Publish(ctx, sid, Outgoing{Payload: fmt.Append(nil, i), Mid: fmt.Sprint("m", i)})
		if err != nil {
			t.Fatal(err)
		}
		r := i % len(stores)
		for next[r] <= last {
			b, err := stores[r].Read(ctx, sid, next[r], anchor[r], 100, 0)
			if err != nil {
				t.Fatal(err)
			}
			if anchor[r] != 0 && b.Anchor != AnchorPresent {
				t.Fatalf("anchor %v after message %d", b.Anchor, i)
			}
			if len(b.Msgs) == 0 {
				if b.Next == 0 {
					t.Fatalf("the leader says that %d is not there", last)
				}
				stale++
				continue
			}
			for _, m := range b.Msgs {
				if string(m.Payload) != fmt.Sprint(got[r]) {
					t.Fatalf("reader %d got %q, want %d", r, m.Payload, got[r])
				}
				got[r]++
				anchor[r] = m.Seq
			}
			next[r] = b.Next
		}
	}
	t.Logf("%d messages, %d reads of a replica that lagged", n, stale)
}

// TestClusterServerLost: without the server that it was connected to a client
// goes on with another; without a majority nothing is reported as stored.
func TestClusterServerLost(t *testing.T) {
	t.Parallel()
	servers := natstest.StartCluster(t)
	cfg := Config{Streams: 1, Replicas: 3, Memory: true}
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	defer cancel()
	nc := connect(t, servers[0].URL()+","+servers[1].URL()+","+servers[2].URL(), nats.DontRandomize())
	s := openReplicated(ctx, t, nc, cfg)
	sid := scheme.NewSID()
	pub := func(ctx context.Context, i int) error {
		_, err := s.Publish(ctx, sid, Outgoing{Payload: fmt.Append(nil, i), Mid: fmt.Sprint(i)})
		return err
	}
	if err := pub(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := servers[0].Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pub(ctx, 1); err != nil { // repeated until there is a leader
		t.Fatal(err)
	}
	b, err := s.Read(ctx, sid, 1, 0, 10, 0)
	for err == nil && len(b.Msgs) < 2 {
		b, err = s.Read(ctx, sid, 1, 0, 10, 0)
	}
	if err != nil || texts(b) != "0 1" {
		t.Fatal(texts(b), err)
	}
	if err := servers[1].Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := pub(short, 2); !errors.Is(err, ErrUnconfirmed) && !errors.Is(err, ErrUnavailable) {
		t.Error("stored without a majority:", err)
	}
}
