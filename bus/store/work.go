package store

import (
	"context"

	"hydrant/bus/scheme"
)

// EnqueueWork stores a message in a service's work queue and returns when the
// store has acknowledged it; repetition is as for Publish. A queue that is full
// refuses (ErrRefused). The sender's mid and out.Sender make a repetition
// harmless; out.Header should carry what a node adds to a client's message.
func (s *Store) EnqueueWork(ctx context.Context, service scheme.Service, out Outgoing) (seq uint64, err error) {
	return s.publish(ctx, out.Work(service), out.Mid != "")
}

// EnqueueWorkAsync is to EnqueueWork what PublishAsync is to Publish.
func (s *Store) EnqueueWorkAsync(service scheme.Service, out Outgoing, done func(seq uint64, err error)) error {
	return s.acks.Publish(out.Work(service), done)
}
