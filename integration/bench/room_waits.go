package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// What has to happen in a run that shows that what waits is there.
var roomMust = []string{"rounds", "sealed", "refused", "copied", "copies read"}

// roomMail is how many messages wait for each session.
const roomMail = 5

// roomThrough: a store takes many times its bytes for others. What waits from the beginning on
// is there when its sessions come back, a tenth of them at a time, while it goes on.
func roomThrough(ctx context.Context, b *bench) error {
	c, err := b.fullStore(ctx, b.room.through/16)
	if err != nil {
		return err
	}
	if err := c.park(b.room.parked); err != nil {
		return err
	}
	p, err := c.publisher()
	if err != nil {
		return err
	}
	if err := c.post(p, roomMail, func(int) bool { return true }); err != nil {
		return err
	}
	m, err := c.meter(c.node)
	if err != nil {
		return err
	}
	c.payload = []byte(strings.Repeat("-", 1000))
	back := &returns{c: c, p: p, ended: make(chan struct{})}
	go back.run()
	err = c.fill(func() (bool, error) {
		select {
		case <-back.ended:
			return int64(c.stored)*int64(len(c.payload)) >= b.room.through, back.err
		default:
			return false, nil
		}
	})
	<-back.ended
	r := &row{name: fmt.Sprintf("%d parked, %d MB take %d MB", b.room.parked, b.room.through/16/1e6, c.stored*len(c.payload)/1e6), count: c.stored}
	usage, uerr := m.stop(1)
	r.usage = usage
	return errors.Join(err, uerr, back.finish(r), c.tell(r.name, 0, roomMust...))
}

// returns are the sessions that come back while the store takes others' messages.
type returns struct {
	c     *fullStore
	p     *publisher
	ended chan struct{} // closed by run, which owns the others until then

	err     error
	readers sync.WaitGroup
}

// run has a tenth of the sessions come back each time that room was made.
func (r *returns) run() {
	defer close(r.ended)
	for i := range returnShare {
		var first uint64
		if r.err = r.c.look(func(info *jetstream.StreamInfo) bool {
			if first == 0 {
				first = info.State.FirstSeq
			}
			return info.State.FirstSeq > first
		}); r.err != nil {
			return
		}
		n := len(r.c.sessions)
		some := r.c.sessions[i*n/returnShare : (i+1)*n/returnShare]
		r.err = inParallel(len(some), r.c.parallel, func(i int) error {
			complete := make(chan struct{})
			r.readers.Go(func() { some[i].err = some[i].run(r.c.node.Addr, roomMail, roomMail+1, complete) })
			<-complete
			return nil
		})
		if r.err != nil {
			return
		}
	}
}

// finish sends each session one more message, and asks whether all has come.
func (r *returns) finish(into *row) error {
	var errs []error
	for _, s := range r.c.sessions {
		if err := r.p.push(r.c.ctx, s.sid, queued+strconv.Itoa(roomMail+1)); err != nil {
			errs = append(errs, err)
			break
		}
	}
	errs = append(errs, r.p.wait())
	r.readers.Wait()
	for _, s := range r.c.sessions {
		into.lost += roomMail + 1 - int(s.ledger.received)
		into.repeated += s.ledger.repeated
		into.disordered += s.ledger.disordered
		into.delays = append(into.delays, s.took)
		if s.err != nil && len(errs) < 10 {
			errs = append(errs, s.err)
		}
		if s.socket != nil {
			s.socket.reset()
		}
	}
	slices.Sort(into.delays)
	r.c.report.note(into)
	return errors.Join(errs...)
}

