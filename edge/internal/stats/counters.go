package stats

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hydrant/edge/internal/session"
)

// Label is an enum whose words are the values of a metric's label. It counts
// from zero, without holes.
type Label interface {
	~uint8
	String() string
}

// Counters is a counter with one label. All its series are there from the
// start. Safe for concurrent use.
type Counters[L Label] struct {
	of []prometheus.Counter // by the label's value
}

// resolve takes the first n values of the label.
func resolve[L Label](vec *prometheus.CounterVec, n int) Counters[L] {
	c := Counters[L]{make([]prometheus.Counter, n)}
	for i := range c.of {
		c.of[i] = vec.WithLabelValues(L(i).String())
	}
	return c
}

// Inc counts one.
func (c Counters[L]) Inc(l L) { c.of[l].Inc() }

// Counting returns a function that counts one, for those that know no labels.
func (c Counters[L]) Counting(l L) func() { return c.of[l].Inc }

// sampleEvery is how often what happens again and again is logged.
const sampleEvery = time.Second

// Sampled counts what clients can have happen as often as they like, and says when
// it is to be logged. Safe for concurrent use.
type Sampled[L Label] struct {
	of      Counters[L]
	samples []sample // by the label's value
}

// sample is what was not logged of one value.
type sample struct {
	next   atomic.Int64 // when the next line is due, Unix ns
	silent atomic.Uint64
}

func sampled[L Label](c Counters[L]) Sampled[L] { return Sampled[L]{c, make([]sample, len(c.of))} }

// Inc counts one, and returns how many a line in the log would stand for: all since
// the last line, or 0 if that is not a second ago.
func (s Sampled[L]) Inc(l L, now time.Time) (count uint64) {
	s.of.Inc(l)
	one := &s.samples[l]
	one.silent.Add(1)
	due := one.next.Load()
	if now.UnixNano() < due || !one.next.CompareAndSwap(due, now.Add(sampleEvery).UnixNano()) {
		return 0
	}
	return one.silent.Swap(0)
}

// Gauges is a gauge with one label. All its series are there from the start. Safe for
// concurrent use.
type Gauges[L Label] struct {
	of []prometheus.Gauge // by the label's value
}

// Set sets one.
func (g Gauges[L]) Set(l L, value float64) { g.of[l].Set(value) }

// Flags is a gauge with one label whose series are 1 or 0. All are there from the
// start. Safe for concurrent use.
type Flags[L Label] struct {
	of []prometheus.Gauge // by the label's value
}

// Set raises or lowers one.
func (f Flags[L]) Set(l L, up bool) {
	value := 0.0
	if up {
		value = 1
	}
	f.of[l].Set(value)
}

// numStates is the number of states that a session can be in.
const numStates = session.Stopped + 1

// Sessions counts the sessions of a node by state, and their changes of state. A
// state or change that has not occurred has no series, since most pairs of states
// never do. Safe for concurrent use.
type Sessions struct {
	held    *prometheus.GaugeVec   // by state
	changes *prometheus.CounterVec // by from and to

	// Children of these, from their first use on.
	gauges   [numStates]atomic.Pointer[prometheus.Gauge]
	counters [numStates][numStates]atomic.Pointer[prometheus.Counter]
}

// Move counts a change of state. A session comes from Idle.
func (s *Sessions) Move(from, to session.State) {
	first(&s.counters[from][to], func() prometheus.Counter { return s.changes.WithLabelValues(from.String(), to.String()) }).Inc()
	if from != session.Idle {
		s.gauge(from).Dec()
	}
	s.gauge(to).Inc()
}

// End takes out a session that was in this state.
func (s *Sessions) End(in session.State) { s.gauge(in).Dec() }

func (s *Sessions) gauge(in session.State) prometheus.Gauge {
	return first(&s.gauges[in], func() prometheus.Gauge { return s.held.WithLabelValues(in.String()) })
}

// first returns what p holds, which find finds. Two that come first at the same
// time find the same.
func first[T any](p *atomic.Pointer[T], find func() T) T {
	if v := p.Load(); v != nil {
		return *v
	}
	v := find()
	p.Store(&v)
	return v
}
