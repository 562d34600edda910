package egress

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

// stored is an operation that takes a place in the window.
func stored(data string, done func(uint64, error)) Op {
	return Op{Kind: stats.OpStore, SID: testSID, Data: []byte(data), Done: done}
}

func ignore(uint64, error) {}

// published is a publish to a service.
func published(data string) Op {
	return Op{Kind: stats.OpPublish, Subject: "umf.v1.svc.echo", Reply: "reply", Data: []byte(data)}
}

// TestOperations: each kind is asked of NATS with all that belongs to it, in the
// order in which the loop pushed them.
func TestOperations(t *testing.T) {
	inBox(t, func(b *box) {
		sub := &Subscription{}
		live := make(chan *nats.Msg)
		b.Push(Op{Kind: stats.OpSubscribe, Subject: "live", Subscription: sub, Channel: live})
		b.Push(Op{Kind: stats.OpMark, SID: testSID, Marker: store.Marker{ID: 7, Holder: 5, Attempt: 2, Keep: true}})
		b.Push(Op{Kind: stats.OpMark, SID: testSID, Marker: store.Marker{ID: 8, Holder: 5}})
		one := published("one")
		one.Done = func(_ uint64, err error) { t.Errorf("a publish that was done is reported: %v", err) }
		b.Push(one)
		synctest.Wait()
		if heard := b.nats.heard(); heard != nil {
			t.Errorf("before the end of the iteration: %q", heard)
		}
		b.give(
			Op{Kind: stats.OpSave, SID: testSID, Entry: &scheme.Entry{Holder: 3}, Rev: 9, Done: ignore},
			Op{Kind: stats.OpEvent, Event: &scheme.Event{What: scheme.SessionOpened, Session: testSID}},
			Op{Kind: stats.OpUnsubscribe, Subscription: sub},
		)
		b.give(
			Op{Kind: stats.OpStore, SID: testSID, Data: []byte("two"), Mid: "m", From: "f", TTL: time.Second, Done: ignore},
			Op{Kind: stats.OpWork, Service: testService, Data: []byte("three"), Mid: "n", From: "g", Done: ignore},
		)
		want := []string{
			"subscribe live",
			"mark " + string(testSID) + " 7 5.2 true",
			"mark " + string(testSID) + " 8 5.0 false",
			"publish umf.v1.svc.echo reply one",
			"save " + string(testSID) + " 3 9",
			"event " + scheme.EventSubject(scheme.SessionOpened, testSID),
			"store " + string(testSID) + " two m f 1s",
			"work echo three n g",
		}
		if heard := b.nats.heard(); !slices.Equal(heard, want) {
			t.Errorf("NATS is asked for\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(want, "\n"))
		}
		if n := b.failures(stats.OpUnsubscribe); n != 1 || sub.sub != nil { // the fake's subscription has no connection
			t.Errorf("the subscription was ended %v times, and is %v", n, sub.sub)
		}
		b.give(Op{Kind: stats.OpUnsubscribe, Subscription: sub}) // once is enough
		if n := b.failures(stats.OpUnsubscribe); n != 1 {
			t.Errorf("the subscription was ended %v times", n)
		}
	})
}

// TestBytes: as many bytes as may wait for NATS, or for a look-up before that.
// What the loop may not refuse is taken all the same.
func TestBytes(t *testing.T) {
	inBox(t, func(b *box) {
		const part = maxBytes / 4
		b.Keep(part)
		b.Keep(part)
		if b.Strained() {
			t.Error("senders are held back at half of it")
		}
		b.Push(Op{Kind: stats.OpPublish, Data: make([]byte, part)})
		if !b.Strained() || b.Bytes() != 3*part || b.Operations() != 3 {
			t.Errorf("strained %v with %d bytes in %d operations", b.Strained(), b.Bytes(), b.Operations())
		}
		if !b.Room(part) || b.Room(part+1) {
			t.Errorf("room for a quarter %v, for more %v", b.Room(part), b.Room(part+1))
		}
		b.Push(Op{Kind: stats.OpPublish, Data: make([]byte, 2*part)})
		if b.Room(1) || b.Bytes() != 5*part {
			t.Errorf("%d bytes wait, and there is room", b.Bytes())
		}
		b.give()
		if !b.Room(2*part) || b.Room(2*part+1) || b.Operations() != 2 || len(b.nats.heard()) != 2 {
			t.Errorf("%d bytes in %d operations are left once NATS has the others", b.Bytes(), b.Operations())
		}
		b.Drop(part)
		b.Drop(part)
		if b.Bytes() != 0 || b.Operations() != 0 {
			t.Errorf("%d bytes in %d operations are left of nothing", b.Bytes(), b.Operations())
		}
	})
}

// TestOperationsFull: as many messages as may wait for NATS, however small they are.
func TestOperationsFull(t *testing.T) {
	inBox(t, func(b *box) {
		for i := range maxOps {
			if !b.Room(0) {
				t.Fatalf("no room after %d", i)
			}
			if strained := i > maxOps/2; b.Strained() != strained {
				t.Fatalf("strained after %d: %v", i, !strained)
			}
			b.Push(Op{Kind: stats.OpPublish})
		}
		if b.Room(0) || b.Operations() != maxOps {
			t.Errorf("%d operations, and there is room", b.Operations())
		}
		b.Push(Op{Kind: stats.OpMark, SID: testSID}) // of a session
		b.give()
		if n := len(b.nats.heard()); n != maxOps+1 || !b.Room(maxBytes) {
			t.Errorf("NATS got %d operations, %d are left", n, b.Operations())
		}
	})
}

// TestWindow: as many acknowledged publishes are on their way as may. The others
// wait, in order, and keep nothing else from NATS.
func TestWindow(t *testing.T) {
	inBox(t, func(b *box) {
		const over = 3
		var answered []int
		for i := range StoreWindow + over {
			b.Push(stored(fmt.Sprint(i), func(seq uint64, err error) {
				if seq != 5 || err != nil {
					t.Errorf("%d: answered with %d, %v", i, seq, err)
				}
				answered = append(answered, i)
			}))
		}
		b.give(published("passes"))
		heard := b.nats.heard()
		if n := len(heard); n != StoreWindow+1 || heard[0] != "publish umf.v1.svc.echo reply passes" || b.Flying() != StoreWindow {
			t.Fatalf("%d are asked for, first %q; %d are on their way", n, heard[0], b.Flying())
		}
		if b.Operations() != over || b.Bytes() != 4*over {
			t.Errorf("%d operations of %d bytes wait for the window", b.Operations(), b.Bytes())
		}
		b.give(stored("behind", ignore), published("passes"))
		if heard := b.nats.heard(); len(heard) != 1 {
			t.Errorf("with a full window: %q", heard)
		}
		for i := range over {
			b.nats.answer(1, 5, nil)
			synctest.Wait()
			want := fmt.Sprintf("store %s %d   0s", testSID, StoreWindow+i)
			if heard := b.nats.heard(); len(heard) != 1 || heard[0] != want {
				t.Errorf("with a place in the window: %q, want %q", heard, want)
			}
		}
		b.nats.answer(StoreWindow, 5, nil)
		synctest.Wait()
		if heard := b.nats.heard(); len(heard) != 1 || !strings.Contains(heard[0], "behind") || b.Flying() != 1 || b.Operations() != 0 {
			t.Errorf("with an empty window: %q, %d on their way, %d wait", heard, b.Flying(), b.Operations())
		}
		if len(answered) != StoreWindow+over || !slices.IsSorted(answered) {
			t.Errorf("%d are answered", len(answered))
		}
	})
}

// TestRelieve: clients that were held back go on once most of what waited is gone,
// and each time that they were.
func TestRelieve(t *testing.T) {
	for name, test := range map[string]struct {
		hold, leave func(*box)
	}{
		"bytes": {
			func(b *box) { b.Keep(maxBytes/2 + 1) },
			func(b *box) { b.Drop(maxBytes/2 + 1) },
		},
		"operations": {
			func(b *box) {
				for range maxOps/2 + 1 {
					b.Keep(0)
				}
			},
			func(b *box) {
				for range maxOps/2 + 1 {
					b.Drop(0)
				}
			},
		},
		"what NATS has": {
			func(b *box) {
				b.nats.gate = make(chan struct{})
				b.give(Op{Kind: stats.OpPublish, Data: make([]byte, maxBytes/2+1)})
			},
			func(b *box) { close(b.nats.gate) },
		},
		"what the window lets out": {
			func(b *box) {
				for range StoreWindow {
					b.Push(stored("", ignore))
				}
				b.give(stored(strings.Repeat("x", maxBytes/2+1), ignore))
			},
			func(b *box) { b.nats.answer(1, 1, nil) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBox(t, func(b *box) {
				test.hold(b)
				if !b.Strained() {
					t.Fatal("not strained")
				}
				b.Pause()
				b.give(Op{Kind: stats.OpMark, SID: testSID})
				if b.relieved != 0 {
					t.Error("relieved at once")
				}
				test.leave(b)
				synctest.Wait()
				if b.relieved != 1 {
					t.Errorf("relieved %d times", b.relieved)
				}
				b.give(Op{Kind: stats.OpMark, SID: testSID})
				if b.relieved != 1 {
					t.Errorf("relieved %d times, with nothing held back", b.relieved)
				}
			})
		})
	}
}

// TestPauseOfNothing: what strained the outbox may be gone when the loop asks to be
// relieved, and nothing may follow that would tell.
func TestPauseOfNothing(t *testing.T) {
	inBox(t, func(b *box) {
		synctest.Wait()
		b.Pause()
		synctest.Wait()
		if b.relieved != 1 {
			t.Errorf("relieved %d times", b.relieved)
		}
	})
}

// TestClose: what was pushed before the end still gets to NATS, also what waits for
// the window.
func TestClose(t *testing.T) {
	inBox(t, func(b *box) {
		for range StoreWindow + 2 {
			b.Push(stored("", ignore))
		}
		b.Flush()
		b.Close()
		synctest.Wait()
		select {
		case <-b.Done():
			t.Fatal("it has ended, and two are left")
		default:
		}
		b.nats.answer(2, 1, nil)
		<-b.Done()
		if n := len(b.nats.heard()); n != StoreWindow+2 {
			t.Errorf("%d of %d were asked for", n, StoreWindow+2)
		}
	})
}

// TestFailures: what NATS does not do is counted, its sender is told once, and its
// span ends with the error.
func TestFailures(t *testing.T) {
	for _, kind := range []stats.Op{stats.OpPublish, stats.OpStore, stats.OpWork, stats.OpSave, stats.OpMark, stats.OpSubscribe, stats.OpEvent} {
		t.Run(kind.String(), func(t *testing.T) {
			inBox(t, func(b *box) {
				var told []error
				span := &fakeSpan{}
				p := Op{Kind: kind, SID: testSID, Span: span, Subscription: &Subscription{}, Event: &scheme.Event{Session: testSID}, Entry: &scheme.Entry{}}
				reports := kind == stats.OpPublish || kind == stats.OpSave || p.windowed()
				if reports {
					p.Done = func(seq uint64, err error) {
						if seq != 0 {
							t.Errorf("%d with %v", seq, err)
						}
						told = append(told, err)
					}
				}
				b.nats.fails = errFake
				b.give(p)
				// The loop counts what comes of its entries itself.
				if n := b.failures(kind); kind != stats.OpSave && n != 1 {
					t.Errorf("%v failures are counted", n)
				}
				if reports && (len(told) != 1 || told[0] != errFake) {
					t.Errorf("the sender is told %v", told)
				}
				if traced := kind == stats.OpPublish || p.windowed(); traced != (span.ended == 1 && span.err) {
					t.Errorf("the span ended %d times, with an error %v", span.ended, span.err)
				}
				if b.Operations() != 0 || b.Flying() != 0 {
					t.Errorf("%d wait, %d are on their way", b.Operations(), b.Flying())
				}
			})
		})
	}
}

// TestRefusedByTheStore: a publish that the store refuses, or does not confirm, is
// counted, and its sender is told.
func TestRefusedByTheStore(t *testing.T) {
	inBox(t, func(b *box) {
		span := &fakeSpan{}
		var told error
		p := stored("", func(_ uint64, err error) { told = err })
		p.Span = span
		b.give(p)
		if span.ended != 0 {
			t.Error("the span has ended before the store answers")
		}
		b.nats.answer(1, 0, errFake)
		if told != errFake || span.ended != 1 || !span.err || b.failures(stats.OpStore) != 1 || b.Flying() != 0 {
			t.Errorf("told %v, the span ended %d times with an error %v, %v failures, %d on their way",
				told, span.ended, span.err, b.failures(stats.OpStore), b.Flying())
		}
	})
}

// TestSpans: a span ends when NATS has the message: when it is written, for core
// NATS, and when it is stored, for mailboxes.
func TestSpans(t *testing.T) {
	inBox(t, func(b *box) {
		core, acked := &fakeSpan{}, &fakeSpan{}
		p, q := published(""), stored("", ignore)
		p.Span, q.Span = core, acked
		b.give(p, q)
		if core.ended != 1 || acked.ended != 0 {
			t.Errorf("written: ended %d and %d times", core.ended, acked.ended)
		}
		b.nats.answer(1, 1, nil)
		if core.ended != 1 || acked.ended != 1 || core.err || acked.err {
			t.Errorf("stored: ended %d and %d times, with errors %v and %v", core.ended, acked.ended, core.err, acked.err)
		}
	})
}

// TestPublishTime: the time of a frame counts until NATS has it, or until the window
// lets it out.
func TestPublishTime(t *testing.T) {
	inBox(t, func(b *box) {
		time.Sleep(time.Second)
		for range StoreWindow {
			b.Push(stored("", ignore)) // of no frame
		}
		p, q := published(""), stored("", ignore)
		p.At, q.At = time.Since(b.started), time.Since(b.started)
		time.Sleep(time.Second)
		b.give(p, q)
		time.Sleep(time.Second)
		b.nats.answer(1, 1, nil)
		synctest.Wait()
		if count, sum := b.published(); count != 2 || sum != 3 {
			t.Errorf("%d frames took %v seconds", count, sum)
		}
	})
}

// TestRoomOfABurst: the room that a burst took is given back.
func TestRoomOfABurst(t *testing.T) {
	for _, test := range []struct{ length, capacity, left int }{
		{0, 0, 0}, {10, 512, 512}, {10, 513, 0}, {80, 513, 513}, {4096, 4096, 4096}, {4097, 4097, 0},
	} {
		if got := cap(shrunk(make([]Op, test.length, test.capacity))); got != test.left {
			t.Errorf("%d of %d: room for %d is left, want %d", test.length, test.capacity, got, test.left)
		}
	}
}

// TestNothingIsKept: the queues do not keep alive what NATS has.
func TestNothingIsKept(t *testing.T) {
	inBox(t, func(b *box) {
		for range 3 { // through both queues of Run
			b.give(published("text"), published("more"))
			for name, queue := range map[string][]Op{"pending": b.pending, "queue": b.queue} {
				for _, p := range queue[:cap(queue)] {
					if p.Data != nil {
						t.Errorf("%s keeps %q", name, p.Data)
					}
				}
			}
			if b.msg.Data != nil {
				t.Errorf("%q is kept", b.msg.Data)
			}
		}
	})
}

// TestNoAllocations: the way to NATS costs nothing for a publish, beyond what NATS
// itself needs.
func TestNoAllocations(t *testing.T) {
	o := NewOutbox(NATS{Conn: mute{}}, Options{Metrics: stats.New(), Tally: new(stats.Tally)})
	p := published("text")
	if n := testing.AllocsPerRun(1000, func() { o.perform(&p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// mute is a connection that does nothing.
type mute struct{ Conn }

func (mute) PublishMsg(*nats.Msg) error { return nil }
