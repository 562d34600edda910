package edge

import (
	"slices"
	"testing"
	"time"
)

// TestRetirement: connections that come together do not end together.
func TestRetirement(t *testing.T) {
	const age = time.Hour
	n := &Node{cfg: Config{MaxConnectionAge: age}, started: time.Now()}
	ages := make([]time.Duration, 10_000)
	for i := range ages {
		ages[i] = time.Duration(n.retirement(n.started)) * ageUnit
	}
	slices.Sort(ages)
	first, last := ages[0], ages[len(ages)-1]
	if first < age*9/10-ageUnit || first > age*91/100 || last < age*109/100 || last > age*11/10 {
		t.Errorf("ages from %v to %v", first, last)
	}
	for tenth := 1; tenth < 10; tenth++ {
		at := time.Duration(float64(age) * (0.9 + 0.02*float64(tenth)))
		i, _ := slices.BinarySearch(ages, at)
		if i < len(ages)*(tenth*10-5)/100 || i > len(ages)*(tenth*10+5)/100 {
			t.Errorf("%d of %d end before %v", i, len(ages), at)
		}
	}
	n.cfg.MaxConnectionAge = 0
	if n.retirement(n.started) != 0 {
		t.Error("a connection ends although ages are off")
	}
}
