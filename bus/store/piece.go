package store

import (
	"context"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Piece is what one server had, at one moment, of all mailboxes of a partition between
// two sequences.
type Piece struct {
	Msgs []Boxed
	Last uint64 // the sequence of the last message; 0: there is none from the asked one on
	More bool   // the server had messages after Last
}

// Boxed is a message and whose mailbox it is in.
type Boxed struct {
	SID scheme.SID
	Stored
}

// ReadPiece reads the mailboxes of a partition together, from a sequence on: up to limit
// messages of about maxBytes, at least one if there is one. Any replica answers, and may
// lag. It tries once: an answer that is not whole is an error.
func (s *Store) ReadPiece(ctx context.Context, partition int, from uint64, limit, maxBytes int) (Piece, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var p Piece
	// A server compares each message with any other filter, and all subjects of a block.
	req := batchRequest{From: max(from, 1), NextFor: ">", Batch: limit, MaxBytes: maxBytes}
	end, err := s.directGet(ctx, scheme.OutStream(partition), req, limit, func(m *nats.Msg, seq uint64) error {
		if sid, err := scheme.ParseMailboxSubject(jet.LastHeader(m.Header, jet.HeaderSubject)); err == nil {
			p.Msgs = append(p.Msgs, Boxed{sid, storedOf(m, seq, storedAt(m.Header))})
		}
		return nil
	})
	if err != nil {
		return Piece{}, err
	}
	p.Last, p.More = end.last, end.pending > 0
	return p, nil
}
