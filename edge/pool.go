package edge

import (
	"sync"
	"sync/atomic"

	"hydrant/edge/internal/stats"
)

// poolWorkers bounds the blocking NATS calls (directory reads, mailbox reads)
// that a node has under way at once, and with it the load that a mass
// reconnect puts on NATS.
const poolWorkers = 64

// poolQueue bounds the calls that wait for a worker.
const poolQueue = 1 << 16

// pool runs blocking calls for the loops. A job ends by posting its result to
// the loop that asked.
type pool struct {
	m    *stats.Metrics
	jobs chan func()
	busy atomic.Int64 // workers in a call
	wg   sync.WaitGroup

	// Guarded by mu: submit must not meet a closed channel.
	mu     sync.RWMutex
	closed bool
}

func newPool(m *stats.Metrics) *pool {
	p := &pool{m: m, jobs: make(chan func(), poolQueue)}
	for range poolWorkers {
		p.wg.Go(func() {
			for job := range p.jobs {
				p.busy.Add(1)
				job()
				p.busy.Add(-1)
			}
		})
	}
	return p
}

// submit queues a job and reports false when the queue is at its bound or the
// pool is stopping. It never blocks.
func (p *pool) submit(job func()) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return false
	}
	select {
	case p.jobs <- job:
		return true
	default:
		p.m.PoolFull.Inc()
		return false
	}
}

// stop lets the queued jobs finish and ends the workers.
func (p *pool) stop() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.jobs)
	}
	p.mu.Unlock()
	p.wg.Wait()
}
