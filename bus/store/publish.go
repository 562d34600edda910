package store

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// markerTTL is how long a marker that only asks "where are we" stays stored.
const markerTTL = 2 * time.Second

// Outgoing is a message for a mailbox or a work queue: Payload and, as needed,
// Mid, Sender, TTL and Header.
type Outgoing = jet.Outgoing

// Publish stores a message in a session's mailbox and returns its sequence
// when the store has acknowledged it. With a Mid it repeats the publish until
// ctx ends if no answer comes; without one it tries once.
//
// It may block for up to [hydrant/bus.BlockTimeout] beyond ctx if the server has stopped
// reading.
func (s *Store) Publish(ctx context.Context, sid scheme.SID, out Outgoing) (seq uint64, err error) {
	return s.publish(ctx, out.For(sid), out.Mid != "")
}

// publish waits for the acknowledgement of m. What may be repeated, since the
// stream drops a repetition, is repeated until ctx ends.
func (s *Store) publish(ctx context.Context, m *nats.Msg, repeat bool) (seq uint64, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if !repeat {
		return jet.PublishAcked(ctx, s.nc, m)
	}
	err = jet.Retry(ctx, func(ctx context.Context) error {
		seq, err = jet.PublishAcked(ctx, s.nc, m)
		return err
	})
	return seq, err
}

// PublishAsync is Publish without the wait: done is called exactly once, on a
// goroutine of this package or of nats.go, with the sequence, or with why
// there is none; it must only enqueue. If PublishAsync returns an error,
// nothing was sent and done is not called; ErrOverload says that the window is
// full. There is no retry: with a Mid the caller may repeat what failed with
// ErrUnconfirmed.
//
// It does not wait for the server, except as [hydrant/bus.BlockTimeout] says: if the server
// has stopped reading, the call may block for that long, so an event loop should
// leave it to a goroutine.
func (s *Store) PublishAsync(sid scheme.SID, out Outgoing, done func(seq uint64, err error)) error {
	return s.acks.Publish(out.For(sid), done)
}

// Marker is an empty message that shows where a mailbox stands, and who attached
// to it there.
type Marker struct {
	ID      uint64 // not 0; the holder's own count
	Holder  uint64 // as in [scheme.Entry]
	Attempt uint64 // the same
	Keep    bool   // it lives as long as messages do, and not only two seconds
}

// PublishMarker stores a marker, which comes back on the live subject with the
// sequence of what is before it. It is not acknowledged; a caller that waits for
// it publishes another if it does not come. It blocks no longer than PublishAsync.
func (s *Store) PublishMarker(sid scheme.SID, m Marker) error {
	h := nats.Header{
		scheme.HeaderMark:   []string{strconv.FormatUint(m.ID, 10)},
		scheme.HeaderHolder: []string{scheme.HolderText(m.Holder, m.Attempt)},
	}
	if !m.Keep {
		h[jet.HeaderTTL] = []string{jet.TTLSeconds(markerTTL)}
	}
	if err := s.nc.PublishMsg(&nats.Msg{Subject: scheme.MailboxSubject(sid), Header: h}); err != nil {
		return jet.SendError(err)
	}
	return nil
}

// Acknowledges returns nil when the stream of a session's mailbox has answered, which
// only a quorum can do: it stores a marker, gone after a second. That the stream
// refuses it is an answer as well: what it then lacks is the contract's matter.
// [ErrUnavailable]: it has no leader; [ErrUnconfirmed]: no answer before ctx ended.
func Acknowledges(ctx context.Context, nc *nats.Conn, sid scheme.SID) error {
	answer, err := nc.RequestMsgWithContext(ctx, briefMarker(sid))
	if err != nil {
		return jet.RequestError(err)
	}
	if _, err := jet.ParseAck(answer); !errors.Is(err, ErrRefused) {
		return err
	}
	return nil
}

// briefMarker is a marker that is of nobody, and gone after a second.
func briefMarker(sid scheme.SID) *nats.Msg {
	return &nats.Msg{Subject: scheme.MailboxSubject(sid), Header: nats.Header{
		scheme.HeaderMark: []string{"1"}, jet.HeaderTTL: []string{jet.TTLSeconds(time.Second)},
	}}
}
