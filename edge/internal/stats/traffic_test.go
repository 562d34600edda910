package stats

import (
	"fmt"
	"testing"
	"time"
)

func sum(list []uint32) (n uint32) {
	for _, v := range list {
		n += v
	}
	return n
}

// TestTraffic: a number for each second of the last hour, oldest first, of services
// that run; what came before it was known that they run counts as well.
func TestTraffic(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := NewTraffic()
	tr.Add("echo", WayHTTP, now, 2)
	if h := tr.Hours(now); len(h.HTTP) != 0 || sum(h.Errors[Nobody]) != 0 || !tr.Unsettled() {
		t.Errorf("%d services before it is known which there are", len(h.HTTP))
	}
	tr.Settle([]string{"echo", "quiet"}, now)
	tr.Add("echo", WayWebSocket, now.Add(time.Second), 3)
	tr.Add("echo", WayError, now.Add(2*time.Second), 1)
	now = now.Add(2 * time.Second)
	h := tr.Hours(now)
	for _, name := range []string{"echo", "quiet"} {
		if len(h.HTTP[name]) != 3600 || len(h.WebSocket[name]) != 3600 {
			t.Errorf("%s: %d and %d numbers", name, len(h.HTTP[name]), len(h.WebSocket[name]))
		}
	}
	if h.HTTP["echo"][3597] != 2 || h.WebSocket["echo"][3598] != 3 || h.Errors["echo"][3599] != 1 || sum(h.HTTP["echo"]) != 2 || tr.Unsettled() {
		t.Errorf("%v %v %v", h.HTTP["echo"][3590:], h.WebSocket["echo"][3590:], h.Errors["echo"][3590:])
	}
	if _, there := h.Errors["quiet"]; there || sum(h.WebSocket["quiet"]) != 0 {
		t.Error("the other one got something")
	}
	// An hour later it is over, second by second, and then gone.
	for after, want := range map[int]uint32{3597: 2, 3598: 0} {
		if h := tr.Hours(now.Add(time.Duration(after) * time.Second)); after == 3598 && sum(h.HTTP["echo"]) != want {
			t.Errorf("after %d s: %d", after, sum(h.HTTP["echo"]))
		}
	}
	tr.Settle(nil, now.Add(2*time.Hour))
	if h := tr.Hours(now.Add(2 * time.Hour)); len(h.HTTP) != 0 {
		t.Error("still there")
	}
}

// TestHour: it agrees with a plain list, wherever the minute stands, with pauses of
// all lengths.
func TestHour(t *testing.T) {
	for _, step := range []int64{1, 7, 59, 60, 61, 599, 3599, 3600, 3601, 3659, 3660, 3661, 10_000} {
		var h hour
		plain := make(map[int64]uint32)
		for second := int64(1_800_000_017); second < 1_800_000_017+20*step; second += step {
			h.add(second, 1)
			h.add(second-1, 1) // a loop is late
			plain[second]++
			plain[second-1]++
			for i, got := range h.values(second) {
				if want := plain[second-3599+int64(i)]; got != want {
					t.Fatalf("step %d, %d s ago: %d, want %d", step, 3599-i, got, want)
				}
			}
		}
	}
}

// TestTrafficOfNobody: names that senders make up cost nothing, and are errors.
func TestTrafficOfNobody(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := NewTraffic()
	for i := range 10_000 {
		tr.Add(fmt.Sprint("made-up-", i), WayWebSocket, now, 1)
		tr.Add(fmt.Sprint("made-up-", i), WayError, now, 1)
	}
	if len(tr.pending) > trafficPending {
		t.Errorf("%d names wait", len(tr.pending))
	}
	tr.Settle([]string{"echo"}, now)
	h := tr.Hours(now)
	if len(tr.pending) != 0 || len(tr.services) != 1 || len(h.Errors) != 1 || h.Errors[Nobody][3599] < 10_000 {
		t.Errorf("%d wait, %d services, errors %d", len(tr.pending), len(tr.services), h.Errors[Nobody][3599])
	}
	var many []string
	for i := range trafficServices + 10 {
		many = append(many, fmt.Sprint("s", i))
	}
	tr.Settle(many, now.Add(time.Second))
	if len(tr.services) > trafficServices {
		t.Errorf("%d services", len(tr.services))
	}
}

// TestTrafficTally: what a loop has counted arrives in its second.
func TestTrafficTally(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := NewTraffic()
	tr.Settle([]string{"echo"}, now)
	tally := NewTrafficTally(tr)
	for range 5 {
		tally.Add("echo", now)
	}
	tally.Add("echo", now.Add(time.Second))
	tally.Flush()
	if h := tr.Hours(now.Add(time.Second)); h.WebSocket["echo"][3598] != 5 || h.WebSocket["echo"][3599] != 1 {
		t.Error(h.WebSocket["echo"][3590:])
	}
	for i := range 10 * tallyNames {
		tally.Add(fmt.Sprint(i), now)
	}
	if len(tally.counts) > tallyNames {
		t.Errorf("%d names on a loop", len(tally.counts))
	}
	if n := testing.AllocsPerRun(100, func() { tally.Add("1", now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
