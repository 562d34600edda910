package wire

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// ErrLoopStopped is returned for work that a stopped loop will not do.
var ErrLoopStopped = errors.New("wire: loop stopped")

// task is a piece of work that a loop runs once.
type task interface{ run() }

// taskFunc makes a function a task; the conversion does not allocate.
type taskFunc func()

func (f taskFunc) run() { f() }

// inbox is a bounded queue of tasks with many writers and one reader, the loop,
// which takes all tasks at once. It is a slice under a mutex. A lock-free ring
// was measured to cost the same without contention; and since the loop takes
// everything in one swap, it contends for one lock an iteration.
type inbox struct {
	limit int

	// Any goroutine.
	size    atomic.Int64
	refused atomic.Uint64

	// Guarded by mu.
	mu     sync.Mutex
	tasks  []task
	closed bool
	room   chan struct{} // non-nil while a writer waits; closed when tasks are taken

	// Owned by the loop.
	spare []task
}

// put appends t. full: the inbox is at its limit; !ok and !full: it is closed.
func (in *inbox) put(t task) (ok, full bool) {
	in.mu.Lock()
	closed, full := in.closed, len(in.tasks) >= in.limit
	if !closed && !full {
		in.tasks = append(in.tasks, t)
		in.size.Store(int64(len(in.tasks)))
	}
	in.mu.Unlock()
	if full && !closed {
		in.refused.Add(1)
	}
	return !closed && !full, full && !closed
}

// wait returns a channel that is closed once tasks have been taken, or nil if
// there is room right now.
func (in *inbox) wait() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed || len(in.tasks) < in.limit {
		return nil
	}
	if in.room == nil {
		in.room = make(chan struct{})
	}
	return in.room
}

func (in *inbox) empty() bool { return in.size.Load() == 0 }

// take returns the tasks put since the last call, in order. The slice is valid
// until the next call.
func (in *inbox) take() []task {
	if in.empty() {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	tasks := in.tasks
	in.tasks, in.spare = in.spare[:0], tasks
	in.size.Store(0)
	if in.room != nil {
		close(in.room)
		in.room = nil
	}
	return tasks
}

// close refuses further tasks and returns the ones that are left.
func (in *inbox) close() []task {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	tasks := in.tasks
	in.tasks = nil
	in.size.Store(0)
	if in.room != nil {
		close(in.room)
		in.room = nil
	}
	return tasks
}

// Post runs f on the loop, after everything posted before. Any goroutine may call
// it, and it does not block. It returns false if the inbox is full or the loop
// has stopped.
func (l *Loop) Post(f func()) bool { return l.post(taskFunc(f)) }

func (l *Loop) post(t task) bool {
	ok, _ := l.inbox.put(t)
	if ok {
		l.wake()
	}
	return ok
}

// PostWait is Post that waits for room, which slows down a producer of work. It
// must not be called on a loop. Its error is ctx's or ErrLoopStopped.
func (l *Loop) PostWait(ctx context.Context, f func()) error {
	return l.postWait(ctx.Done(), taskFunc(f), ctx.Err)
}

func (l *Loop) postWait(done <-chan struct{}, t task, why func() error) error {
	for {
		ok, full := l.inbox.put(t)
		if ok {
			l.wake()
			return nil
		}
		if !full {
			return ErrLoopStopped
		}
		if room := l.inbox.wait(); room != nil {
			select {
			case <-room:
			case <-done:
				return why()
			}
		}
	}
}
