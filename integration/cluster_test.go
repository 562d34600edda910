package integration

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"hydrant/integration/harness"
)

// leader finds the server that leads the stream of a session's mailbox.
func (w *world) leader(t *testing.T, sid string) *harness.NATSServer {
	t.Helper()
	var server *harness.NATSServer
	if err := harness.Until(patient(t), func() error {
		name, err := w.leaderName(t, sid)
		if err != nil {
			return err
		}
		for _, s := range w.nats.Servers {
			if s.ServerName == name {
				server = s
				return nil
			}
		}
		return errNobody
	}); err != nil {
		t.Fatal(err)
	}
	return server
}

func (w *world) leaderName(t *testing.T, sid string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	stream, err := w.js.Stream(ctx, w.streamOf(t, sid))
	if err != nil {
		return "", err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return "", err
	}
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return "", errNobody
	}
	return info.Cluster.Leader, nil
}

// streamOf is found once, while the cluster is whole.
func (w *world) streamOf(t *testing.T, sid string) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.streams == nil {
		w.streams = make(map[string]string)
	}
	if w.streams[sid] == "" {
		name, err := w.js.StreamNameBySubject(patient(t), mailbox(sid))
		if err != nil {
			t.Fatal(err)
		}
		w.streams[sid] = name
	}
	return w.streams[sid]
}

// persistent publishes until the store acknowledges, as a careful sender does:
// the message id makes a repetition harmless.
func (w *world) persistent(t *testing.T, sid string, from, to int) {
	t.Helper()
	if err := w.persist(patient(t), sid, from, to); err != nil {
		t.Fatal(err)
	}
}

// R8: the leader of the mailbox's stream is killed under two live sessions.
// R9: the leader steps down, again and again. R10: without a quorum nothing is
// accepted, and the sender is told; afterwards everything goes on. One cluster
// for the three: it takes seconds to start.
func TestCluster(t *testing.T) {
	t.Parallel()
	w := own(t, harness.NATSOptions{Servers: 3})
	a, b := w.start(t, "a", nil), w.start(t, "b", nil)
	plain, acked := dial(t, a), dialAcked(t, b)
	clients := []*client{plain, acked}
	next := 0
	var chain []message
	exchange := func(t *testing.T, count int) {
		t.Helper()
		for _, c := range clients {
			w.persistent(t, c.ID, next, next+count)
		}
		plain.wantBodies(next, next+count)
		chain = append(chain, acked.wantBodies(next, next+count)...)
		wantChain(firstPrev(t, chain))
		if err := acked.Ack(chain[len(chain)-1].Seq()); err != nil {
			t.Fatal(err)
		}
		next += count
	}
	exchange(t, 5)
	for _, c := range clients { // DESIGN §2: 3 in a cluster, and nobody has said so
		stream, err := w.js.Stream(t.Context(), w.streamOf(t, c.ID))
		if err != nil {
			t.Fatal(err)
		}
		if replicas := stream.CachedInfo().Config.Replicas; replicas != 3 {
			t.Fatalf("the mailbox has %d replicas", replicas)
		}
	}

	t.Run("R8 leader killed", func(t *testing.T) {
		leader := w.leader(t, plain.ID)
		leader.Kill()
		exchange(t, 10)
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
		if err := w.nats.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("R9 leader steps down", func(t *testing.T) {
		for range scaled(5, 50) {
			for _, c := range clients {
				w.stepDown(t, c.ID)
			}
			exchange(t, 3)
		}
	})
	t.Run("R10 no quorum", func(t *testing.T) {
		for _, s := range w.nats.Servers[1:] {
			s.Kill()
		}
		for delivered(t, acked, plain, plain.send(object{"to": acked.Address(), "bdy": "nobody takes this"})) {
		}
		plain.fence() // the sockets stay, and work
		acked.fence()
		for _, s := range w.nats.Servers[1:] {
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.nats.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		// What a sender was told is not taken may have been stored after all: an
		// error is no promise that it was not. Then it comes in its place.
		for _, c := range clients {
			w.persistent(t, c.ID, next, next+5)
		}
		for _, c := range clients {
			for want := next; want < next+5; {
				m := c.next()
				if m.Body() == `"nobody takes this"` && c == acked {
					continue
				}
				if bodyNumber(t, m) != want {
					t.Fatalf("%s comes where %d is next", m.Raw, want)
				}
				want++
			}
		}
	})
	for _, c := range clients {
		c.quiet()
	}
}

// delivered waits until a message has reached its receiver, or its sender was
// told that it was not taken: one of the two must happen.
func delivered(t *testing.T, to, from *client, mid string) bool {
	t.Helper()
	took := false
	if err := harness.Until(patient(t), func() error {
		for _, c := range []*client{to, from} {
			for _, m := range c.Inbox() {
				switch {
				case m.Mid() == mid:
					took = true
					return nil
				case m.Rmid() == mid && m.Error() != "":
					return nil
				}
			}
		}
		return errNobody
	}); err != nil {
		t.Fatalf("message %s: %v", mid, err)
	}
	return took
}

// stepDown asks the leader of a mailbox's stream to give up.
func (w *world) stepDown(t *testing.T, sid string) {
	t.Helper()
	if err := harness.Until(patient(t), func() error {
		answer, err := w.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+w.streamOf(t, sid), nil, 2*time.Second)
		if err != nil {
			return err
		}
		var result struct {
			Success bool `json:"success"`
		}
		if err := json.Unmarshal(answer.Data, &result); err != nil {
			return err
		}
		if !result.Success && !strings.Contains(string(answer.Data), "no leader") {
			return &wrongStatus{string(answer.Data)}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
