package store

import (
	"strings"
	"testing"
	"time"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestListSessions: node, state, and how many messages wait.
func TestListSessions(t *testing.T) {
	ctx := natstest.Context(t)
	server, err := embedded.Start(embedded.Options{Open: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	nc, err := bus.Connect(bus.Config{URL: server.URL()}, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := ListSessions(ctx, nc, 10); err == nil || !strings.Contains(err.Error(), "no node has run") {
		t.Errorf("before any node: %v", err)
	}
	store, err := Open(ctx, nc, Config{Streams: 2, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	node := scheme.NewNodeID()
	want := map[scheme.SID]uint64{}
	for waiting := range 3 {
		sid := scheme.NewSID()
		first, err := store.Publish(ctx, sid, Outgoing{Payload: []byte("delivered")})
		if err != nil {
			t.Fatal(err)
		}
		for range waiting {
			if _, err := store.Publish(ctx, sid, Outgoing{Payload: []byte("waits")}); err != nil {
				t.Fatal(err)
			}
		}
		entry := scheme.Entry{Node: node, State: scheme.StateParked, Position: scheme.Position{Floor: first, Seen: first}, Opened: time.Now().Unix()}
		if _, err := store.Directory().Create(ctx, sid, entry); err != nil {
			t.Fatal(err)
		}
		want[sid] = uint64(waiting)
	}
	rows, err := ListSessions(ctx, nc, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(want) {
		t.Fatalf("%d sessions, want %d", len(rows), len(want))
	}
	for _, r := range rows {
		if behind, ok := want[r.SID]; !ok || r.Behind != behind || r.Entry.Node != node || r.Entry.State != scheme.StateParked {
			t.Errorf("%+v, want behind %d", r, behind)
		}
	}
	if rows, err = ListSessions(ctx, nc, 2); err != nil || len(rows) != 2 {
		t.Errorf("limit 2 gives %d sessions, %v", len(rows), err)
	}
}
