package edge

import (
	"context"
	"fmt"
	"testing"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/integration/harness"
)

// TestResumeThroughSeals: room was made while many were away. They come back on another node,
// which reads what follows their seals for all of them together, but for the first few, and
// each gets what was set aside, and then what came later, once and in order.
func TestResumeThroughSeals(t *testing.T) {
	url := startNATS(t).URL()
	var nodes [2]*running
	for i := range nodes {
		n, addr := begin(t, url, func(cfg *Config) { cfg.StoreBytes, cfg.RoomWait, cfg.Linger = 16<<20, 0, 0 })
		nodes[i] = &running{Node: n, t: t, url: addr}
	}
	from, to := nodes[0], nodes[1]
	boxes := from.nats.link.Load().store
	if err := boxes.Raise(t.Context()); err != nil {
		t.Fatal(err)
	}
	const count = 40
	var away []*harness.Client
	for range count {
		c := from.dial(harness.DialOptions{Protocols: []string{"umf.v1"}})
		from.store(c, 0, 1)
		from.gets(c, 0, 1)
		from.serves(c) // and so it has confirmed that
		c.Close()
		away = append(away, c)
	}
	from.until(func() error {
		if n := from.metric(`hydrant_session_events_total{what="parked"}`); n < count {
			return fmt.Errorf("%v are parked", n)
		}
		return nil
	})
	for _, c := range away {
		from.store(c, 1, 5)
	}
	first := fillUntilPurged(t, boxes)
	for _, c := range away {
		from.store(c, 5, 7)
	}
	for _, c := range away {
		back := to.dial(harness.DialOptions{Protocols: []string{"umf.v1", "umf.resume." + c.ID + "." + c.Token + ".1"}})
		to.gets(back, 1, 7)
		to.store(c, 7, 8)
		to.gets(back, 7, 8)
	}
	if n := to.metric(`hydrant_resume_messages_total{source="pass"}`); n == 0 {
		t.Errorf("nothing came out of a pass; the stream begins at %d", first)
	}
	if n := to.metric(`hydrant_set_aside_total{what="read"}`); n < 4*count {
		t.Errorf("%v of %d copies were read", n, 4*count)
	}
}

// fillUntilPurged stores messages for others until a node has made room, and returns what the
// stream begins with then.
func fillUntilPurged(t *testing.T, boxes *store.Store) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	mail := uint64(0) // what was stored before is purged with it
	for {
		shares, err := boxes.Shares(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if first := boxes.Begins(0); mail > 0 && first > mail {
			return first
		}
		if shares.Most() > 0.8 { // room is on its way to be made
			continue
		}
		seq, err := boxes.Publish(ctx, scheme.NewSID(), store.Outgoing{Payload: make([]byte, 8<<10)})
		if err != nil {
			t.Fatal(err)
		}
		if mail == 0 {
			mail = seq
		}
	}
}
