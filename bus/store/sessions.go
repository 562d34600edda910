package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// SessionRow is one session in a listing.
type SessionRow struct {
	SID   scheme.SID
	Entry scheme.Entry
	// Behind is how many messages wait for the client, at the most: what it
	// has and not yet confirmed counts as well.
	Behind uint64
}

// ListSessions reads the session directory, up to limit sessions, and how far
// behind each is. It changes nothing on the server but a short-lived consumer
// for each session that is behind, and so is for tools, not for nodes.
func ListSessions(ctx context.Context, nc *nats.Conn, limit int) ([]SessionRow, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, jet.SendError(err)
	}
	streams, err := countStreams(ctx, js)
	if err != nil {
		return nil, err
	}
	answers, err := jet.NewReplies(nc)
	if err != nil {
		return nil, err
	}
	defer answers.Close()
	s := &Store{nc: nc, js: js, replies: answers, cfg: Config{Streams: streams, Timeout: 10 * time.Second}}
	var rows []SessionRow
	var sids []scheme.SID
	err = (&Directory{store: s}).List(ctx, func(sid scheme.SID, e scheme.Entry) bool {
		rows = append(rows, SessionRow{SID: sid, Entry: e})
		sids = append(sids, sid)
		return len(rows) < limit
	})
	if err != nil {
		return nil, err
	}
	last, err := s.LastSeqs(ctx, sids)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		r := &rows[i]
		if at := max(r.Entry.Floor, r.Entry.Seen); last[r.SID] > at {
			if r.Behind, err = s.pendingAfter(ctx, r.SID, at); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// countStreams finds out how many mailbox streams there are.
func countStreams(ctx context.Context, js jetstream.JetStream) (int, error) {
	n := 0
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		if strings.HasPrefix(name, scheme.OutStreamPrefix) {
			n++
		}
	}
	err := names.Err()
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return 0, errors.New("bus: JetStream is not enabled at this NATS server, so there are no sessions")
	case err != nil:
		return 0, fmt.Errorf("bus: streams: %w", err)
	case n == 0:
		return 0, errors.New("bus: there are no mailboxes: no node has run with this NATS yet")
	case !scheme.ValidStreams(n):
		return 0, fmt.Errorf("bus: there are %d mailbox streams; a node makes 1, 2, 4, 8, 16 or 32", n)
	}
	return n, nil
}

// pendingAfter counts what a mailbox holds after a sequence.
func (s *Store) pendingAfter(ctx context.Context, sid scheme.SID, seq uint64) (uint64, error) {
	stream := s.stream(sid)
	consumer, err := s.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		FilterSubject: scheme.MailboxSubject(sid), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: seq + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 5 * time.Second,
	})
	if err != nil {
		return 0, fmt.Errorf("bus: mailbox of %s: %w", sid.Short(), err)
	}
	info := consumer.CachedInfo()
	if err := s.js.DeleteConsumer(ctx, stream, info.Name); err != nil {
		return 0, fmt.Errorf("bus: mailbox of %s: %w", sid.Short(), err)
	}
	return info.NumPending, nil
}
