package bus

import "sync"

// pool runs jobs on a fixed number of goroutines, with a bounded queue before
// them.
type pool struct {
	jobs chan func()   // sent to by offer, closed by close, received by the workers
	idle chan struct{} // closed when the last worker has ended

	// Guarded by mu: offer holds it for reading, so that close cannot close
	// the channel under a sender.
	mu     sync.RWMutex
	closed bool
}

func newPool(queue int) *pool {
	return &pool{jobs: make(chan func(), queue), idle: make(chan struct{})}
}

// start starts n workers. Without start, nothing runs and idle is never closed.
func (p *pool) start(n int) {
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for f := range p.jobs {
				f()
			}
		})
	}
	go func() {
		workers.Wait()
		close(p.idle)
	}()
}

// offer queues a job. It never waits: false means that the queue is full or
// the pool closed.
func (p *pool) offer(f func()) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return false
	}
	select {
	case p.jobs <- f:
		return true
	default:
		return false
	}
}

// close takes no more jobs; the workers end when the queue is empty.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.jobs)
	}
}

func (p *pool) waiting() int { return len(p.jobs) }
