package edge

import (
	"fmt"
	"runtime"
	rtm "runtime/metrics"
	"time"

	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
)

// Shedding, by share of the process's memory limit (GOMEMLIMIT, which the
// binary derives from the container or machine). Above memoryFull the node drops
// what it keeps for parked sessions; if that does not help it
// refuses new clients with 503 and is not ready, so that the balancer takes
// another; that ends below memoryRoom. Above memoryCritical it closes clients
// with 1013, those first whose buffers are large. Their sessions are parked and
// go on elsewhere.
const (
	memoryFull     = 0.85
	memoryRoom     = 0.80
	memoryCritical = 0.95
	memoryEvery    = 100 * time.Millisecond

	// worthDropping is the share of the limit that tails have to take for that they
	// are all that is dropped at first.
	worthDropping = 0.01

	// memoryBuffers is the share of the limit that partial messages and queued
	// output of all clients may take; a client that needs more is closed 1013.
	memoryBuffers = 4
)

// gauge reads how much memory the process needs. Not for concurrent use.
type memoryGauge struct{ samples []rtm.Sample }

func newMemoryGauge() *memoryGauge {
	g := &memoryGauge{}
	for _, name := range []string{
		"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes",
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
		"/gc/heap/live:bytes",
	} {
		g.samples = append(g.samples, rtm.Sample{Name: name})
	}
	return g
}

// read returns what is mapped, which is what the limit bounds, and what of it
// is needed: all but garbage and free room in the heap. The collector lets
// garbage grow up to the limit where it can, so what is mapped alone says
// little. What was allocated since the last collection does not count as
// needed yet; as the limit comes nearer, collections become more frequent.
func (g *memoryGauge) read() (mapped, needed int64) {
	rtm.Read(g.samples)
	value := func(i int) int64 { return int64(g.samples[i].Value.Uint64()) }
	mapped = value(0) - value(1)
	return mapped, mapped - value(2) - value(3) - value(4) + value(5)
}

// watchMemory sheds while the process is near its memory limit.
func (n *Node) watchMemory(limit int64) {
	gauge := newMemoryGauge()
	n.metrics.MemoryLimit.Set(float64(limit))
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	for {
		mapped, needed := gauge.read()
		if critical := int64(memoryCritical * float64(limit)); needed >= critical || mapped > limit {
			runtime.GC() // what was just shed, or never needed, is not to be shed for again
			if _, needed = gauge.read(); needed >= critical {
				n.all((*shard.Shard).Shed)
			}
		}
		n.metrics.MemoryNeeded.Set(float64(needed))
		n.judgeMemory(float64(needed)/float64(limit), limit)
		n.judgeBuffers()
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// judgeBuffers decides the same by what messages under way and queued output take. A
// client that comes all the same is served: what it needs is taken from whoever holds
// most.
func (n *Node) judgeBuffers() {
	if n.server.Strained() {
		n.ready.not(stats.PartBuffers, "messages under way and output that clients do not read take nearly all memory that is for them")
		return
	}
	n.ready.now(stats.PartBuffers)
}

// judgeMemory decides whether the node takes new clients.
func (n *Node) judgeMemory(share float64, limit int64) {
	short := n.short.Load()
	switch {
	case !short && share >= memoryFull && n.dropTails(limit):
	case !short && share >= memoryFull:
		n.log.Warn("short of memory: no new clients", "share", share, "limit", limit, "connections", n.connections())
		n.short.Store(true) // first, so that whom this refuses is counted
		n.ready.not(stats.PartMemory, fmt.Sprintf("over %.0f %% of %d MiB are needed", memoryRoom*100, limit>>20))
	case short && share < memoryRoom:
		n.log.Info("enough memory again", "share", share)
		n.ready.now(stats.PartMemory)
		n.short.Store(false)
	}
}

// dropTails drops what is kept for parked sessions, which others can read, and reports
// whether that may be enough: the next look tells.
func (n *Node) dropTails(limit int64) bool {
	tails, bytes := n.shared.Tails.Held()
	passes := n.shared.Crowd.Drop()
	bytes += int64(passes)
	if tails == 0 && passes == 0 {
		return false
	}
	n.log.Info("short of memory: what is kept for parked sessions, and for those that return, is dropped", "sessions", tails, "bytes", bytes)
	n.all((*shard.Shard).DropTails)
	return float64(bytes) >= worthDropping*float64(limit)
}
