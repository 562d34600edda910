package edge

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus"
)

// order is what one node asks of another on umf.v1.node.<node>.
type order struct {
	Do  string `json:"do"` // release, kick, drain
	SID string `json:"sid,omitempty"`
	// Fence is the attachment meant, so that a late order for a former one
	// does not end its successor.
	Fence uint64 `json:"fence,string,omitempty"`
}

// released answers a release: how far delivery got.
type released struct {
	Found bool   `json:"found"`
	Floor uint64 `json:"floor"`
	Seen  uint64 `json:"seen"`
}

// askRelease asks the owner of a live session to let go of it. No answer means
// that the owner is gone or cut off: the directory's floor has to do then.
func (n *Node) askRelease(ctx context.Context, entry bus.Entry, sid string) (released, bool) {
	if entry.Node == n.id {
		return n.releaseHere(sid, entry.Fence)
	}
	subject, err := bus.NodeSubject(entry.Node)
	if err != nil {
		return released{}, false
	}
	text, err := json.Marshal(order{Do: "release", SID: sid, Fence: entry.Fence})
	if err != nil {
		return released{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	msg, err := n.nc.RequestWithContext(ctx, subject, text)
	if err != nil {
		if !errors.Is(err, nats.ErrNoResponders) {
			n.log.Info("owner of a session does not answer; taking over", "sid", sid, "node", entry.Node, "error", err)
		}
		return released{}, false
	}
	var r released
	if json.Unmarshal(msg.Data, &r) != nil || !r.Found {
		return released{}, false
	}
	return r, true
}

// releaseHere asks the loops of this node. It blocks, so no loop may call it.
func (n *Node) releaseHere(sid string, fence uint64) (released, bool) {
	if r, ok := n.claims.release(sid, fence); ok {
		return r, true
	}
	answers := make(chan released, len(n.workers))
	asked := 0
	for _, w := range n.workers {
		if w.loop.PostWait(n.ctx, func() {
			if a := w.attachments[sid]; a != nil && a.fence == fence {
				a.release(func(r released) { answers <- r })
				return
			}
			answers <- released{}
		}) == nil {
			asked++
		}
	}
	timeout := time.NewTimer(releaseTimeout)
	defer timeout.Stop()
	for range asked {
		select {
		case r := <-answers:
			if r.Found {
				return r, true
			}
		case <-timeout.C:
			return released{}, false
		}
	}
	return released{}, false
}

// orders serves umf.v1.node.<this node>. It runs on a NATS goroutine, so the
// pool does the work; an order that finds no room is not answered, and the
// other node goes on without.
func (n *Node) orders(msg micro.Request) {
	var o order
	if json.Unmarshal(msg.Data(), &o) != nil {
		n.m.dropped.with("bad_order").Inc()
		return
	}
	n.pool.submit(func() {
		var answer released
		switch o.Do {
		case "release":
			answer, _ = n.releaseHere(o.SID, o.Fence)
		case "kick":
			n.kick(o.SID)
		default:
			n.m.dropped.with("bad_order").Inc()
			return
		}
		if err := msg.RespondJSON(answer); err != nil {
			n.log.Debug("order not answered", "error", err)
		}
	})
}

// kick closes a session's socket for good.
func (n *Node) kick(sid string) {
	for _, w := range n.workers {
		w.post(func() {
			if a := w.attachments[sid]; a != nil && a.client != nil {
				a.client.close(closeKicked, "closed by an administrator")
			}
		})
	}
}
