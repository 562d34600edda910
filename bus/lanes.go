package bus

import (
	"sync"
)

// lanes runs jobs on a fixed number of goroutines, with a bounded queue before
// them. Jobs of one key run one after the other, in the order in which they
// were offered; jobs of different keys, and those without a key, run side by
// side.
type lanes struct {
	limit int           // jobs that wait
	idle  chan struct{} // closed when the last worker has ended

	// Guarded by mu.
	mu     sync.Mutex
	more   *sync.Cond          // there is a job, or an end
	ready  []job               // may run now, in order
	behind map[string][]func() // keys that run or are ready, with what waits behind
	queued int                 // jobs that have not begun
	closed bool
}

type job struct {
	key string
	run func()
}

func newLanes(queue int) *lanes {
	p := &lanes{limit: queue, idle: make(chan struct{}), behind: make(map[string][]func())}
	p.more = sync.NewCond(&p.mu)
	return p
}

// start starts n workers. Without start, nothing runs and idle is never closed.
func (p *lanes) start(n int) {
	var workers sync.WaitGroup
	for range n {
		workers.Go(p.work)
	}
	go func() {
		workers.Wait()
		close(p.idle)
	}()
}

func (p *lanes) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.ready) == 0 {
			if p.closed && p.queued == 0 {
				return
			}
			p.more.Wait()
		}
		j := p.ready[0]
		p.ready[0] = job{}
		p.ready = p.ready[1:]
		if p.queued--; p.closed && p.queued == 0 {
			p.more.Broadcast() // the idle ones end
		}
		p.mu.Unlock()
		j.run()
		p.mu.Lock()
		p.leave(j.key)
	}
}

// leave lets the next job of a key run. Caller holds mu.
func (p *lanes) leave(key string) {
	if key == "" {
		return
	}
	behind := p.behind[key]
	if len(behind) == 0 {
		delete(p.behind, key)
	} else {
		p.ready = append(p.ready, job{key, behind[0]})
		p.behind[key] = behind[1:]
		p.more.Signal()
	}
}

// offer queues a job. It never waits: false means that the queue is full or
// the pool closed.
func (p *lanes) offer(key string, f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.queued >= p.limit {
		return false
	}
	p.queued++
	if key != "" {
		if behind, active := p.behind[key]; active {
			p.behind[key] = append(behind, f)
			return true
		}
		p.behind[key] = nil
	}
	p.ready = append(p.ready, job{key, f})
	p.more.Signal()
	return true
}

// close takes no more jobs; the workers end when the queue is empty.
func (p *lanes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.more.Broadcast()
}

// waiting is the number of jobs that have not begun.
func (p *lanes) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queued
}
