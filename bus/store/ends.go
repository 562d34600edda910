package store

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
)

// ends asks where streams begin and end, once for all who ask at a time: who comes when a
// question is on its way waits for the next one. Safe for concurrent use.
type ends struct {
	nc *nats.Conn

	// Guarded by mu.
	mu      sync.Mutex
	streams map[string]*endsOf
}

// endsOf is one stream.
type endsOf struct {
	next *endsAsk // not sent yet; nil: nobody asks
	busy bool     // one is on its way
}

// endsAsk is one question. The others are written before done is closed.
type endsAsk struct {
	done  chan struct{}
	state jet.StreamState
	err   error
}

// ask asks the leader of a stream, as [jet.LeaderState] does, after the call.
func (e *ends) ask(ctx context.Context, stream string) (jet.StreamState, error) {
	e.mu.Lock()
	if e.streams == nil {
		e.streams = make(map[string]*endsOf)
	}
	of := e.streams[stream]
	if of == nil {
		of = new(endsOf)
		e.streams[stream] = of
	}
	if of.next == nil {
		of.next = &endsAsk{done: make(chan struct{})}
	}
	a := of.next
	if !of.busy {
		of.busy = true
		// It is for all who wait, so it does not end with the first one's context.
		go e.run(context.WithoutCancel(ctx), stream, of)
	}
	e.mu.Unlock()
	select {
	case <-a.done:
		return a.state, a.err
	case <-ctx.Done():
		return jet.StreamState{}, jet.RequestError(ctx.Err())
	}
}

// run asks as long as somebody waits.
func (e *ends) run(ctx context.Context, stream string, of *endsOf) {
	for {
		e.mu.Lock()
		a := of.next
		of.next, of.busy = nil, a != nil
		e.mu.Unlock()
		if a == nil {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
		a.state, a.err = jet.LeaderState(bounded, e.nc, stream)
		cancel()
		close(a.done)
	}
}
