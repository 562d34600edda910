package shard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

func work(service string, n int) object {
	return object{"to": "hydra-router:/queue", "fwd": service + ":/", "mid": fmt.Sprint(service, n), "bdy": n + 1}
}

// worked are the mids of what was stored in work queues.
func (s *testShard) worked() (mids []string) {
	for _, op := range s.out.performed(stats.OpWork) {
		mids = append(mids, string(op.Service)+" "+strings.Trim(op.Mid, `"`))
	}
	return mids
}

// TestWorkForNobody: work for a service that has registered no queue is refused before
// it is accepted, whatever the names are; nothing of it is stored or kept.
func TestWorkForNobody(t *testing.T) {
	l := newLab(t)
	s := l.one()
	q := &s.node.queues
	q.unknown = make(map[scheme.Service]bool)
	c := s.dial()
	const names = 50
	for i := range names {
		name := fmt.Sprint("made-up-", i)
		q.unknown[scheme.Service(name)] = false
		if m := c.call(work(name, i)); m.text("bdy", "code") != "no_queue" || m.text("bdy", "error") != "No work queue is registered for "+name || m.text("rmid") != name+fmt.Sprint(i) {
			t.Fatalf("answered with %s", m.raw)
		}
	}
	if got := s.worked(); len(got) != 0 || s.out.kept != 0 || q.asked != names {
		t.Errorf("stored %v, %d bytes are kept, %d questions", got, s.out.kept, q.asked)
	}
	c.serves()
	if n := s.node.metric(`hydrant_client_errors_total{code="no_queue"}`); n != names {
		t.Errorf("%v are counted", n)
	}
}

// TestWorkInOrder: what waits until its queue is known holds up what the client sends
// after it, and no other client.
func TestWorkInOrder(t *testing.T) {
	l := newLab(t)
	s := l.one()
	q := &s.node.queues
	q.unknown = map[scheme.Service]bool{"new": true, "none": false}
	c, other := s.dial(), s.dial()
	l.run()
	s.node.pool.hold()
	for i := range 3 {
		c.say(work("new", i))
		c.say(work("known", i))
	}
	c.say(work("none", 0))
	l.run()
	if got := s.worked(); len(got) != 0 {
		t.Errorf("stored before the answer: %v", got)
	}
	other.say(work("known", 10))
	l.run()
	for range 4 { // a question each
		s.node.pool.let()
		s.node.pool.hold()
		l.run()
	}
	want := "[known known10 new new0 known known0 new new1 known known1 new new2 known known2]"
	if got := fmt.Sprint(s.worked()); got != want {
		t.Errorf("stored %v, want %v", got, want)
	}
	if m := c.next(); m.text("bdy", "code") != "no_queue" {
		t.Errorf("answered with %s", m.raw)
	}
	c.quiet()
	if s.out.kept != 0 {
		t.Errorf("%d bytes are kept", s.out.kept)
	}
}

// TestWorkWhileQueuesAreNotKnown: what cannot be found out is told as such, and not as
// a no, and nothing is stored.
func TestWorkWhileQueuesAreNotKnown(t *testing.T) {
	l := newLab(t)
	s := l.one()
	q := &s.node.queues
	q.unknown = map[scheme.Service]bool{"new": false}
	c := s.dial()
	q.err = store.ErrUnavailable
	c.refused(protocol.CodeUnavailable, work("new", 0))
	s.node.pool.full = true
	c.refused(protocol.CodeOverload, work("new", 1))
	s.node.pool.full = false
	s.out.full = true
	c.refused(protocol.CodeOverload, work("new", 2))
	s.out.full = false
	s.node.Connected.Store(false)
	c.refused(protocol.CodeUnavailable, work("new", 3))
	if got := s.worked(); len(got) != 0 || s.out.kept != 0 {
		t.Errorf("stored %v, %d bytes are kept", got, s.out.kept)
	}
}

// TestWorkOfAClientThatLeaves: the answer comes when the client has gone.
func TestWorkOfAClientThatLeaves(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.node.queues.unknown = map[scheme.Service]bool{"new": true}
	c := s.dial()
	l.run()
	s.node.pool.hold()
	c.say(work("new", 0))
	l.run()
	c.drop()
	l.advance(time.Second)
	s.node.pool.let()
	l.advance(time.Second)
	if got := s.worked(); len(got) != 0 || s.out.kept != 0 {
		t.Errorf("stored %v, %d bytes are kept", got, s.out.kept)
	}
}
