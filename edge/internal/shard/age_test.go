package shard

import (
	"slices"
	"testing"
	"time"

	"hydrant/edge/internal/protocol"
)

// TestRetirement: connections that come together do not end together.
func TestRetirement(t *testing.T) {
	const age = time.Hour
	l := newLab(t)
	s := l.one(func(n *Node) { n.Config.MaxConnectionAge = age })
	ages := make([]time.Duration, 10_000)
	for i := range ages {
		ages[i] = time.Duration(s.retirement())*ageUnit - s.uptime()
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
	s.node.Config.MaxConnectionAge = 0
	if s.retirement() != 0 {
		t.Error("a connection ends although ages are off")
	}
}

// TestRetire: a client is closed when its time has come, and not before; one that
// has gone by itself is not counted.
func TestRetire(t *testing.T) {
	const age = time.Hour
	l := newLab(t)
	s := l.one(func(n *Node) { n.Config.MaxConnectionAge = age })
	c, gone := s.dial(), s.dial()
	l.advance(age*9/10 - time.Second)
	if c.code != 0 {
		t.Fatalf("closed with %d, %s, retired %v", c.code, c.reason, s.node.metric("hydrant_retired_total"))
	}
	gone.drop()
	l.advance(age*2/10 + 2*time.Second)
	c.closed(protocol.CloseRestart)
	l.parked(c.id)
	if n := s.node.metric("hydrant_retired_total"); n != 1 {
		t.Errorf("%v are counted", n)
	}
}
