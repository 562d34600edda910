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

const (
	mailboxProbeEvery = 150 * time.Millisecond // until one comes back
	mailboxProbeMost  = 5 * time.Second
)

// probe publishes a marker to the reply subject of a session that does not
// exist and waits for it on the live subject: so transformation, storage,
// republishing and the permissions for all of it are seen to work. The marker
// is gone after two seconds.
func (s *Store) probe(ctx context.Context, part int) *Finding {
	ctx, cancel := context.WithTimeout(ctx, mailboxProbeMost)
	defer cancel()
	have := s.tryMailbox(ctx, scheme.NewSIDIn(part, s.cfg.Streams))
	if have == nil {
		return nil
	}
	f := broken("a reply through stream "+scheme.OutStream(part), "is stored and republished on the live subject", have.Error(),
		"check the stream, and this user's permissions for "+scheme.PrefixReply+"> and "+scheme.PrefixLive+">")
	return &f
}

// tryMailbox returns when a marker for a session came back, or why none did.
func (s *Store) tryMailbox(ctx context.Context, sid scheme.SID) error {
	reply, err := scheme.ReplySubject(scheme.NewNodeID(), sid, "")
	if err != nil {
		return err
	}
	live, err := s.nc.SubscribeSync(scheme.LiveWildcard(sid))
	if err != nil {
		return err
	}
	defer func() { _ = live.Unsubscribe() }() // fails only if the connection is closed
	inbox := s.nc.NewInbox()
	acks, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = acks.Unsubscribe() }() // the same
	why := errors.New("nothing came in " + mailboxProbeMost.String())
	for {
		m := &nats.Msg{Subject: reply, Reply: inbox, Header: nats.Header{
			scheme.HeaderMark: []string{"1"}, jet.HeaderTTL: []string{jet.TTLSeconds(markerTTL)},
		}}
		if err := s.nc.PublishMsg(m); err != nil {
			return err
		}
		tctx, cancel := context.WithTimeout(ctx, mailboxProbeEvery)
		got, err := live.NextMsgWithContext(tctx)
		cancel()
		switch {
		case err == nil:
			if c, stored := ParseCopy(got); !stored || c.Mark == 0 || c.Seq == 0 {
				return fmt.Errorf("a copy with the headers %v", got.Header)
			}
			return nil
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		case ctx.Err() != nil:
			return why
		}
		for {
			ack, err := acks.NextMsg(0)
			if err != nil {
				break // there is none
			}
			if _, err := jet.ParseAck(ack); errors.Is(err, ErrRefused) {
				return err
			} else if err != nil {
				why = err
			}
		}
	}
}
