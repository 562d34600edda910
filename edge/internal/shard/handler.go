package shard

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
)

// Door is how other goroutines reach a shard.
type Door struct{ s *Shard }

// Do runs f on the shard's loop. Any goroutine may call it but the loop itself. It
// waits for room in the loop's inbox, and gives up only when the loop has stopped.
func (d Door) Do(f func(*Shard)) { d.s.post(func() { f(d.s) }) }

// Handler hands what happens on a server's connections to the shards of their
// loops. It implements [wire.Handler].
type Handler struct {
	upgrade func(*wire.Request) (wire.Accept, error)
	shards  []*Shard         // by the loop's index; immutable after Build
	boxes   []*egress.Outbox // the same
	tallies []*stats.Tally   // the same
}

// NewHandler returns a handler without shards; Build follows, before the server
// starts. upgrade is [wire.Handler]'s; the data of what it accepts is an *Arrival.
func NewHandler(upgrade func(*wire.Request) (wire.Accept, error)) *Handler {
	return &Handler{upgrade: upgrade}
}

// Build makes a shard for each loop.
func (h *Handler) Build(n *Node, loops []*wire.Loop, to egress.NATS) []Door {
	n.Logs = NewLogs(n, len(loops))
	doors := make([]Door, 0, len(loops))
	for _, l := range loops {
		tally := new(stats.Tally)
		var s *Shard
		out := egress.NewOutbox(to, egress.Options{Started: n.Started, Log: n.Log, Metrics: n.Metrics, Tally: tally,
			Relieve: func() { s.post(s.Relieve) }, Refused: n.Refused})
		s = New(n, l.Index(), loop{l}, out, tally)
		h.shards, h.boxes, h.tallies = append(h.shards, s), append(h.boxes, out), append(h.tallies, tally)
		doors = append(doors, Door{s})
	}
	return doors
}

// Subscribe makes the shards listen to the requests of other nodes, and to the answers
// to their own, in their place among the live copies.
func (h *Handler) Subscribe(nc *nats.Conn, subject string) error {
	for _, s := range h.shards {
		if _, err := nc.ChanSubscribe(subject, s.live); err != nil {
			return err
		}
		inbox := nc.NewInbox() + "."
		if _, err := nc.ChanSubscribe(inbox+"*", s.live); err != nil {
			return err
		}
		s.post(func() { s.Answers(inbox) })
	}
	return nil
}

// Relink has the outboxes of all shards use another connection. The shards find out
// by its epoch, which must not be seen before.
func (h *Handler) Relink(to egress.NATS) {
	for _, out := range h.boxes {
		out.Relink(to)
	}
}

// Run lets the shards work until ctx ends. background runs a function on a
// goroutine that the node waits for. The outboxes go on until Stop.
func (h *Handler) Run(ctx context.Context, background func(func())) {
	for i, s := range h.shards {
		background(func() { s.bridge(ctx) })
		go h.boxes[i].Run()
		s.post(s.Begin)
	}
}

// Stop lets what is queued reach NATS, and returns when it has or ctx ends.
func (h *Handler) Stop(ctx context.Context) {
	for _, out := range h.boxes {
		out.Close()
		select {
		case <-out.Done():
		case <-ctx.Done():
		}
	}
}

// Missed reports that NATS has dropped live copies. Any goroutine may call it.
func (h *Handler) Missed() {
	for _, s := range h.shards {
		s.missed.Store(true)
	}
}

// Loops are the shards' part of a scrape. Any goroutine may call it.
func (h *Handler) Loops() []stats.Loop {
	list := make([]stats.Loop, 0, len(h.shards))
	for i, out := range h.boxes {
		list = append(list, stats.Loop{Tally: h.tallies[i], Ops: out.Operations(), Bytes: out.Bytes(), Flying: out.Flying()})
	}
	return list
}

func (h *Handler) of(l *wire.Loop) *Shard { return h.shards[l.Index()] }

// Upgrade implements [wire.Handler].
func (h *Handler) Upgrade(r *wire.Request) (wire.Accept, error) { return h.upgrade(r) }

// Open implements [wire.Handler].
func (h *Handler) Open(conn *wire.Conn) {
	arrival := conn.Data().(*Arrival)
	conn.SetData(h.of(conn.Loop()).Open(socket{conn}, arrival))
}

// Message implements [wire.Handler].
func (h *Handler) Message(conn *wire.Conn, _ bool, p []byte) { conn.Data().(*Client).Message(p) }

// Pong implements [wire.Handler].
func (h *Handler) Pong(conn *wire.Conn, p []byte) { conn.Data().(*Client).Pong(p) }

// Writable implements [wire.Handler].
func (h *Handler) Writable(conn *wire.Conn) { conn.Data().(*Client).Writable() }

// Hangup implements [wire.Handler].
func (h *Handler) Hangup(conn *wire.Conn) { conn.Data().(*Client).Hangup() }

// Closed implements [wire.Handler].
func (h *Handler) Closed(conn *wire.Conn, _ wire.CloseReason) { conn.Data().(*Client).Closed() }

// Flush implements [wire.Handler].
func (h *Handler) Flush(l *wire.Loop) { h.of(l).Flush() }

// Stalled implements [wire.Handler].
func (h *Handler) Stalled(l *wire.Loop, gap time.Duration) { h.of(l).Stalled(gap) }

// loop is a [wire.Loop] as a shard sees it.
type loop struct{ *wire.Loop }

// AfterFunc implements [Loop].
func (l loop) AfterFunc(d time.Duration, f func()) Timer { return l.Loop.AfterFunc(d, f) }

// Clients implements [Loop].
func (l loop) Clients() iter.Seq[*Client] {
	return func(yield func(*Client) bool) {
		for conn := range l.Open() {
			if c, ok := conn.Data().(*Client); ok && !yield(c) {
				return
			}
		}
	}
}

// socket is a [wire.Conn] as a shard sees it.
type socket struct{ *wire.Conn }

// Send implements [Socket].
func (s socket) Send(p []byte) (queued, room bool) { return s.Conn.Send(p) }

// retrySpread bounds the hint when to come back, so that clients that were closed
// together do not return together.
const retrySpread = 2 * time.Second

// comeBack is the reason of a close that says nothing but when to come back.
const comeBack = ""

// reason is what stands beside a close code.
func (c *Client) reason(code protocol.Close, text string) string {
	after := rand.N(retrySpread)
	if text == comeBack {
		text = protocol.RetryAfter(after)
	}
	if c.second && code.Returns() {
		return protocol.Reason(text, after)
	}
	return text
}