// roomFlood: others' messages of ten times the store's bytes, as fast as room is made. One
// session gets more than may wait for it, which is told.
func roomFlood(ctx context.Context, b *bench) error {
	const most = 200
	c, err := b.fullStore(ctx, b.room.through/4, "EDGE_QUEUE_LIMIT="+strconv.Itoa(most))
	if err != nil {
		return err
	}
	if err := c.park(b.room.parked); err != nil {
		return err
	}
	p, err := c.publisher()
	if err != nil {
		return err
	}
	if err := c.post(p, roomMail, func(int) bool { return true }); err != nil {
		return err
	}
	greedy := func(i int) bool { return i == 0 }
	c.payload = []byte(strings.Repeat("-", 1000))
	for range 2 {
		if err := c.post(p, most*3/4, greedy); err != nil {
			return err
		}
		if err := c.flood(b.room.through / 4 * 5); err != nil {
			return err
		}
	}
	if _, err := c.comeBackAll("flooded", p, func(i int) bool { return i > 0 }); err != nil {
		return err
	}
	return errors.Join(c.comeBackGreedy(p, most), c.tell("flood", 1, append(roomMust, "lost", "gaps told")...))
}

// flood stores so many bytes for others.
func (c *fullStore) flood(bytes int64) error {
	begun := c.stored
	return c.fill(func() (bool, error) { return int64(c.stored-begun)*int64(len(c.payload)) >= bytes, nil })
}

// comeBackGreedy resumes the session for which more was sent than may wait.
func (c *fullStore) comeBackGreedy(p *publisher, most int) error {
	s, last := c.sessions[0], c.mail[0]+1
	complete := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { s.err = s.run(c.node.Addr, uint64(most), last, complete) })
	<-complete
	err := errors.Join(p.push(c.ctx, s.sid, queued+strconv.FormatUint(last, 10)), p.wait())
	reader.Wait()
	if s.socket != nil {
		s.socket.reset()
	}
	if s.ledger.received != uint64(most)+1 || s.ledger.repeated+s.ledger.disordered > 0 {
		err = errors.Join(err, fmt.Errorf("%w: of %d messages, of which %d may wait, %d came, %d again, %d out of order",
			errPromise, last, most, s.ledger.received, s.ledger.repeated, s.ledger.disordered))
	}
	return errors.Join(err, s.err)
}

// roomAfter: what a resume takes after many messages of others, beside one from an empty store.
func roomAfter(ctx context.Context, b *bench) (err error) {
	q := queue{b.room.after, 10}
	var took [2]*row
	for i, others := range []int{0, b.room.others} {
		side := b
		if i > 0 {
			if side, err = newBench(ctx, b.settings, b.report); err != nil {
				return err
			}
		}
		if took[i], err = side.afterOthers(ctx, q, others); err != nil {
			err = errors.Join(err, side.explain())
		}
		if i > 0 {
			err = errors.Join(err, side.close())
		}
		if err != nil {
			return err
		}
	}
	cpu := func(r *row) float64 { return float64(r.nodes[0] + r.nats) }
	name := fmt.Sprintf("resume %v after %d messages of others : empty store, ", q, b.room.others)
	b.report.ratio(name+"processor time of node and NATS", cpu(took[1])/cpu(took[0]), 2)
	b.report.ratio(name+"time", took[1].elapsed.Seconds()/took[0].elapsed.Seconds(), 2)
	return nil
}

// afterOthers resumes sessions for which messages wait since before the others came.
func (b *bench) afterOthers(ctx context.Context, q queue, others int) (*row, error) {
	c, err := b.fullStore(ctx, int64(b.room.others)*roomMessage/6) // so that it is emptied some ten times
	if err != nil {
		return nil, err
	}
	if err := c.park(q.sessions); err != nil {
		return nil, err
	}
	p, err := c.publisher()
	if err != nil {
		return nil, err
	}
	every := func(int) bool { return true }
	if err := c.post(p, q.messages, every); err != nil {
		return nil, err
	}
	must := []string{}
	if others > 0 {
		must = roomMust
		if err := c.fill(func() (bool, error) { return c.stored >= others, nil }); err != nil {
			return nil, err
		}
		// Until NATS keeps nothing of it in memory.
		if err := pause(ctx, b.settled, nil); err != nil {
			return nil, err
		}
	}
	r, err := c.comeBackAll(fmt.Sprintf("after %d of others", others), p, every)
	return r, errors.Join(err, c.tell("after others", 0, must...))
}
