package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/umf"
)

// Bounds of what a service remembers of sessions.
const (
	sessionsKnown = 30 * time.Second // at most twice as long
	maxSessions   = 1 << 15          // each half of them
	nodeQuestion  = 2 * time.Second  // for a node's answer; without one nothing is concluded
)

// sessions remembers which sessions there are, and asks nodes about others. That is
// done beside storing: it delays nothing, and no message waits for another's question.
type sessions struct {
	// Immutable.
	nc   *nats.Conn
	ctx  context.Context // of questions
	asks sync.WaitGroup

	// Guarded by mu.
	mu         sync.Mutex
	closed     bool
	young, old map[scheme.SID]bool
	turned     time.Time
	asking     map[scheme.SID]*sessionQuest
}

// sessionQuest is one question on its way.
type sessionQuest struct {
	then []func(gone bool) // guarded by the mu of sessions
}

func newSessions(ctx context.Context, nc *nats.Conn) *sessions {
	return &sessions{nc: nc, ctx: ctx, young: make(map[scheme.SID]bool), turned: time.Now(), asking: make(map[scheme.SID]*sessionQuest)}
}

// saw notes that a session is there, as a node has just said.
func (s *sessions) saw(sid scheme.SID) {
	s.mu.Lock()
	s.know(sid)
	s.mu.Unlock()
}

// know is saw. Caller holds mu.
func (s *sessions) know(sid scheme.SID) {
	if now := time.Now(); now.Sub(s.turned) > sessionsKnown || len(s.young) >= maxSessions {
		if s.old = s.young; now.Sub(s.turned) > 2*sessionsKnown {
			s.old = nil
		}
		s.young, s.turned = make(map[scheme.SID]bool), now
	}
	s.young[sid] = true
}

// known reports whether a session was there not long ago. Caller holds mu.
func (s *sessions) known(sid scheme.SID) bool {
	switch age := time.Since(s.turned); {
	case age > 2*sessionsKnown:
		return false
	case age > sessionsKnown:
		return s.young[sid]
	}
	return s.young[sid] || s.old[sid]
}

// look calls then once: before it returns where the session is known, else from another
// goroutine. gone: a node says that there is no such session.
func (s *sessions) look(sid scheme.SID, then func(gone bool)) {
	s.mu.Lock()
	if s.closed || s.known(sid) {
		s.mu.Unlock()
		then(false)
		return
	}
	defer s.mu.Unlock()
	if q := s.asking[sid]; q != nil {
		q.then = append(q.then, then)
		return
	}
	q := &sessionQuest{then: []func(bool){then}}
	s.asking[sid] = q
	s.asks.Go(func() { s.ask(sid, q) })
}

// close waits for what is asked, whose context has ended, and asks no more.
func (s *sessions) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.asks.Wait()
}

func (s *sessions) ask(sid scheme.SID, q *sessionQuest) {
	ctx, cancel := context.WithTimeout(s.ctx, nodeQuestion)
	defer cancel()
	said := ""
	if m, err := s.nc.RequestWithContext(ctx, scheme.ExistsSubject(sid), nil); err == nil {
		said = string(m.Data)
	}
	s.mu.Lock()
	delete(s.asking, sid)
	if said == scheme.ExistsYes {
		s.know(sid)
	}
	s.mu.Unlock()
	for _, then := range q.then { // nobody appends to it any more
		then(said == scheme.ExistsNo)
	}
}

// pushed checks whom a push is for: a message that names a session must name this one.
func pushed(sid scheme.SID, m *umf.Message) error {
	if m == nil {
		return fmt.Errorf("%w: no message", ErrNotUMF)
	}
	if other, err := sessionOf(m.To); err == nil && other != sid {
		return fmt.Errorf("%w: the message is to another one", ErrNoSession)
	}
	return nil
}
