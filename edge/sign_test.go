package edge

import (
	"context"
	"errors"
	"testing"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/takeover"
	"hydrant/integration/harness"
)

// TestNobodyAndAlive: two servers of a cluster have lost each other, and say of the
// nodes behind the other one that nobody listens. A node whose signs go on is only
// silent: it may still get copies, and write. One that has died is gone.
func TestNobodyAndAlive(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	b := launch(t, c.lone.ClientURL(), nil)
	b.well()
	directory := b.nats.link.Load().directory
	asks := func(node scheme.NodeID) (ownership.Reply, error) {
		key := takeover.Key{SID: scheme.NewSID(), Holder: 7}
		reply, _, err := peers{b.Node}.Ask(t.Context(), node, takeover.NewRequest(key, 0))
		return reply, err
	}
	own := func() error {
		switch seq, _, err := directory.LastSign(t.Context(), b.id); {
		case err != nil:
			return err
		case seq == 0:
			return errors.New("the node leaves no sign")
		}
		return nil
	}
	if err := harness.Until(t.Context(), own); err != nil {
		t.Fatal(err)
	}

	far := scheme.NewNodeID()
	living, die := context.WithCancel(t.Context())
	signs := make(chan struct{})
	go func() {
		defer close(signs)
		for pause(living, takeover.SignEvery) == nil {
			if err := directory.Sign(far); err != nil {
				t.Error(err)
			}
		}
	}()
	b.until(func() error {
		if reply, _ := asks(far); reply != ownership.Silence {
			return errors.New("taken for dead: " + reply.String())
		}
		return nil
	})
	die()
	<-signs
	b.until(func() error {
		if reply, err := asks(far); reply != ownership.Nobody {
			return errors.Join(errors.New(reply.String()), err)
		}
		return nil
	})
	if reply, err := asks(scheme.NewNodeID()); reply != ownership.Nobody || err != nil {
		t.Error(reply, err)
	}
}
