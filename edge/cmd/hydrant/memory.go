package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A process that has just taken in thousands of sessions, or moved a backlog,
// holds as much garbage as sessions, and goes on holding it while it is idle:
// the next collection is due when the heap has doubled, or after two minutes.
// tendMemory collects, and gives back to the system what is free, once such a
// burst is over. An idle session then takes 1.3 to 1.6 KiB in place of 2 to 3 (go run
// ./integration/bench -only idle). It never runs under load: what is being
// allocated all the time is best left to the collector's own pacing. Rejected: to
// let a small heap grow to 64 MiB before it is collected. It took a tenth off the
// processor time of a resume and nothing off a message's at 2,000 a second, and
// left the heap so sparse that an idle session took 2.1 KiB.
const (
	tendEvery = time.Second
	tendQuiet = 1 << 20 // bytes allocated within tendEvery: not more, or there is load
	tendWorth = 8 << 20 // bytes allocated since the last time: less is not worth it
	tendPause = 5 * time.Second
)

// tender decides when. Its times are of any clock that runs evenly.
type tender struct {
	total uint64 // bytes allocated so far, when last asked
	done  uint64 // … when it was last time to act
	last  time.Duration
	acted bool
}

// due takes the bytes that were allocated so far, and reports whether it is time
// to give memory back.
func (t *tender) due(now time.Duration, total uint64) bool {
	fresh := total - t.total
	t.total = total
	if fresh > tendQuiet || total-t.done < tendWorth || t.acted && now-t.last < tendPause {
		return false
	}
	t.done, t.last, t.acted = total, now, true
	return true
}

// tendMemory runs until ctx ends.
func tendMemory(ctx context.Context) {
	start := time.Now()
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var t tender
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		metrics.Read(sample)
		if t.due(time.Since(start), sample[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}
