package egress

import (
	"sync"
	"sync/atomic"

	"hydrant/edge/internal/stats"
)

// Workers bounds the blocking NATS calls (directory reads, mailbox reads)
// that a node has under way at once, and with it the load that a mass
// reconnect puts on NATS.
const Workers = 64

// queueLimit bounds the calls that wait for a worker.
const queueLimit = 1 << 16

// maxIdlers bounds the calls of SubmitIdle.
const maxIdlers = 1024

// Pool runs blocking calls for the loops. A job ends by posting its result to
// the loop that asked.
type Pool struct {
	m    *stats.Metrics
	jobs chan func()
	busy atomic.Int64 // workers in a call
	idle atomic.Int64 // calls of SubmitIdle
	wg   sync.WaitGroup

	// Guarded by mu: submit must not meet a closed channel.
	mu     sync.RWMutex
	closed bool
}

// NewPool starts the workers. Stop ends them.
func NewPool(m *stats.Metrics) *Pool {
	p := &Pool{m: m, jobs: make(chan func(), queueLimit)}
	for range Workers {
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

// Submit queues a job and reports false when the queue is at its bound or the
// pool is stopping. It never blocks.
func (p *Pool) Submit(job func()) bool {
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

// SubmitIdle is Submit for a job that mostly waits, for a proof of the directory
// that many share: on a goroutine of its own, so that it keeps no worker from
// others, and at once. It reports false where there are too many of them.
func (p *Pool) SubmitIdle(job func()) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return false
	}
	if p.idle.Add(1) > maxIdlers {
		p.idle.Add(-1)
		p.m.PoolFull.Inc()
		return false
	}
	p.wg.Go(func() {
		defer p.idle.Add(-1)
		job()
	})
	return true
}

// Waiting returns how many jobs wait for a worker. Any goroutine may call it, like
// Busy.
func (p *Pool) Waiting() int { return len(p.jobs) }

// Busy returns how many workers are in a call.
func (p *Pool) Busy() int64 { return p.busy.Load() }

// Stop lets the queued jobs finish and ends the workers.
func (p *Pool) Stop() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.jobs)
	}
	p.mu.Unlock()
	p.wg.Wait()
}
