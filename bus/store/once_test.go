package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestOnce: of all nodes that note the same at the same time one is the first; what is
// noted is no session, and is forgotten when its time is over.
func TestOnce(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	ctx := natstest.Context(t)
	var nodes []*Directory
	for range 2 {
		s, err := Open(ctx, connect(t, server.URL()), Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		nodes = append(nodes, s.Directory())
	}
	results := make(chan error)
	for i := range 8 {
		if d := nodes[i%2]; i < 4 {
			go func() { results <- d.Once(ctx, "a-name_1", time.Minute) }()
		} else if err := d.OnceAsync("a-name_1", time.Minute, func(err error) { results <- err }); err != nil {
			t.Fatal(err)
		}
	}
	first := 0
	for range 8 {
		switch err := <-results; {
		case err == nil:
			first++
		case !errors.Is(err, ErrSeen) && !errors.Is(err, ErrBusy):
			t.Error(err)
		}
	}
	if first != 1 {
		t.Errorf("%d are the first", first)
	}
	if err := nodes[1].Once(ctx, "a-name_1", time.Minute); !errors.Is(err, ErrSeen) {
		t.Errorf("once more: %v", err)
	}
	if err := nodes[0].List(ctx, func(sid scheme.SID, _ scheme.Entry) bool { t.Errorf("session %s", sid); return true }); err != nil {
		t.Error(err)
	}
	if err := nodes[0].Once(ctx, "short", time.Second); err != nil {
		t.Error(err)
	}
	natstest.WaitFor(t, func() bool { return nodes[1].Once(ctx, "short", time.Second) == nil })
}

// BenchmarkOnce is what a signed message costs NATS and its sender more with a window:
// one key after the other, as of one client, and those of 64 clients at a time.
func BenchmarkOnce(b *testing.B) {
	d := benchStore(b).Directory()
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			var group sync.WaitGroup
			names := make(chan string, clients)
			for range clients {
				group.Go(func() {
					for name := range names {
						if err := d.Once(context.Background(), name, time.Minute); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				names <- string(scheme.NewSID())
			}
			close(names)
			group.Wait()
		})
	}
}
