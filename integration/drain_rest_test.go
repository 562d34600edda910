package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// TestDrainTakesTheRest: clients send without a pause while their node leaves. Whatever
// one has written before it saw the close frame reaches the service, in order.
func TestDrainTakesTheRest(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "leaves", map[string]string{"EDGE_RATE_MESSAGES": "0", "EDGE_RATE_BYTES": "0", "EDGE_DRAIN_GRACE": "0s", "EDGE_DRAIN_TIMEOUT": "1s"})
	const clients, window, before = 16, 64, 200
	var room [clients]chan struct{} // one for each message that may be on its way
	var got [clients]atomic.Int64
	for i := range room {
		room[i] = make(chan struct{}, window)
	}
	sub, err := w.Conn.Subscribe("umf.v1.svc.sink", func(m *nats.Msg) {
		var body struct{ Bdy struct{ Client, N int } }
		if err := json.Unmarshal(m.Data, &body); err != nil {
			t.Error(err)
			return
		}
		if at := &got[body.Bdy.Client]; at.Add(1) != int64(body.Bdy.N) {
			t.Errorf("client %d: message %d comes as the %d.", body.Bdy.Client, body.Bdy.N, at.Load())
		}
		<-room[body.Bdy.Client]
	})
	if err == nil {
		err = errors.Join(sub.SetPendingLimits(-1, -1), w.Conn.Flush())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	var sent [clients]int64
	var senders, begun sync.WaitGroup
	begun.Add(clients)
	left := make(chan struct{})
	for i := range clients {
		c := world.Dial(t, node)
		senders.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case room[i] <- struct{}{}:
				case <-left:
					return // what was on its way is lost
				}
				if err := c.Client.Send(fmt.Sprintf(`{"to":"sink:/","frm":"%s","mid":"%d","bdy":{"client":%d,"n":%d,"text":"%s"}}`,
					c.Address(), n, i, n, strings.Repeat("x", 100))); err != nil {
					return // it has seen the close frame
				}
				if sent[i] = n; n == before {
					begun.Done()
				}
			}
		})
	}
	begun.Wait()
	if err := node.Terminate(world.Patient(t)); err != nil {
		t.Error(err)
	}
	close(left)
	senders.Wait()
	patient := world.Patient(t)
	for i := range clients {
		if err := harness.Until(patient, func() error {
			if n := got[i].Load(); n != sent[i] {
				return fmt.Errorf("client %d has sent %d messages, the service got %d", i, sent[i], n)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}
