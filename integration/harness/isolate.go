package harness

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// ErrNoNamespaces is returned where this process may not have namespaces of its
// own.
var ErrNoNamespaces = errors.New("harness: no network namespaces here")

// hand passes a request to end on to a command that is about to run, until the
// function that it returns is called.
func hand(cmd *exec.Cmd) (stop func()) {
	requests := make(chan os.Signal, 1) // by the runtime, closed by nobody
	done := make(chan struct{})         // closed by stop
	signal.Notify(requests, os.Interrupt, syscall.SIGTERM)
	go func() {
		for {
			select {
			case s := <-requests:
				if cmd.Process != nil && s != os.Interrupt { // which the terminal sends to both
					_ = cmd.Process.Signal(s)
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(requests)
		close(done)
	}
}
