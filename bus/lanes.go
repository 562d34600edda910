package bus

import "sync"

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
	l := &lanes{limit: queue, idle: make(chan struct{}), behind: make(map[string][]func())}
	l.more = sync.NewCond(&l.mu)
	return l
}

// start starts n workers. Without start, nothing runs and idle is never closed.
func (l *lanes) start(n int) {
	var workers sync.WaitGroup
	for range n {
		workers.Go(l.work)
	}
	go func() {
		workers.Wait()
		close(l.idle)
	}()
}

func (l *lanes) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.ready) == 0 {
			if l.closed && l.queued == 0 {
				return
			}
			l.more.Wait()
		}
		j := l.ready[0]
		l.ready[0] = job{}
		l.ready = l.ready[1:]
		if l.queued--; l.closed && l.queued == 0 {
			l.more.Broadcast() // the idle ones end
		}
		l.mu.Unlock()
		j.run()
		l.mu.Lock()
		l.leave(j.key)
	}
}

// leave lets the next job of a key run. Caller holds mu.
func (l *lanes) leave(key string) {
	if key == "" {
		return
	}
	behind := l.behind[key]
	if len(behind) == 0 {
		delete(l.behind, key)
	} else {
		l.ready = append(l.ready, job{key, behind[0]})
		l.behind[key] = behind[1:]
		l.more.Signal()
	}
}

// offer queues a job. It never waits: false means that the queue is full or
// the lanes closed.
func (l *lanes) offer(key string, f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.queued >= l.limit {
		return false
	}
	l.queued++
	if key != "" {
		if behind, active := l.behind[key]; active {
			l.behind[key] = append(behind, f)
			return true
		}
		l.behind[key] = nil
	}
	l.ready = append(l.ready, job{key, f})
	l.more.Signal()
	return true
}

// close takes no more jobs; the workers end when the queue is empty.
func (l *lanes) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.more.Broadcast()
}

// waiting is the number of jobs that have not begun.
func (l *lanes) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued
}
