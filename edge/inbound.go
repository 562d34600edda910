package edge

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/takeover"
)

// What comes from NATS for the node, and goes to one of its shards. All of it runs
// on goroutines that have nothing else to do.

// answers takes the answers to requests.
func (n *Node) answers(batch []*nats.Msg) {
	for _, msg := range batch {
		switch i, id, ok := scheme.ParseRequestSubject(msg.Subject); {
		case !ok:
		case i < len(n.doors):
			n.doors[i].Do(func(s *shard.Shard) { s.Answer(id, msg) })
		case i == questionLoop:
			n.nats.questions.answer(id, msg)
		}
	}
}

// undeliverable takes what arrives on the node's reply subjects. Of all of it only
// "no responders" is of interest, since the mailbox streams take the answers.
func (n *Node) undeliverable(batch []*nats.Msg) {
	for _, msg := range batch {
		if msg == passed {
			n.nats.refused.pass()
			continue
		}
		if !shard.NoResponders(msg) {
			continue
		}
		_, sid, mid, err := scheme.ParseReplySubject(msg.Subject)
		if err != nil {
			continue
		}
		service := serviceOf(msg.Header.Get("Nats-Subject"))
		n.all(func(s *shard.Shard) { s.Undelivered(sid, mid, service) })
	}
}

// serviceOf names the service that a subject is for.
func serviceOf(subject string) string {
	if service, err := scheme.ParseServiceSubject(subject); err == nil {
		return string(service)
	}
	if service, _, err := scheme.ParseInstanceSubject(subject); err == nil {
		return string(service)
	}
	return "service"
}

// handOver serves umf.v1.node.<this node>: all shards are asked for the session,
// and the one that has it answers, or the last one that has not. It must not go
// over the pool: two nodes whose pools are full of claims would wait for each
// other.
func (n *Node) handOver(reply string, data []byte) {
	request, err := takeover.ParseRequest(reply, data)
	if errors.Is(err, takeover.ErrNewerRequest) {
		n.doors[0].Do(func(s *shard.Shard) { s.Reply(reply, takeover.Unread.Append(nil)) })
		return
	}
	if err != nil {
		n.metrics.Dropped.Inc(stats.DropBadOrder)
		return
	}
	if request.IsTail() {
		n.giveTail(&request, reply)
		return
	}
	left := new(atomic.Int32)
	left.Store(int32(len(n.doors)))
	n.all(func(s *shard.Shard) {
		s.HandOver(&request, func(a takeover.Answer) {
			if a.Found || left.Add(-1) == 0 {
				s.Reply(reply, a.Append(nil))
			}
		})
	})
}

// giveTail has the loop answer that keeps what is asked for.
func (n *Node) giveTail(r *takeover.Request, reply string) {
	i, _ := n.shared.Tails.Place(r.SID) // if none has it, any may say so
	n.doors[i].Do(func(s *shard.Shard) { s.GiveTail(r, reply) })
}

// onExpiry is called on one of all nodes when a session's time is over, as far
// as parking and renewals tell: it may have been in use since.
func (n *Node) onExpiry(sid scheme.SID) {
	drop := func() { n.metrics.Dropped.Inc(stats.DropExpiry) }
	look := func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		l := n.nats.link.Load()
		_, _, err := l.directory.Sure(ctx, sid)
		switch {
		case errors.Is(err, store.ErrNoSession):
			n.metrics.Lifecycle.Inc(stats.Expired)
			err = store.PublishEvent(l.conn, scheme.Event{What: scheme.SessionExpired, Session: sid, Node: n.id})
		case err == nil:
			err = l.store.ExpireLater(sid)
		}
		if err != nil {
			drop()
			n.log.Debug("not known whether a session has expired", "sid", sid, "error", err)
		}
	}
	if !n.pool.SubmitIdle(look) && !n.pool.Submit(look) { // many at once take their time
		drop()
	}
}
