package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// A Process is one program that was started. Its methods may be called
// concurrently, but for Kill, Terminate and their like on the same process.
type Process struct {
	// Immutable after start.
	Name string
	Log  *Log // shared by the incarnations of a restarted server
	cmd  *exec.Cmd
	done chan struct{} // closed by the waiter when the process has been reaped

	// Written by the waiter before done is closed.
	err error
}

// ErrExited reports that a process ended before it was ready.
var ErrExited = errors.New("harness: the process ended")

// processes holds every process that was started and not yet reaped, and the
// logs of all of them for the check at the end.
var processes struct {
	sync.Mutex
	running map[*Process]struct{}
	logs    map[*Log]string
}

// hearSignals makes children begin as at a terminal where this process was told
// to ignore the end of one (nohup) or Ctrl-C (a job in the background). A signal
// that is ignored stays so in a child, and Hydrant keeps to that; one that is
// handled, even if only here and without effect, is not.
var hearSignals = sync.OnceFunc(func() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
})

// StartProcess runs the program at path with nothing in its environment but
// env, a path and a place for temporary files. What it prints goes to output,
// which is the log or leads to it. It hears signals as a program at a terminal
// does, wherever the tests run.
func StartProcess(name, path string, args, env []string, log *Log, output io.Writer) (*Process, error) {
	hearSignals()
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "TMPDIR=" + os.TempDir()}, env...)
	cmd.Stdout, cmd.Stderr = output, output
	p := &Process{Name: name, Log: log, cmd: cmd, done: make(chan struct{})}
	if err := spawn(cmd); err != nil {
		return nil, fmt.Errorf("harness: start %s: %w", name, err)
	}
	processes.Lock()
	if processes.running == nil {
		processes.running = make(map[*Process]struct{})
		processes.logs = make(map[*Log]string)
	}
	processes.running[p] = struct{}{}
	processes.logs[log] = name
	processes.Unlock()
	go func() {
		p.err = cmd.Wait()
		processes.Lock()
		delete(processes.running, p)
		processes.Unlock()
		close(p.done)
	}()
	return p, nil
}

// Run is cmd.Run for a program that must not outlive the tests.
func Run(cmd *exec.Cmd) error {
	if err := spawn(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended; Err then says how.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Err is how the process ended, nil for status 0. It waits for the end.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // gone already: the wait below returns at once
	<-p.done
}

// Freeze stops the process where it is (SIGSTOP); Thaw lets it go on.
//
// Freeze returns when every thread has stopped.
func (p *Process) Freeze() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return Until(ctx, func() error {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // the thread has ended
			}
			_, state, _ := strings.Cut(string(text), ") ")
			if !strings.HasPrefix(state, "T") {
				return fmt.Errorf("%s still runs", task)
			}
		}
		return nil
	})
}

// Thaw continues a frozen process.
func (p *Process) Thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Signal sends a signal and does not wait.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Terminate asks the process to end (SIGTERM) and waits for it.
func (p *Process) Terminate(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("harness: %s does not end: %w", p.Name, context.Cause(ctx))
	}
}

// faultMarks are what a Go program prints when it goes wrong by itself.
var faultMarks = [][]byte{
	[]byte("WARNING: DATA RACE"), []byte("panic: "), []byte("fatal error: "),
}

// sessionID finds a session's id in a line of a node's log, where none may be: it is
// enough to get some sessions.
var sessionID = regexp.MustCompile(`(?m)^.*"level":.*[^a-zA-Z0-9][a-z2-7]{26}[^a-zA-Z0-9].*$`)

// Faults returns one line for each sign of a crash or a data race in the log, and for
// a session's id.
func (l *Log) Faults(name string) []string {
	text := l.Since(0)
	var faults []string
	for _, mark := range faultMarks {
		if at := bytes.Index(text, mark); at >= 0 {
			end := min(len(text), at+4096)
			faults = append(faults, fmt.Sprintf("%s: %s", name, text[at:end]))
		}
	}
	if line := sessionID.Find(text); line != nil {
		faults = append(faults, fmt.Sprintf("%s logs the id of a session: %s", name, line))
	}
	return faults
}

// killAll ends what still runs and returns the faults of everything that ran.
func killAll() []string {
	processes.Lock()
	var running []*Process
	for p := range processes.running {
		running = append(running, p)
	}
	processes.Unlock()
	for _, p := range running {
		p.Kill()
	}
	processes.Lock()
	defer processes.Unlock()
	var faults []string
	for log, name := range processes.logs {
		faults = append(faults, log.Faults(name)...)
	}
	return faults
}
