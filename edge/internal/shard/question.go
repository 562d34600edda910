package shard

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/stats"
)

// questionsAtOnce is how many questions of a loop NATS may have at a time; for the rest
// there is the pool.
const questionsAtOnce = 128

// questions are requests of this loop whose answers come back to it, in their place
// among the live copies: nobody waits for them, and no goroutine.
type questions struct {
	inbox string // what answers' subjects begin with; "": there is no connection yet
	last  uint64
	open  map[uint64]*openQuestion
}

// openQuestion is one that is not answered yet.
type openQuestion struct {
	timer Timer
	done  func(answer *nats.Msg) // nil: the answer is too late, and NATS may still be at it
}

// Answers notes where answers come to, on the connection of now.
func (s *Shard) Answers(inbox string) { s.questions.inbox = inbox }

// inquireAt asks, and calls done once on the loop, later: with the answer, which may be
// that nobody listens ([NoResponders]), or with nil when it is too late for one. False:
// nothing can be asked now.
func (s *Shard) inquireAt(subject string, data []byte, patience time.Duration, done func(answer *nats.Msg)) bool {
	q := &s.questions
	if q.inbox == "" || s.offline || len(q.open) >= questionsAtOnce {
		return false
	}
	q.last++
	id := q.last
	asked := &openQuestion{done: done}
	asked.timer = s.loop.AfterFunc(patience, func() {
		asked.timer = s.loop.AfterFunc(s.node.Config.RequestTimeout, func() { delete(q.open, id) })
		asked.end(nil)
	})
	q.open[id] = asked
	s.out.Push(egress.Op{Kind: stats.OpPublish, Subject: subject, Reply: q.inbox + strconv.FormatUint(id, 36), Data: data})
	return true
}

// isAnswer takes a message if it is an answer.
func (s *Shard) isAnswer(msg *nats.Msg) bool {
	q := &s.questions
	if q.inbox == "" {
		return false
	}
	text, ok := strings.CutPrefix(msg.Subject, q.inbox)
	if !ok {
		return false
	}
	if id, err := strconv.ParseUint(text, 36, 64); err == nil {
		s.resolve(id, msg)
	}
	return true
}

func (s *Shard) resolve(id uint64, answer *nats.Msg) {
	asked := s.questions.open[id]
	if asked == nil {
		return // too late
	}
	delete(s.questions.open, id)
	asked.timer.Stop()
	asked.end(answer)
}

// end tells whoever asked, once.
func (o *openQuestion) end(answer *nats.Msg) {
	if done := o.done; done != nil {
		o.done = nil
		done(answer)
	}
}

// unanswered ends all questions: answers to what was asked over a connection that is
// lost do not come over the next one.
func (s *Shard) unanswered() {
	for id := range s.questions.open {
		s.resolve(id, nil)
	}
}
