package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// split is a cluster with a store at the server that can be cut off, which leads
// the directory, and one at another.
func split(ctx context.Context, t *testing.T) (cluster *natstest.Split, inside, outside *Store) {
	t.Helper()
	cluster = natstest.NewSplit(t)
	open := func(i int) *Store {
		s, err := Open(ctx, connect(t, cluster.Servers[i].ClientURL()), Config{Streams: 1, Replicas: 3, Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	outside, inside = open(1), open(0)
	lead(ctx, t, outside, cluster.Servers[0])
	return cluster, inside, outside
}

// lead makes a server the directory's leader.
func lead(ctx context.Context, t *testing.T, s *Store, ns *server.Server) {
	t.Helper()
	request := map[string]any{"placement": map[string]string{"preferred": ns.Name()}}
	for !ns.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, scheme.SessionStream) {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := jet.Ask(attempt, s.nc, scheme.APIPrefix+"STREAM.LEADER.STEPDOWN."+scheme.SessionStream, request, new(jet.Answer))
		cancel()
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		if _, err := jet.LeaderState(ctx, s.nc, scheme.SessionStream); err != nil { // when there is one
			t.Fatal(err)
		}
	}
}

// TestSplit: a leader of the directory that was cut off from the others does not
// know what they have stored, and says for seconds that it is not there. Who asks
// for a proof is never told so: not while it is cut off, nor when it is back.
func TestSplit(t *testing.T) {
	t.Parallel() // it waits for elections
	ctx := natstest.Context(t)
	cluster, inside, outside := split(ctx, t)
	there, gone := scheme.NewSID(), scheme.NewSID()
	rev, err := outside.Directory().Create(ctx, gone, testEntry())
	if err != nil {
		t.Fatal(err)
	}
	cluster.Cut(t)
	if _, err := outside.Directory().Create(ctx, there, testEntry()); err != nil { // when they have a leader
		t.Fatal(err)
	}
	if err := outside.Directory().Delete(ctx, gone, rev); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second) // it may know by now that it leads nobody, and is asked until then
	defer cancel()
	_, found, err := jet.LeaderGet(short, inside.nc, scheme.SessionStream, jet.GetRequest{LastFor: scheme.SessionKey(there)})
	t.Logf("the former leader says: found %v, %v", found, err)
	short, cancel = context.WithTimeout(ctx, time.Second)
	defer cancel()
	for name, sid := range map[string]scheme.SID{"there": there, "gone": gone} {
		if _, _, err := inside.Directory().Sure(short, sid); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("%s, cut off: %v", name, err)
		}
	}
	asked := make(chan error, 2)
	go func() {
		_, _, err := inside.Directory().Sure(ctx, there)
		asked <- err
	}()
	go func() {
		_, _, err := inside.Directory().Sure(ctx, gone)
		if errors.Is(err, ErrNoSession) {
			err = nil
		} else if err == nil {
			err = errors.New("what was deleted is there")
		}
		asked <- err
	}()
	cluster.Heal()
	for range cap(asked) {
		if err := <-asked; err != nil {
			t.Error("healed:", err)
		}
	}
	if found, err := inside.Directory().Lookup(ctx, there); !found.Exists || err != nil {
		t.Error("looked up:", found, err)
	}
	probes, again := inside.Directory().Proofs()
	t.Logf("%d probes, asked again %d times", probes, again)
}
