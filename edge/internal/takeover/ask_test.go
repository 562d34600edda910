package takeover

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/ownership"
)

// asking is a node that asks its client first.
type asking struct {
	t        *testing.T
	then     string // its answer when it knows; "": none comes
	after    time.Duration
	requests int
	fails    error // of the second request
}

func (a *asking) RequestWithContext(ctx context.Context, _ string, data []byte) (*nats.Msg, error) {
	var r Request
	if err := json.Unmarshal(data, &r); err != nil || !r.Bare || r.Wait != (a.requests > 0) {
		a.t.Errorf("request %d is %s", a.requests, data)
	}
	if a.requests++; a.requests == 1 {
		return &nats.Msg{Data: []byte(`{"found":true,"floor":0,"seen":0,"asking":true}`)}, nil
	}
	if a.fails != nil {
		return nil, a.fails
	}
	timer := time.NewTimer(a.after)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return &nats.Msg{Data: []byte(a.then)}, nil
	}
}

// TestAskAClient: a node that asks its client is waited for longer than one that says
// nothing, and once.
func TestAskAClient(t *testing.T) {
	for name, test := range map[string]struct {
		node  asking
		reply ownership.Reply
		took  time.Duration
	}{
		"it lives":             {asking{then: `{"found":true,"live":true}`, after: time.Millisecond}, ownership.Live, time.Millisecond},
		"it is silent":         {asking{then: `{"found":true,"floor":3,"seen":3}`, after: 2 * time.Second}, ownership.Given, 2 * time.Second},
		"the node is silent":   {asking{after: time.Hour}, ownership.Silence, ClientPatience},
		"the node has died":    {asking{fails: nats.ErrNoResponders}, ownership.Nobody, 0},
		"it still asks":        {asking{then: `{"found":true,"asking":true}`, after: time.Second}, ownership.Live, time.Second},
		"another one was told": {asking{then: `{"found":false}`, after: time.Second}, ownership.Stranger, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.node.t = t
				r := NewRequest(Key{testSID, 7}, 0)
				r.Bare = true
				began := time.Now()
				reply, _, _ := Ask(t.Context(), &test.node, testNode, r)
				if took := time.Since(began); reply != test.reply || took != test.took || test.node.requests != 2 {
					t.Errorf("%v after %v and %d requests", reply, took, test.node.requests)
				}
			})
		})
	}
}
