package harness

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"go.uber.org/goleak"
)

// spawn starts cmd so that it dies with this process: the kernel sends the
// parent death signal when the thread that forked ends (prctl(2),
// PR_SET_PDEATHSIG), so all forks happen on one thread that never does.
func spawn(cmd *exec.Cmd) error {
	spawner.once.Do(func() {
		spawner.requests = make(chan spawnRequest)
		go func() {
			runtime.LockOSThread()
			for request := range spawner.requests {
				request.result <- request.cmd.Start()
			}
		}()
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	request := spawnRequest{cmd: cmd, result: make(chan error, 1)}
	spawner.requests <- request
	return <-request.result
}

type spawnRequest struct {
	cmd    *exec.Cmd
	result chan error // one answer, by the spawner
}

// spawner's requests are sent by spawn and never closed: its goroutine, and
// with it the thread, must outlive every child.
var spawner struct {
	once     sync.Once
	requests chan spawnRequest
}

// IgnoreSpawner tells a goroutine-leak check about the thread that must not
// end.
func IgnoreSpawner() goleak.Option {
	return goleak.IgnoreAnyFunction("hydrant/integration/harness.spawn.func1.1")
}
