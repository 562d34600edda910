package wire

import "time"

// price is the cost of one unit in nanoseconds of a connection's allowance, and the
// amount that can be spent ahead. This is the generic cell rate algorithm: it
// needs one word a connection, where x/time/rate needs a mutex and five words.
type price struct {
	each  float64 // ns a unit; 0: free
	burst time.Duration
}

func newPrice(rate, burst float64) price {
	if rate <= 0 {
		return price{}
	}
	each := float64(time.Second) / rate
	return price{each: each, burst: time.Duration(each * burst)}
}

// bucket is the time up to which a connection has spent its allowance.
type bucket time.Duration

// take spends n units at time now, unless the burst is used up.
func (b *bucket) take(p price, n int, now time.Duration) bool {
	if p.each == 0 {
		return true
	}
	spent := max(time.Duration(*b), now) + time.Duration(p.each*float64(n))
	if spent-now > p.burst {
		return false
	}
	*b = bucket(spent)
	return true
}
