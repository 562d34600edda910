package egress

import (
	"slices"
	"testing"

	"hydrant/edge/internal/stats"
)

// TestRelink: what is performed after a change of connections goes over the new one.
// Sessions that are listened for are asked for once more, whether or not they were on
// the new one already, and what ends on a connection that is gone needs no word.
func TestRelink(t *testing.T) {
	inBox(t, func(b *box) {
		var next fakeNATS
		var old, fresh Subscription
		b.give(Op{Kind: stats.OpSubscribe, Subject: "old", Subscription: &old})
		b.Relink(NATS{&next, &next, &next})
		b.give(Op{Kind: stats.OpPublish, Subject: "a"}, Op{Kind: stats.OpSubscribe, Subject: "fresh", Subscription: &fresh})
		b.give(Op{Kind: stats.OpSubscribe, Subject: "old", Subscription: &old}, Op{Kind: stats.OpSubscribe, Subject: "fresh", Subscription: &fresh})
		if got := b.nats.heard(); !slices.Equal(got, []string{"subscribe old"}) {
			t.Errorf("the one before heard %q", got)
		}
		if got := next.heard(); !slices.Equal(got, []string{"publish a  ", "subscribe fresh", "subscribe old"}) {
			t.Errorf("the next one heard %q", got)
		}
		if on := b.Outbox.nats.Load(); old.on != on || fresh.on != on {
			t.Error("a subscription is on another connection")
		}
		var third fakeNATS
		b.Relink(NATS{&third, &third, &third})
		b.give(Op{Kind: stats.OpUnsubscribe, Subject: "old", Subscription: &old})
		if n := b.failures(stats.OpUnsubscribe); n != 0 {
			t.Errorf("%v ends on a connection that is gone have failed", n)
		}
		if old.sub != nil {
			t.Error("the subscription is still there")
		}
	})
}
