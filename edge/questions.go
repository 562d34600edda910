package edge

import (
	"context"
	"errors"
	"math"
	"sync"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/shard"
)

// questionLoop stands in the place of a loop's number in the subjects that answers to
// the API's questions go to. A node has fewer loops.
const questionLoop = math.MaxUint16

// questions are what the API has asked services, over HTTP. Answers go where those to
// the loops' requests go, since services have accounts of their own, from which a
// connection's inbox is not reached. Safe for concurrent use; HTTP's own bounds are those
// of how many there are.
type questions struct {
	// Immutable.
	node scheme.NodeID
	line line

	// Guarded by mu.
	mu    sync.Mutex
	last  uint64
	asked map[uint64]question
}

// question waits for its answer.
type question struct {
	reply  string
	answer chan *nats.Msg // takes one
}

func newQuestions(node scheme.NodeID) *questions {
	return &questions{node: node, line: make(line, 1), asked: make(map[uint64]question)}
}

// line has large messages wait for each other until NATS has them, each its turn. Small
// ones on the same connection, which is that of the loops where there is no other, would
// wait behind all of them, a tenth of a second behind 64 of half a mebibyte. It holds one.
type line chan struct{}

const largeMessage = 64 << 10

func (l line) publish(ctx context.Context, nc *nats.Conn, m *nats.Msg) error {
	if len(m.Data) < largeMessage {
		return nc.PublishMsg(m)
	}
	select {
	case l <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l }()
	if err := nc.PublishMsg(m); err != nil {
		return err
	}
	return nc.FlushWithContext(ctx)
}

func (q *questions) begin() (uint64, question) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	asked := question{scheme.RequestSubject(q.node, questionLoop, q.last), make(chan *nats.Msg, 1)}
	q.asked[q.last] = asked
	return q.last, asked
}

func (q *questions) end(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.asked, id)
}

// answer takes what came for a question, from who was asked: others do not know the
// subject. The first answer counts.
func (q *questions) answer(id uint64, msg *nats.Msg) {
	q.mu.Lock()
	asked, there := q.asked[id]
	q.mu.Unlock()
	if !there || asked.reply != msg.Subject {
		return
	}
	select {
	case asked.answer <- msg:
	default:
	}
}

// ask publishes a question and waits for the answer. [nats.ErrNoResponders]: nobody
// listens.
func (q *questions) ask(ctx context.Context, nc *nats.Conn, m *nats.Msg) (*nats.Msg, error) {
	id, asked := q.begin()
	defer q.end(id)
	m.Reply = asked.reply
	if err := q.line.publish(ctx, nc, m); err != nil {
		return nil, err
	}
	select {
	case got := <-asked.answer:
		if shard.NoResponders(got) {
			return nil, nats.ErrNoResponders
		}
		return got, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// deliver publishes a message, and tells whether anybody takes it. The server says at once
// that nobody listens, and what it says comes before its answer to a flush. An answer of
// the service goes nowhere.
func (q *questions) deliver(ctx context.Context, nc *nats.Conn, m *nats.Msg) error {
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	m.Reply = sub.Subject
	if err := q.line.publish(ctx, nc, m); err != nil {
		return err
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return err
	}
	if n, _, err := sub.Pending(); err != nil || n == 0 {
		return nil
	}
	if _, err := sub.NextMsgWithContext(ctx); errors.Is(err, nats.ErrNoResponders) {
		return err
	}
	return nil
}
