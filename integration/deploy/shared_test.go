package deploy

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// TestSharedAccountHarms: what accounts are for. The server's answers go wherever a
// question names, with its own rights, as far as the account reaches: in one account with
// the edges a service has it overwrite a session's entry, and nobody gets that session
// back: its client is told that it has expired. From an account of its own it does not reach that.
func TestSharedAccountHarms(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, shared bool) {
		r := startRights(t, shared, "evil")
		node := r.node(t, "a")
		evil := r.evil(t, "evil")
		hydrant(t, r.env(t, scheme.UserSetup), "setup", "-queues", "evil")
		victim := dial(t, node)
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		victim.Drop()
		sid := scheme.SID(victim.ID)
		overwrite := func() error {
			text := []byte(`{"to":"evil:/","frm":"evil:/","mid":"forged","bdy":"forged"}`)
			if err := evil.PublishMsg(&nats.Msg{Subject: scheme.WorkSubject("evil"), Reply: scheme.SessionKey(sid), Data: text}); err != nil {
				return err
			}
			return evil.FlushWithContext(ctx)
		}
		resumed := func() bool {
			c := dial(t, node)
			defer c.Drop()
			answer, err := c.Resume(ctx, "reconnect", harness.Object{"id": victim.ID, "token": victim.Token})
			if err != nil {
				t.Error(err)
			} else if answer.At("bdy", "resumed") != true && answer.At("bdy", "why") != "expired" {
				t.Errorf("got %s", answer.Raw)
			}
			return err == nil && answer.At("bdy", "resumed") == true
		}
		if err := overwrite(); err != nil {
			t.Fatal(err)
		}
		if !shared {
			if !resumed() {
				t.Error("the session is gone")
			}
			return
		}
		if err := harness.Until(ctx, func() error {
			if resumed() { // the node may have parked it behind that
				return errors.Join(errors.New("the session is there still"), overwrite())
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}
