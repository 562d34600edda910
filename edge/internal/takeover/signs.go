package takeover

import (
	"context"
	"sync"
	"time"

	"hydrant/bus/scheme"
)

// A NATS server says that nobody listens also where the route to the node's server is
// cut, or not yet there, while both still have a way to the store: then the node gets
// copies, and may write to its clients. So each node of a cluster leaves signs in the
// store.
const (
	// SignEvery is how often a node leaves a sign.
	SignEvery = 500 * time.Millisecond
	// signOld is how old the last sign of a node is that lives no more.
	signOld = time.Second
	// signStep is how often it is looked whether there is another one.
	signStep = 200 * time.Millisecond
	// signUse is how long an answer is used again: many ask at a time.
	signUse = 500 * time.Millisecond
)

// LastSign is the sequence of a node's last sign, and its age; 0: there is none.
type LastSign func(ctx context.Context, node scheme.NodeID) (seq uint64, age time.Duration, err error)

// Signs tells by their signs which nodes live. Safe for concurrent use.
type Signs struct {
	last LastSign // immutable

	// Guarded by mu.
	mu    sync.Mutex
	looks map[scheme.NodeID]*look // those that may be used
}

// look is one question for all who ask at a time. lives is written before done is
// closed.
type look struct {
	done  chan struct{}
	lives bool
}

// NewSigns returns one that reads signs by last.
func NewSigns(last LastSign) *Signs {
	return &Signs{last: last, looks: make(map[scheme.NodeID]*look)}
}

// Lives reports whether a node may be alive: it has left another sign, or none tells. It
// takes a second, at the most, where the last sign is young; ctx is that of the first
// who asks.
func (s *Signs) Lives(ctx context.Context, node scheme.NodeID) bool {
	s.mu.Lock()
	l := s.looks[node]
	if l == nil {
		l = &look{done: make(chan struct{})}
		s.looks[node] = l
		go s.look(context.WithoutCancel(ctx), node, l)
	}
	s.mu.Unlock()
	select {
	case <-l.done:
		return l.lives
	case <-ctx.Done():
		return true
	}
}

// look finds out, and forgets the answer later.
func (s *Signs) look(ctx context.Context, node scheme.NodeID, l *look) {
	l.lives = s.renewed(ctx, node)
	close(l.done)
	time.AfterFunc(signUse, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.looks, node)
	})
}

// renewed waits until the last sign is old, or there is another one.
func (s *Signs) renewed(ctx context.Context, node scheme.NodeID) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*signOld)
	defer cancel()
	first := uint64(0)
	for {
		seq, age, err := s.last(ctx, node)
		switch {
		case err != nil, first != 0 && seq != first:
			return true
		case seq == 0 || age > signOld:
			return false
		}
		first = seq
		step := time.NewTimer(min(signStep, signOld-age+1))
		select {
		case <-step.C:
		case <-ctx.Done():
			step.Stop()
			return true
		}
	}
}
