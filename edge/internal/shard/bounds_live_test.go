package shard

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// TestBatchOfLargeCopies: what is posted to a loop at once is bounded in bytes,
// too, or the loop takes longer than a stall of the process.
func TestBatchOfLargeCopies(t *testing.T) {
	for size, want := range map[int]int{1: liveBatch, liveBytes/2 - 1: 3, liveBytes: 1, 8 * liveBytes: 1} {
		ch, data := make(chan *nats.Msg, liveQueue), make([]byte, size)
		for range 2 * liveBatch {
			ch <- &nats.Msg{Data: data}
		}
		if batch := gather(<-ch, ch); len(batch) != want {
			t.Errorf("%d copies of %d bytes at once, want %d", len(batch), size, want)
		}
	}
}

// TestLiveQueueFull: as many live copies wait for a loop as may, and NATS has
// dropped those beyond. What is stored is read instead.
func TestLiveQueueFull(t *testing.T) {
	l := newLab(t)
	n := l.node(2)
	s := n.shards[0]
	c, crowded, elsewhere := s.dial(), s.dial(), n.shards[1].dial()
	s.doze()
	const count = 10
	for range liveQueue { // pushed past a mailbox, and junk
		s.receive(&nats.Msg{Subject: scheme.PushedSubject(crowded.id), Data: []byte("x")})
	}
	select {
	case s.live <- nil:
		t.Fatal("there is room")
	default:
	}
	s.deaf = true
	l.store(c.id, 0, count)
	s.missed.Store(true)
	elsewhere.serves()
	l.store(elsewhere.id, 0, 3)
	elsewhere.gets(0, 3)
	s.deaf = false
	n.counts(`hydrant_mailbox_reads_total{result="ok"}`, func() {
		s.awake(0)
		l.run()
		l.store(c.id, count, count+1) // shows the hole
	})
	c.gets(0, count+1)
	crowded.serves()
	if len(s.live) > 0 {
		t.Errorf("%d copies wait", len(s.live))
	}
}

// blockedLoop has no room for what is posted until it is freed.
type blockedLoop struct {
	Loop
	free  chan struct{}
	tasks chan func()
}

func (p blockedLoop) PostWait(ctx context.Context, f func()) error {
	select {
	case <-p.free:
		p.tasks <- f
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestLoopFull: while a loop has no room for anything, live copies wait in the queue
// for them, in order, and the goroutine that hands them over does as well.
func TestLoopFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Shard{node: &Node{Epoch: func() uint64 { return 0 }}, live: make(chan *nats.Msg, liveQueue)}
		loop := blockedLoop{free: make(chan struct{}), tasks: make(chan func(), liveQueue)}
		s.loop = loop
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.bridge(ctx); close(ended) }()
		const count = 3 * liveBatch
		for i := range count {
			s.live <- &nats.Msg{Subject: strconv.Itoa(i)}
		}
		synctest.Wait()
		if left := len(s.live); left < count-liveBatch || left == count {
			t.Errorf("%d of %d copies wait outside", left, count)
		}
		close(loop.free)
		synctest.Wait()
		if len(s.live) != 0 || len(loop.tasks) < count/liveBatch {
			t.Errorf("%d copies are left, the loop has got %d batches", len(s.live), len(loop.tasks))
		}
		cancel()
		<-ended
	})
}

// TestPump: nothing that comes is lost or changes places, however it is cut into
// batches.
func TestPump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ch := make(chan *nats.Msg, liveQueue)
		var got, want []string
		ended := make(chan struct{})
		go func() {
			Pump(ctx, ch, func(batch []*nats.Msg) {
				for _, m := range batch {
					got = append(got, m.Subject)
				}
			})
			close(ended)
		}()
		for i := range 5 * liveBatch / 2 {
			want = append(want, fmt.Sprint(i))
			ch <- &nats.Msg{Subject: want[i]}
		}
		synctest.Wait()
		cancel()
		<-ended
		if !slices.Equal(got, want) {
			t.Errorf("%d of %d messages, or another order", len(got), len(want))
		}
	})
}
