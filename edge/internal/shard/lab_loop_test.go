package shard

import (
	"context"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/stats"
)

// testShard is one loop of a node, with its shard.
type testShard struct {
	*Shard
	l    *lab
	node *testNode
	out  *fakeOutbox

	asleep  bool     // the process, or this loop, does not run
	backlog []func() // meanwhile
	sockets []*fakeSocket
	deaf    bool // live copies are dropped before they come here
	pumping bool
}

func newTestShard(n *testNode, index int) *testShard {
	s := &testShard{l: n.l, node: n}
	s.out = &fakeOutbox{s: s}
	s.Shard = New(n.Node, index, fakeLoop{s}, s.out, new(stats.Tally))
	return s
}

// do runs something on the loop, as one iteration.
func (s *testShard) do(f func()) {
	switch {
	case s.node.gone:
	case s.asleep:
		s.backlog = append(s.backlog, f)
	default:
		f()
		s.Flush()
		for _, k := range s.sockets {
			k.flush()
		}
	}
}

// doze keeps the loop from running until awake.
func (s *testShard) doze() { s.asleep = true }

// awake lets the loop go on. Where it knows that it has not run it is told first.
func (s *testShard) awake(gap time.Duration) {
	s.asleep = false
	if gap > 0 {
		s.do(func() { s.Stalled(gap) })
	}
	backlog := s.backlog
	s.backlog = nil
	for _, f := range backlog {
		s.do(f)
	}
}

// copies reach the loop as they would over NATS: what has come meanwhile in one
// batch, with the connections that were lost by then.
func (s *testShard) receive(msg *nats.Msg) {
	if s.deaf || s.node.cut || s.node.gone {
		return
	}
	s.live <- msg
	if s.pumping {
		return
	}
	s.pumping = true
	s.l.after(0, s.pump)
}

func (s *testShard) pump() {
	s.pumping = false
	for {
		select {
		case msg := <-s.live:
			batch, epoch := gather(msg, s.live), s.node.Epoch()
			s.post(func() { s.copies(batch, epoch) })
		default:
			return
		}
	}
}

// fakeLoop is the loop as its shard sees it.
type fakeLoop struct{ s *testShard }

func (p fakeLoop) Now() time.Time { return p.s.l.clock() }

// PostWait implements [Loop].
func (p fakeLoop) PostWait(_ context.Context, f func()) error {
	if p.s.node.gone || p.s.l.stopped.Err() != nil {
		return context.Canceled
	}
	p.s.l.after(0, func() { p.s.do(f) })
	return nil
}

// AfterFunc implements [Loop].
func (p fakeLoop) AfterFunc(d time.Duration, f func()) Timer {
	t := &fakeTimer{}
	t.e = p.s.l.after(d, func() {
		p.s.do(func() {
			if !t.over {
				t.over = true
				f()
			}
		})
	})
	return t
}

// Clients implements [Loop].
func (p fakeLoop) Clients() iter.Seq[*Client] {
	return func(yield func(*Client) bool) {
		for _, k := range p.s.sockets {
			if k.state == socketOpen && k.c != nil && !yield(k.c) {
				return
			}
		}
	}
}

// fakeTimer may have fired, and wait for a loop that is asleep.
type fakeTimer struct {
	e    *happening
	over bool
}

func (t *fakeTimer) Stop() bool {
	waited := !t.over
	t.over = true
	t.e.stop()
	return waited
}
