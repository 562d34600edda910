package quota

import (
	"sync/atomic"
	"time"
)

// Rate is what is allowed in a second, and how much of it at once. The zero value
// allows everything.
type Rate struct {
	each  float64 // ns a unit; 0: no bound
	burst time.Duration
}

// NewRate returns a rate of so many units a second; 0: no bound. As much as comes in
// the time of burst may be taken at once, and least in any case.
func NewRate(perSecond float64, burst time.Duration, least float64) Rate {
	if perSecond <= 0 {
		return Rate{}
	}
	each := float64(time.Second) / perSecond
	return Rate{each: each, burst: max(burst, time.Duration(each*least))}
}

// times is the rate of so many senders together.
func (r Rate) times(n float64) Rate { return Rate{each: r.each / n, burst: r.burst} }

// bucket is the time up to which an allowance is spent. Safe for concurrent use.
type bucket struct{ spent atomic.Int64 }

// take spends n units, unless there are not as many left.
func (b *bucket) take(r Rate, n int, now time.Duration) bool {
	if r.each == 0 {
		return true
	}
	cost := int64(r.each * float64(n))
	for {
		before := b.spent.Load()
		after := max(before, int64(now)) + cost
		if after-int64(now) > int64(r.burst) {
			return false
		}
		if b.spent.CompareAndSwap(before, after) {
			return true
		}
	}
}

// left reports whether a unit is left.
func (b *bucket) left(r Rate, now time.Duration) bool {
	return r.each == 0 || max(b.spent.Load(), int64(now))+int64(r.each)-int64(now) <= int64(r.burst)
}

// resting reports whether nothing is spent.
func (b *bucket) resting(now time.Duration) bool { return b.spent.Load() <= int64(now) }
