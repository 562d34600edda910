package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// ErrSeen: what is to be seen once was seen before.
var ErrSeen = errors.New("bus: seen before")

// Once notes that something was seen, for a while, and fails with [ErrSeen] where any
// node has noted it before. After any other error it may be noted, or not. name has
// letters, digits, "-" and "_".
func (d *Directory) Once(ctx context.Context, name string, keep time.Duration) error {
	m, err := d.once(name, keep)
	if err != nil {
		return err
	}
	ctx, cancel := d.store.bounded(ctx)
	defer cancel()
	_, err = jet.PublishAcked(ctx, d.store.nc, m)
	return seen(err)
}

// OnceAsync is Once without the wait: done is called exactly once, from another
// goroutine; it must only enqueue. If OnceAsync returns an error, nothing was sent and
// done is not called. See [Store.PublishAsync] for how long it can block.
func (d *Directory) OnceAsync(name string, keep time.Duration, done func(error)) error {
	m, err := d.once(name, keep)
	if err != nil {
		return err
	}
	return d.acks.Publish(m, func(_ uint64, err error) { done(seen(err)) })
}

// once is the publish that is taken only where there is no such key. It is kept in the
// directory, which refuses what finds no room, where a mailbox would drop something.
func (d *Directory) once(name string, keep time.Duration) (*nats.Msg, error) {
	if err := d.store.Usable(); err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: scheme.OnceKey(name), Header: nats.Header{
		jet.HeaderExpected: []string{"0"},
		jet.HeaderTTL:      []string{jet.TTLSeconds(keep)},
	}}, nil
}

func seen(err error) error {
	if errors.Is(err, ErrFenced) {
		return fmt.Errorf("%w: %w", ErrSeen, err)
	}
	return err
}
