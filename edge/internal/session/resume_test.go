package session

import (
	"fmt"
	"testing"
)

// outcome performs effects by noting what a resume has led to.
type outcome struct {
	sink
	asked []uint64
	gap   string
	first uint64
}

func (o *outcome) Read(_, anchor uint64, _ int) { o.asked = append(o.asked, anchor) }

func (o *outcome) Gap(g Gap) bool {
	if o.gap == "" {
		o.gap = fmt.Sprintf("%v %d-%d", g.Why, g.From, g.To)
	}
	return true
}

func (o *outcome) Write(m Out) bool {
	if o.first == 0 {
		o.first = m.Seq
	}
	return true
}

// TestResumeVerdicts goes through the answers that the leader can give about the
// positions of a resume while 37 and 39 are in the mailbox: which positions the
// session asks for, which gap it declares, and where it reads on. In another
// log 12 is there as well.
func TestResumeVerdicts(t *testing.T) {
	const p, g, f = Present, Gone, Foreign
	for _, c := range []struct {
		floor, seen uint64
		answers     []AnchorState
		asked       string
		gap         string
		first       uint64
	}{
		// One position.
		{20, 20, []AnchorState{p}, "[20]", "", 37},
		{20, 20, []AnchorState{g}, "[20]", "overflow 21-36", 37},
		{20, 20, []AnchorState{f}, "[20 0]", "rollback 1-11", 12},
		// A client's sequence alone: it may be a gap's, and nothing else is known.
		{20, 0, []AnchorState{p}, "[20]", "", 37},
		{20, 0, []AnchorState{g}, "[20]", "overflow 21-36", 37},
		{20, 0, []AnchorState{f}, "[20]", "overflow 1-36", 37},
		// A floor above the message that can be relied on.
		{30, 20, []AnchorState{p}, "[30]", "", 37},
		{30, 20, []AnchorState{g, p}, "[30 20]", "", 37},
		{30, 20, []AnchorState{g, g}, "[30 20]", "overflow 31-36", 37},
		{30, 20, []AnchorState{g, f}, "[30 20 0]", "rollback 1-11", 12},
		{30, 20, []AnchorState{f, p}, "[30 20 0]", "rollback 1-11", 12},
		{30, 20, []AnchorState{f, g}, "[30 20]", "overflow 21-36", 37},
		{30, 20, []AnchorState{f, f}, "[30 20 0]", "rollback 1-11", 12},
		// A marker without TTL above the floor.
		{20, 30, []AnchorState{p}, "[20]", "", 37},
		{20, 30, []AnchorState{g, p}, "[20 30]", "", 37},
		{20, 30, []AnchorState{g, g}, "[20 30]", "overflow 21-36", 37},
		{20, 30, []AnchorState{g, f}, "[20 30 0]", "rollback 1-11", 12},
		{20, 30, []AnchorState{f, p}, "[20 30]", "", 37},
		{20, 30, []AnchorState{f, g}, "[20 30]", "overflow 21-36", 37},
		{20, 30, []AnchorState{f, f}, "[20 30 0]", "rollback 1-11", 12},
		// No floor at all.
		{0, 0, nil, "[0]", "overflow 1-11", 12},
		{0, 20, []AnchorState{p}, "[20]", "", 37},
		{0, 20, []AnchorState{g}, "[20]", "overflow 1-36", 37},
		{0, 20, []AnchorState{f}, "[20 0]", "rollback 1-11", 12},
	} {
		t.Run(fmt.Sprintf("%d,%d,%v", c.floor, c.seen, c.answers), func(t *testing.T) {
			s, fx := newSession(Acked, &Options{}), &outcome{}
			s.Attach(Position{Floor: c.floor, Seen: c.seen}, false, false, fx)
			s.Live(Copy{Seq: 40, Prev: 39, Mark: fx.marks, TTL: true}, fx)
			for i := 0; i < len(fx.asked); i++ {
				if fx.asked[i] == 0 { // from the start
					s.Live(Copy{Seq: 41, Prev: 40, Mark: fx.marks, TTL: true}, fx)
					s.Batch(Batch{Oldest: 12, Msgs: []Stored{{Seq: 12}, {Seq: 37}, {Seq: 39}, {Seq: 40, Mark: true, TTL: true}}}, fx)
					break
				}
				s.Batch(Batch{Anchor: c.answers[i], Oldest: 37, Msgs: []Stored{{Seq: 37}, {Seq: 39}}}, fx)
				if s.State() == Attaching { // another log
					s.Live(Copy{Seq: 41, Prev: 40, Mark: fx.marks, TTL: true}, fx)
				}
			}
			if got := fmt.Sprint(fx.asked); got != c.asked || fx.gap != c.gap || fx.first != c.first || s.State() != Live {
				t.Errorf("asked %s, gap %q, first %d, %v; want %s, %q, %d, live", got, fx.gap, fx.first, s.State(), c.asked, c.gap, c.first)
			}
		})
	}
}

// TestNames: labels are distinct.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	note := func(s string) {
		if s == "" || seen[s] {
			t.Errorf("label %q is empty or repeated", s)
		}
		seen[s] = true
	}
	for e := range NumEvents {
		note(e.String())
	}
	for st := Idle; st <= Stopped; st++ {
		note(st.String())
	}
	for w := Overflow; w <= Rollback; w++ {
		note(w.String())
	}
	for a := Unchecked; a <= Foreign; a++ {
		note(a.String())
	}
	note(Plain.String())
	note(Acked.String())
}

func TestBackoff(t *testing.T) {
	var o Options
	for _, c := range []struct {
		tries        uint8
		marker, read string
	}{
		{0, "150ms", "20ms"}, {1, "300ms", "40ms"}, {3, "1.2s", "160ms"},
		{5, "4.8s", "640ms"}, {6, "5s", "1.28s"}, {63, "5s", "2s"}, {255, "5s", "2s"},
	} {
		if m, r := o.markerDelay(c.tries).String(), o.readDelay(c.tries).String(); m != c.marker || r != c.read {
			t.Errorf("after %d tries: %s and %s, want %s and %s", c.tries, m, r, c.marker, c.read)
		}
	}
}
