package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hydrant/integration/harness"
)

// times is how many messages of one stream may be on the way and still get
// their delay measured.
const times = 512

// A stream is numbered messages that arrive at one socket.
type stream struct {
	// Immutable while traffic runs.
	to   *socket
	mark []byte       // stands before the number in what arrives
	send func() error // sends the next message, for traffic at full speed; may be nil

	// Shared by sender and receiver.
	sent   atomic.Uint64 // the numbers 1 to sent were used
	sentAt [times]atomic.Int64

	// Owned by the receiver.
	ledger ledger
}

// number gives the next message its number and notes the time.
func (s *stream) number() uint64 {
	n := s.sent.Add(1)
	s.sentAt[n%times].Store(time.Now().UnixNano())
	return n
}

// ledger accounts for the numbers that one receiver has seen.
type ledger struct {
	seen       []uint64 // bits
	last       uint64
	received   uint64 // different ones
	repeated   int
	disordered int
	delays     []time.Duration
}

// enter accounts for n and reports whether it is new.
func (l *ledger) enter(n uint64) bool {
	for uint64(len(l.seen)) <= n/64 {
		l.seen = append(l.seen, 0)
	}
	bit := uint64(1) << (n % 64)
	if l.seen[n/64]&bit != 0 {
		l.repeated++
		return false
	}
	l.seen[n/64] |= bit
	if n < l.last {
		l.disordered++
	}
	l.last = max(l.last, n)
	l.received++
	return true
}

// traffic is streams that run together.
type traffic struct {
	streams   []*stream
	atFull    bool // every arrival sends the next message, until stopped
	unordered bool // the order of arrival is not promised

	received  atomic.Int64
	recording atomic.Bool
	stopped   atomic.Bool // no more is sent
	ended     atomic.Bool // the receivers end
}

var errAnswer = errors.New("not the expected message")

// receive takes what arrives on one stream until the traffic ends.
func (t *traffic) receive(s *stream) error {
	for {
		text, err := s.to.next()
		switch {
		case err != nil && t.ended.Load() && errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
		// Centrifugo packs several messages in a frame, a line each.
		for message := range bytes.Lines(text) {
			if err := t.take(s, message); err != nil {
				return err
			}
		}
	}
}

// take enters one message that has arrived.
func (t *traffic) take(s *stream, message []byte) error {
	n, ok := number(message, s.mark)
	if !ok {
		return fmt.Errorf("%w: %.300q", errAnswer, message)
	}
	if !s.ledger.enter(n) {
		return nil
	}
	if t.recording.Load() {
		s.ledger.delays = append(s.ledger.delays, time.Duration(time.Now().UnixNano()-s.sentAt[n%times].Load()))
	}
	t.received.Add(1)
	if t.atFull && !t.stopped.Load() {
		return s.send()
	}
	return nil
}

// number reads the digits behind mark.
func number(text, mark []byte) (uint64, bool) {
	at := bytes.Index(text, mark)
	if at < 0 {
		return 0, false
	}
	rest := text[at+len(mark):]
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseUint(string(rest[:digits]), 10, 64)
	return n, err == nil
}

// patience is how long nothing may arrive before what is missing is lost.
const patience = 10 * time.Second

// observe runs the traffic: a warm-up, the measured time, and then until
// everything has arrived. feed sends until its channel is closed, which it
// never is before the measured time is over. The first node is profiled.
func (b *bench) observe(ctx context.Context, name string, t *traffic, feed func(stop <-chan struct{}) error, nodes ...*harness.Node) (*row, error) {
	failed := make(chan error, len(t.streams)+1)
	var receivers, feeder sync.WaitGroup
	for _, s := range t.streams {
		receivers.Go(func() {
			if err := t.receive(s); err != nil {
				failed <- err
			}
		})
	}
	stop := make(chan struct{})
	feeder.Go(func() {
		if err := feed(stop); err != nil {
			failed <- err
		}
	})
	r := &row{name: name}
	err := pause(ctx, min(b.duration/4, time.Second), failed)
	if err == nil {
		err = b.profiled(nodes[0], name, int(b.duration/time.Second), func() error {
			return b.watch(ctx, t, r, failed, nodes)
		})
	}
	t.stopped.Store(true)
	close(stop)
	feeder.Wait()
	if err == nil {
		err = t.drain(ctx, failed)
	}
	t.ended.Store(true)
	for _, s := range t.streams {
		_ = s.to.tcp.SetReadDeadline(time.Now()) // a closed socket ends its reader too
	}
	receivers.Wait()
	for _, s := range t.streams {
		_ = s.to.tcp.SetReadDeadline(time.Time{})
		r.add(s, t.unordered)
	}
	slices.Sort(r.delays)
	return r, err
}

// watch measures for the time that the settings give.
func (b *bench) watch(ctx context.Context, t *traffic, r *row, failed <-chan error, nodes []*harness.Node) error {
	m, err := b.meter(nodes...)
	if err != nil {
		return err
	}
	before := t.received.Load()
	t.recording.Store(true)
	if err := pause(ctx, b.duration, failed); err != nil {
		return err
	}
	r.usage, err = m.stop(len(nodes))
	r.count = int(t.received.Load() - before)
	t.recording.Store(false)
	return err
}

// pause waits for d, or until something fails.
func pause(ctx context.Context, d time.Duration, failed <-chan error) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain waits until everything that was sent has arrived, or nothing more does.
func (t *traffic) drain(ctx context.Context, failed <-chan error) error {
	last, since := int64(-1), time.Now()
	for {
		var sent int64
		for _, s := range t.streams {
			sent += int64(s.sent.Load())
		}
		now := t.received.Load()
		if now >= sent {
			return nil
		}
		if now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) > patience {
			return nil // the ledgers say what is missing
		}
		if err := pause(ctx, time.Millisecond, failed); err != nil {
			return err
		}
	}
}
