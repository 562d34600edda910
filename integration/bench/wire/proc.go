package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server or a load generator that was started here.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(name string, args ...string) (*process, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

func (p *process) line() (string, error) {
	s, err := p.out.ReadString('\n')
	return strings.TrimSpace(s), err
}

// stop ends the process: its standard input closes, then it is killed.
func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// cpu is the time the process has spent on a processor, user and system.
func (p *process) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no schedstat: %v", err)
	}
	var total time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ns)
	}
	return total, nil
}

// rss is the process's resident memory in bytes, kernel buffers excluded.
func (p *process) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS")
}

// settledRSS is rss after the runtime gave back what it could.
func (p *process) settledRSS() (int64, error) {
	for range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			return 0, err
		}
		time.Sleep(500 * time.Millisecond)
	}
	return p.rss()
}

// load starts a load generator and waits until it has connected.
func load(j job) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(self, "client")
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(p.in).Encode(j); err != nil {
		return nil, err
	}
	if s, err := p.line(); s != "ready" {
		p.stop()
		return nil, fmt.Errorf("load generator: %q %w", s, err)
	}
	return p, nil
}

// work has the generator do its job.
func (p *process) work() (r result, err error) {
	if _, err = p.in.Write([]byte("\n")); err != nil {
		return r, err
	}
	s, err := p.line()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(s), &r)
}
