package stats

import (
	"sync"
	"time"
)

// Way is how a service was asked.
type Way uint8

const (
	WayHTTP      Way = iota // a request over HTTP
	WayWebSocket            // a message
	WayError                // either, and it failed

	numWays
)

// Bounds of [Traffic]. An hour of one way takes up to 15 KiB, but only for the minutes
// in which something came.
const (
	trafficServices = 1024
	trafficPending  = 1024
)

// Nobody is the name in the errors for all services that nobody runs. No service can
// have it.
const Nobody = "*"

// hourSeconds is how far back an hour reaches.
const hourSeconds = 3600

// hour counts by second, for the last hour. Minutes are a ring; it has one more than
// an hour, because the oldest of them is not over yet.
type hour struct {
	minutes [61]*[60]uint32 // nil: nothing came
	last    int64           // the latest second
}

// advance moves the hour to a second, and forgets what is older than it.
func (h *hour) advance(second int64) {
	if second <= h.last {
		return
	}
	if second-h.last >= int64(len(h.minutes))*60 {
		h.minutes = [len(h.minutes)]*[60]uint32{}
	}
	for m := h.last/60 + 1; m <= second/60 && m <= h.last/60+int64(len(h.minutes)); m++ {
		h.minutes[m%int64(len(h.minutes))] = nil
	}
	h.last = second
}

func (h *hour) add(second int64, n uint32) {
	h.advance(second)
	if second <= h.last-hourSeconds {
		return
	}
	page := &h.minutes[second/60%int64(len(h.minutes))]
	if *page == nil {
		*page = new([60]uint32)
	}
	(*page)[second%60] += n
}

// values returns a number for each second up to now, oldest first.
func (h *hour) values(now int64) []uint32 {
	h.advance(now)
	list := make([]uint32, hourSeconds)
	for i := range list {
		second := now - hourSeconds + 1 + int64(i)
		if page := h.minutes[second/60%int64(len(h.minutes))]; page != nil {
			list[i] = page[second%60]
		}
	}
	return list
}

// served is what one service got.
type served [numWays]*hour

func (s *served) add(way Way, second int64, n uint32) {
	if s[way] == nil {
		s[way] = new(hour)
	}
	s[way].add(second, n)
}

// idle reports whether nothing came for an hour.
func (s *served) idle(now int64) bool {
	for _, h := range s {
		if h != nil && h.last > now-hourSeconds {
			return false
		}
	}
	return true
}

// pending is what came for a name of which it is not known whether a service has it.
type pending struct {
	second int64
	counts [numWays]uint32
}

// Traffic counts what services got, by second. Whoever sends may make names up, so
// that a name has numbers only once it is known that a service runs under it. Safe for
// concurrent use.
type Traffic struct {
	// Guarded by mu.
	mu       sync.Mutex
	services map[string]*served
	pending  map[string]*pending
	nobody   hour
}

// NewTraffic returns one that has counted nothing.
func NewTraffic() *Traffic {
	return &Traffic{services: make(map[string]*served), pending: make(map[string]*pending)}
}

// Add counts n for a service.
func (t *Traffic) Add(service string, way Way, now time.Time, n uint32) {
	second := now.Unix()
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.services[service]; s != nil {
		s.add(way, second, n)
		return
	}
	p := t.pending[service]
	switch {
	case p == nil && len(t.pending) >= trafficPending:
		if way != WayError { // which is one of the others as well
			t.nobody.add(second, n)
		}
		return
	case p == nil:
		p = new(pending)
		t.pending[service] = p
	}
	p.second = second
	p.counts[way] += n
}

// Unsettled reports whether there are names of which it is not known whether a service
// has them.
func (t *Traffic) Unsettled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending) > 0
}

// Settle tells which services run. What came for other names counts as errors.
func (t *Traffic) Settle(running []string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	exists := make(map[string]bool, len(running))
	for _, name := range running {
		exists[name] = true
	}
	for name, s := range t.services {
		if !exists[name] && s.idle(now.Unix()) {
			delete(t.services, name)
		}
	}
	for _, name := range running {
		if t.services[name] == nil && len(t.services) < trafficServices {
			t.services[name] = new(served)
		}
	}
	for name, p := range t.pending {
		s := t.services[name]
		for way, n := range p.counts {
			switch {
			case n == 0:
			case s != nil:
				s.add(Way(way), p.second, n)
			case Way(way) != WayError:
				t.nobody.add(p.second, n)
			}
		}
	}
	clear(t.pending)
}

// Hours are the numbers of [Traffic], by service: one for each second of the last
// hour, oldest first.
type Hours struct {
	HTTP      map[string][]uint32 `json:"httpStats"`
	WebSocket map[string][]uint32 `json:"wsStats"`
	Errors    map[string][]uint32 `json:"errorStats"`
}

// Hours returns what was counted until now. Every service that runs has numbers of
// both ways; in the errors are those that had one, and [Nobody].
func (t *Traffic) Hours(now time.Time) Hours {
	second := now.Unix()
	h := Hours{make(map[string][]uint32), make(map[string][]uint32), make(map[string][]uint32)}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, s := range t.services {
		h.HTTP[name], h.WebSocket[name] = s.values(WayHTTP, second), s.values(WayWebSocket, second)
		if s[WayError] != nil {
			h.Errors[name] = s[WayError].values(second)
		}
	}
	h.Errors[Nobody] = t.nobody.values(second)
	return h
}

// nothing is an hour in which nothing came. Read only.
var nothing = make([]uint32, hourSeconds)

func (s *served) values(way Way, now int64) []uint32 {
	if s[way] == nil {
		return nothing
	}
	return s[way].values(now)
}

// TrafficTally is what one loop counts of [Traffic], so that loops share nothing for
// each message. Its methods are called on the loop.
type TrafficTally struct {
	to     *Traffic
	second int64
	counts map[string]uint32
}

// tallyNames bounds the names of one second on one loop.
const tallyNames = 256

// NewTrafficTally returns a tally for t.
func NewTrafficTally(t *Traffic) *TrafficTally {
	return &TrafficTally{to: t, counts: make(map[string]uint32)}
}

// Add counts a message of a WebSocket for a service.
func (t *TrafficTally) Add(service string, now time.Time) {
	if now.Unix() != t.second || len(t.counts) >= tallyNames {
		t.Flush()
		t.second = now.Unix()
	}
	t.counts[service]++
}

// Flush hands on what was counted.
func (t *TrafficTally) Flush() {
	for service, n := range t.counts {
		t.to.Add(service, WayWebSocket, time.Unix(t.second, 0), n)
	}
	clear(t.counts)
}
