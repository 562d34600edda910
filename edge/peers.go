package edge

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
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
	key := claimKey{sid, fence}
	if r, ok := n.claims.release(key); ok {
		return r, true
	}
	answers := make(chan released, 1)
	n.release(key, func(_ *worker, r released) { answers <- r })
	timeout := time.NewTimer(releaseTimeout)
	defer timeout.Stop()
	select {
	case r := <-answers:
		return r, r.Found
	case <-timeout.C:
		return released{}, false
	}
}

// release has all loops let go of a session. answer is called once, on the loop
// that had it, or on the last one that has it not.
func (n *Node) release(key claimKey, answer func(*worker, released)) {
	left := new(atomic.Int32)
	left.Store(int32(len(n.workers)))
	for _, w := range n.workers {
		w.post(func() {
			w.release(key, func(r released) {
				if r.Found || left.Add(-1) == 0 {
					answer(w, r)
				}
			})
		})
	}
}

// release lets go of a session, if this loop has it.
func (w *worker) release(key claimKey, answer func(released)) {
	a := w.attachments[key.sid]
	if a != nil && a.fence == key.fence {
		a.release(answer)
		return
	}
	answer(w.given.get(key))
}

// order handles what another node asks for in its place among the live copies:
// what was stored after the session has gone elsewhere comes behind the request
// for it, and must not be written any more. The answer is the business of
// orders, which takes its time.
func (w *worker) order(msg *nats.Msg) {
	var o order
	if json.Unmarshal(msg.Data, &o) == nil && o.Do == "release" {
		w.release(claimKey{o.SID, o.Fence}, func(released) {})
	}
}

// orders serves umf.v1.node.<this node>. It runs on a NATS goroutine that has
// nothing else to do, and not on the pool: two nodes whose pools are full of
// resumes would wait for each other.
func (n *Node) orders(msg micro.Request) {
	var o order
	if json.Unmarshal(msg.Data(), &o) != nil {
		n.m.Dropped.Inc(stats.DropBadOrder)
		return
	}
	switch o.Do {
	case "release":
		key, reply := claimKey{o.SID, o.Fence}, msg.Reply()
		if r, ok := n.claims.release(key); ok {
			n.respond(msg, r)
			return
		}
		n.release(key, func(w *worker, r released) {
			text, err := json.Marshal(r)
			if err != nil {
				panic(err) // of two numbers and a bool
			}
			w.out.push(op{kind: stats.OpPublish, subject: reply, data: text})
		})
	case "kick":
		n.kick(o.SID)
		n.respond(msg, released{})
	default:
		n.m.Dropped.Inc(stats.DropBadOrder)
	}
}

func (n *Node) respond(msg micro.Request, r released) {
	if err := msg.RespondJSON(r); err != nil {
		n.log.Debug("order not answered", "error", err)
	}
}

// Bounds of what a loop remembers of the sessions that it has given away.
const (
	givenFor = 5 * time.Second // much longer than anybody waits for an answer
	givenMax = 4096
)

// givenAway is what a loop answered when sessions were asked for. Each request
// comes to it on two ways, and its answer may be lost. Owned by the loop.
type givenAway struct {
	full    func() // called for each answer that goes for a new one
	answers map[claimKey]released
	order   []givenAt // oldest first
}

type givenAt struct {
	key claimKey
	at  time.Time
}

func newGivenAway(full func()) givenAway {
	return givenAway{full: full, answers: make(map[claimKey]released)}
}

func (g *givenAway) put(key claimKey, r released, now time.Time) {
	for len(g.order) > 0 && (len(g.order) >= givenMax || now.Sub(g.order[0].at) > givenFor) {
		if now.Sub(g.order[0].at) <= givenFor {
			g.full()
		}
		delete(g.answers, g.order[0].key)
		g.order = g.order[1:]
	}
	if _, known := g.answers[key]; !known {
		g.order = append(g.order, givenAt{key, now})
	}
	g.answers[key] = r
}

func (g *givenAway) get(key claimKey) released { return g.answers[key] }

// kick closes a session's socket for good.
func (n *Node) kick(sid string) {
	for _, w := range n.workers {
		w.post(func() {
			if a := w.attachments[sid]; a != nil && a.client != nil {
				a.client.close(protocol.CloseKicked, "closed by an administrator")
			}
		})
	}
}
