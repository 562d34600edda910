package kept

import "errors"

// ErrEnded: a round may not purge what it has made sure of.
var ErrEnded = errors.New("the connection, or the log, is not the one that the round began with")

// ErrNoted: of all streams that are too full it is noted that their logs went back.
var ErrNoted = errors.New("no room is made for as long as that is noted")

// Stream is what a stream of mailboxes holds.
type Stream struct {
	First, Last  uint64
	Messages     uint64
	Bytes, Limit uint64 // Limit 0: none
	Made         int64  // when it was made, Unix ns
}

// Streams are the streams of mailboxes that a round makes room in, by partition.
type Streams interface {
	// WentBack reports whether it is noted that a stream's log went back.
	WentBack(partition int) (bool, error)
	// Stream asks how full a stream is.
	Stream(partition int) (Stream, error)
	// Settle looks at every entry that there is when it is called, and has [Settle] make sure
	// of each mailbox of a partition that has a horizon. Some partitions may have failed.
	Settle(horizons map[int]uint64) (failed map[int]error, err error)
	// Ripen waits as long as something may be under way that has to do with what is stored below
	// the horizons: whoever stored it may send it again, or has no entry yet.
	Ripen() error
	// Lasts reports whether no connection was lost since it was known that no log went back.
	Lasts() bool
	// Purge removes all up to the horizon. Nobody asks it to compare anything.
	Purge(partition int, horizon uint64) error
}

// rest is the share of its bytes that a round leaves in a stream.
const rest = 0.10

// horizon is up to where a stream is to be purged; false: it has nothing to be purged.
func (s *Stream) horizon() (uint64, bool) {
	if s.Limit == 0 || s.Messages == 0 {
		return 0, false
	}
	leave := uint64(float64(s.Limit) * rest / (float64(s.Bytes) / float64(s.Messages)))
	to := s.Last - min(leave, s.Last)
	return to, to >= s.First
}

// Gains is how many messages a round would remove, as far as that can be told: all that were
// stored since the last one.
func (s *Stream) Gains() uint64 {
	to, ok := s.horizon()
	if !ok {
		return 0
	}
	return min(to-s.First+1, s.Messages)
}

// Round makes room. It fixes the horizons first, and waits: whoever is opened later has mail
// above them only. Then it makes sure of all mailboxes, and purges. What it purges late does no harm,
// as long as the log is the one in which the horizon was fixed. So it leaves a log alone that
// has gone back, for as long as that is noted.
func Round(streams Streams, partitions []int) error {
	horizons, made, noted := make(map[int]uint64), make(map[int]int64), false
	for _, i := range partitions {
		back, err := streams.WentBack(i)
		if err != nil {
			return err
		}
		if back {
			noted = true
			continue
		}
		s, err := streams.Stream(i)
		if err != nil {
			return err
		}
		if to, ok := s.horizon(); ok {
			horizons[i], made[i] = to, s.Made
		}
	}
	switch {
	case len(horizons) == 0 && noted:
		return ErrNoted
	case len(horizons) == 0:
		return nil
	}
	if err := streams.Ripen(); err != nil {
		return err
	}
	if !streams.Lasts() {
		return ErrEnded
	}
	failed, err := streams.Settle(horizons)
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range partitions {
		to, ok := horizons[i]
		if !ok {
			continue
		}
		if err := failed[i]; err != nil { // which is no matter to the others
			errs = append(errs, err)
			continue
		}
		back, err := streams.WentBack(i)
		if err != nil {
			return err
		}
		s, err := streams.Stream(i)
		if err != nil {
			return err
		}
		if back || s.Made != made[i] || s.Last < to || !streams.Lasts() {
			return ErrEnded
		}
		if err := streams.Purge(i, to); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}
