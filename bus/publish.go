package bus

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// markerTTL is how long a marker that only asks "where are we" stays stored.
const markerTTL = 2 * time.Second

// Outgoing is a message for a mailbox.
type Outgoing struct {
	// Payload is UMF in short form. It is not kept after the call.
	Payload []byte
	// Mid, if not empty, lets the stream drop a repetition within a minute.
	// It is the UMF mid as the sender wrote it, of any content.
	Mid string
	// Sender separates the mids of different senders; empty if mids are
	// unique by themselves. A session id or an instance id.
	Sender string
	// TTL, if positive, makes the message vanish after it: whole seconds, rounded
	// up, a year at the most.
	TTL time.Duration
	// Header is added to the message; it is not modified.
	Header nats.Header
}

// message builds the NATS message for a mailbox subject.
func (o *Outgoing) message(sid string) (*nats.Msg, error) {
	subject, err := MailboxSubject(sid)
	if err != nil {
		return nil, err
	}
	return o.on(subject, sid), nil
}

// on builds the NATS message for a subject whose owner is to.
func (o *Outgoing) on(subject, to string) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: o.Payload, Header: o.Header}
	if o.Mid == "" && o.TTL <= 0 {
		return m
	}
	m.Header = make(nats.Header, len(o.Header)+2)
	maps.Copy(m.Header, o.Header)
	if o.Mid != "" {
		m.Header[headerMsgID] = []string{messageID(to, o.Sender, o.Mid)}
	}
	if o.TTL > 0 {
		m.Header[headerTTL] = []string{ttlSeconds(o.TTL)}
	}
	return m
}

// Publish stores a message in a session's mailbox and returns its sequence
// when the store has acknowledged it. With a Mid it repeats the publish until
// ctx ends if no answer comes; without one it tries once.
//
// It may block for up to [BlockTimeout] beyond ctx if the server has stopped
// reading.
func (s *Store) Publish(ctx context.Context, sid string, out Outgoing) (seq uint64, err error) {
	m, err := out.message(sid)
	if err != nil {
		return 0, err
	}
	return s.publish(ctx, m, out.Mid != "")
}

// publish waits for the acknowledgement of m. What may be repeated, since the
// stream drops a repetition, is repeated until ctx ends.
func (s *Store) publish(ctx context.Context, m *nats.Msg, repeat bool) (seq uint64, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if !repeat {
		return publishAcked(ctx, s.nc, m)
	}
	err = retry(ctx, func(ctx context.Context) error {
		seq, err = publishAcked(ctx, s.nc, m)
		return err
	})
	return seq, err
}

// publishAcked publishes and waits for the acknowledgement, once.
func publishAcked(ctx context.Context, nc *nats.Conn, m *nats.Msg) (uint64, error) {
	r, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, requestError(err)
	}
	return parseAck(r)
}

// PublishAsync is Publish without the wait: done is called exactly once, on a
// goroutine of this package or of nats.go, with the sequence, or with why
// there is none; it must only enqueue. If PublishAsync returns an error,
// nothing was sent and done is not called; ErrOverload says that the window is
// full. There is no retry: with a Mid the caller may repeat what failed with
// ErrUnconfirmed.
//
// It does not wait for the server, except as [BlockTimeout] says: if the server
// has stopped reading, the call may block for that long, so an event loop should
// leave it to a goroutine.
func (s *Store) PublishAsync(sid string, out Outgoing, done func(seq uint64, err error)) error {
	m, err := out.message(sid)
	if err != nil {
		return err
	}
	return s.acks.publish(m, done)
}

// PublishMarker stores a marker: an empty message with id, which comes back on
// the live subject with the sequence of what is before it. It is not
// acknowledged; who waits for it publishes another if it does not come. Kept
// markers live as long as messages do, others two seconds. It blocks no longer
// than PublishAsync.
func (s *Store) PublishMarker(sid string, id uint64, keep bool) error {
	subject, err := MailboxSubject(sid)
	if err != nil {
		return err
	}
	h := nats.Header{HeaderMark: []string{strconv.FormatUint(id, 10)}}
	if !keep {
		h[headerTTL] = []string{ttlSeconds(markerTTL)}
	}
	if err := s.nc.PublishMsg(&nats.Msg{Subject: subject, Header: h}); err != nil {
		return sendError(err)
	}
	return nil
}
