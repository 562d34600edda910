package store

import (
	"context"
)

// EnqueueWork stores a message in a service's work queue and returns when the
// store has acknowledged it; repetition is as for Publish. A queue that is full
// refuses (ErrRefused). The sender's mid and out.Sender make a repetition
// harmless; out.Header should carry what a node adds to a client's message.
func (s *Store) EnqueueWork(ctx context.Context, service string, out Outgoing) (seq uint64, err error) {
	m, err := out.WorkMessage(service)
	if err != nil {
		return 0, err
	}
	return s.publish(ctx, m, out.Mid != "")
}

// EnqueueWorkAsync is to EnqueueWork what PublishAsync is to Publish.
func (s *Store) EnqueueWorkAsync(service string, out Outgoing, done func(seq uint64, err error)) error {
	m, err := out.WorkMessage(service)
	if err != nil {
		return err
	}
	return s.acks.Publish(m, done)
}
