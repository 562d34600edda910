package egress

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// proved is a publish whose sender waits to know that NATS has it.
func proved(data string, done func(uint64, error)) Op {
	p := published(data)
	p.Proved, p.Done = true, done
	return p
}

// TestProofs: one question for all that was published before it, and what is published
// while it is asked has the next one.
func TestProofs(t *testing.T) {
	inBox(t, func(b *box) {
		b.nats.flush = make(chan error)
		var told []string
		tell := func(name string) func(uint64, error) {
			return func(_ uint64, err error) { told = append(told, fmt.Sprint(name, " ", err)) }
		}
		b.give(proved("a", tell("a")), published("b"), proved("c", tell("c")))
		b.give(proved("d", tell("d")))
		b.give(proved("e", tell("e")))
		if b.Operations() != 4 {
			t.Errorf("%d wait, want 4", b.Operations())
		}
		const publish = "publish umf.v1.svc.echo reply "
		want := []string{publish + "a", publish + "b", publish + "c", "flush", publish + "d", publish + "e"}
		if heard := b.nats.heard(); !slices.Equal(heard, want) || told != nil {
			t.Errorf("NATS is asked for %q, and the senders know %q", heard, told)
		}
		b.nats.flush <- nil
		synctest.Wait()
		if !slices.Equal(told, []string{"a <nil>", "c <nil>"}) || !slices.Equal(b.nats.heard(), []string{"flush"}) {
			t.Errorf("the senders know %q", told)
		}
		b.nats.flush <- nil
		synctest.Wait()
		if !slices.Equal(told[2:], []string{"d <nil>", "e <nil>"}) || b.refused.ran != 2 || b.Operations() != 0 {
			t.Errorf("the senders know %q; %d behind what was refused; %d wait", told, b.refused.ran, b.Operations())
		}
	})
}

// TestUnproved: where NATS does not answer, or something of what it says was dropped,
// the sender is told that it is not known. What NATS did not take is an error as any.
func TestUnproved(t *testing.T) {
	inBox(t, func(b *box) {
		b.nats.flush = make(chan error, 1)
		var last error
		note := func(_ uint64, err error) { last = err }
		b.nats.flush <- errFake
		b.give(proved("a", note))
		if !errors.Is(last, ErrUnproved) || !errors.Is(last, errFake) {
			t.Errorf("no PONG: %v", last)
		}
		last = nil
		b.give(proved("b", note))
		time.Sleep(proofTime)
		synctest.Wait()
		if !errors.Is(last, ErrUnproved) {
			t.Errorf("no PONG in time: %v", last)
		}
		b.refused.dropped = 3
		b.nats.flush <- nil
		b.give(proved("c", note))
		if !errors.Is(last, ErrUnproved) {
			t.Errorf("the word that nobody listens may have been dropped: %v", last)
		}
		b.nats.flush <- nil
		b.give(proved("d", note))
		if last != nil {
			t.Errorf("then: %v", last)
		}
		b.nats.fails = errFake
		b.give(proved("e", note))
		if !errors.Is(last, errFake) || errors.Is(last, ErrUnproved) {
			t.Errorf("not published: %v", last)
		}
		b.nats.fails = nil
		b.give(proved("f", note)) // and waits at the end
	})
}
