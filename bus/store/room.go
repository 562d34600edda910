package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Parts of a store's bytes, in hundredths. Sessions come first: without room in the
// directory nobody connects or resumes, whatever else there is room for.
const (
	mailboxPart   = 70
	workPart      = 15
	directoryPart = 10
	expiryPart    = 5
)

// leastRoom is where a store that bounds itself stops asking for less.
const leastRoom = 1 << 20

// part is the bound of a stream in a store of so many bytes.
func (c *Config) part(stream string, bytes int64) int64 {
	switch stream {
	case scheme.WorkStream:
		bytes = bytes / 100 * workPart
	case scheme.SessionStream:
		bytes = bytes / 100 * directoryPart
	case scheme.ExpiryStream:
		bytes = bytes / 100 * expiryPart
	default:
		bytes = bytes / 100 * mailboxPart / int64(c.Streams)
	}
	return max(1, bytes)
}

// room is how many bytes there are for streams that are made without a bound of the
// configuration's.
func (s *Store) room(ctx context.Context) (int64, error) {
	if s.cfg.Bytes > 0 {
		return s.cfg.Bytes, nil
	}
	room := s.cfg.Room
	err := jet.Retry(ctx, func(ctx context.Context) error {
		info, err := s.js.AccountInfo(ctx)
		if err == nil && info.Limits.MaxStore > 0 {
			// Of what is reserved some may be this store's already: it is left to the
			// server to say so.
			room = min(room, info.Limits.MaxStore/int64(s.cfg.Replicas))
		}
		return jet.JSError(err)
	})
	if err != nil {
		return 0, fmt.Errorf("bus: JetStream account: %w", err)
	}
	return room, nil
}

// making is how much room there is for what Open makes.
type making struct{ room int64 }

// ensureBounded is ensureStream. A store that bounds itself asks for less, for all of its
// streams, where there is not as much.
func (s *Store) ensureBounded(ctx context.Context, want jetstream.StreamConfig, m *making) error {
	for {
		err := s.ensureStream(ctx, want, m)
		if !jet.NoRoom(err) || s.cfg.Bytes > 0 || m.room/2 < leastRoom {
			return err
		}
		m.room /= 2
		if err := s.giveWay(ctx, m); err != nil {
			return err
		}
	}
}

// newStream is how long after it was made a stream counts as one of a store that is
// being made, maybe by several nodes at once.
const newStream = 5 * time.Minute

// giveWay takes back room from the streams that there are already. Those that are older,
// or hold something, keep what they have: somebody relies on it.
func (s *Store) giveWay(ctx context.Context, m *making) error {
	for _, c := range s.cfg.configs() {
		st, err := s.js.Stream(ctx, c.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return jet.JSError(err)
		}
		info, part := st.CachedInfo(), s.cfg.part(c.Name, m.room)
		if info.Config.MaxBytes <= part || info.TimeStamp.Sub(info.Created) > newStream || info.State.Bytes > uint64(part)/2 {
			continue
		}
		info.Config.MaxBytes = part
		if _, err := s.js.UpdateStream(ctx, info.Config); err != nil {
			return jet.JSError(err)
		}
	}
	return nil
}

// Usage is how much a part of the store holds.
type Usage struct {
	Bytes, Limit int64         // of all its streams; Limit 0: none
	Reach        time.Duration // how far back it has all that was stored; Age, unless it is full
	Age          time.Duration // how long it keeps what is stored
}

// Share is how full it is; 0 without a limit.
func (u Usage) Share() float64 {
	if u.Limit <= 0 {
		return 0
	}
	return float64(u.Bytes) / float64(u.Limit)
}

// fullShare is from where on a stream drops, or refuses, what is stored.
const fullShare = 0.95

// add joins another stream.
func (u *Usage) add(info *jetstream.StreamInfo) {
	one := Usage{Bytes: int64(info.State.Bytes), Limit: max(info.Config.MaxBytes, 0), Reach: info.Config.MaxAge, Age: info.Config.MaxAge}
	if one.Share() >= fullShare && !info.State.FirstTime.IsZero() {
		one.Reach = min(one.Age, max(info.TimeStamp.Sub(info.State.FirstTime), 0))
	}
	if u.Age == 0 || one.Reach < u.Reach {
		u.Reach = one.Reach
	}
	u.Bytes, u.Limit, u.Age = u.Bytes+one.Bytes, u.Limit+one.Limit, one.Age
}

// Usage asks how full the directory is.
func (d *Directory) Usage(ctx context.Context) (u Usage, err error) {
	ctx, cancel := d.store.bounded(ctx)
	defer cancel()
	return u, d.store.measure(ctx, scheme.SessionStream, &u)
}

// Usage asks how full the mailboxes and the work queues are.
func (s *Store) Usage(ctx context.Context) (mailboxes, work Usage, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for _, c := range s.cfg.configs() {
		into := &work
		switch {
		case strings.HasPrefix(c.Name, scheme.OutStreamPrefix):
			into = &mailboxes
		case c.Name != scheme.WorkStream:
			continue
		}
		if err := s.measure(ctx, c.Name, into); err != nil {
			return mailboxes, work, err
		}
	}
	return mailboxes, work, nil
}

func (s *Store) measure(ctx context.Context, stream string, into *Usage) error {
	st, err := s.js.Stream(ctx, stream)
	if err != nil {
		return jet.JSError(err)
	}
	into.add(st.CachedInfo())
	return nil
}
