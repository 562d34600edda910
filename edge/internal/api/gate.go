package api

import (
	"net/http"
	"runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"hydrant/edge/internal/config"
	"hydrant/edge/internal/stats"
)

// Bounds of the requests by path, and of the posts, that are under way.
const (
	gateRequests = 1024      // more than there are plain connections
	gateBytes    = 256 << 20 // without a memory limit; with one, a quarter of it
	gateEach     = 32 << 10  // beside its body
	gateCopies   = 2         // of a body: as it came, and in its message
	gateLarge    = 64 << 10  // from here on a body takes its turn
	gateRate     = 32 << 20  // bytes a second: a turn is over by the time that its body takes at this rate
)

// gate bounds the requests with bodies that are under way, and what these take.
// Safe for concurrent use.
type gate struct {
	// Immutable.
	most    int64 // bytes
	shown   prometheus.Gauge
	waiting prometheus.Gauge // for a turn

	requests, bytes atomic.Int64

	turns chan struct{} // holds one for each that is taken
}

func newGate(shown, waiting prometheus.Gauge) *gate {
	g := &gate{most: gateBytes, shown: shown, waiting: waiting, turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	if limit := config.MemoryLimit(); limit > 0 {
		g.most = limit / 4
	}
	return g
}

// enter lets a request in, before its body is read, of which it takes most bytes at the
// most. leave is to be called once. All its errors are refusals.
func (a *API) enter(r *http.Request, most int64) (leave func(), err error) {
	if a.node.ShortOfMemory() {
		a.node.Metrics.Shed.Inc(stats.ShedRefused)
		return nil, errMemory
	}
	leave, ok := a.gate.enter(r.ContentLength, most)
	if !ok {
		a.node.Metrics.Requests.Inc(stats.RequestRefused)
		return nil, errBusy
	}
	return leave, nil
}

// enter lets a request in whose body has length bytes, and most at the most; -1: it
// does not say. leave is to be called once.
func (g *gate) enter(length, most int64) (leave func(), ok bool) {
	if length < 0 || length > most {
		length = most
	}
	size := gateEach + gateCopies*length
	requests, bytes := g.requests.Add(1), g.bytes.Add(size)
	leave = func() {
		g.shown.Set(float64(g.requests.Add(-1)))
		g.bytes.Add(-size)
	}
	if requests > gateRequests || bytes > g.most && requests > 1 {
		leave()
		return nil, false
	}
	g.shown.Set(float64(requests))
	return leave, true
}
