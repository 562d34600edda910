package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// Programs that use processors and do nothing else. What they do to WebSockets' clients
// is what the processors of this machine make of any other work.
const burnCommand = "burn" // the first argument of such a process

// burning is how the processors are used: so many of them on average, anew as often as
// every says.
type burning struct {
	behind     bool // it gives way
	processors float64
	every      time.Duration
}

// burnProcess is such a process, if args say so; it does not return then.
func burnProcess(args []string) {
	if len(args) != 5 || args[1] != burnCommand {
		return
	}
	length, err1 := time.ParseDuration(args[2])
	processors, err2 := strconv.ParseFloat(args[3], 64)
	every, err3 := time.ParseDuration(args[4])
	err := errors.Join(err1, err2, err3)
	if err == nil {
		err = burn(length, processors, every)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func burn(length time.Duration, processors float64, every time.Duration) error {
	begun := time.Now()
	errs := make([]error, runtime.GOMAXPROCS(0))
	var work sync.WaitGroup
	for i := range errs {
		work.Go(func() {
			for next := begun; next.Sub(begun) < length && errs[i] == nil; next = next.Add(every) {
				time.Sleep(time.Until(next))
				errs[i] = burnUntil(time.Duration(float64(next.Sub(begun)) * processors))
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

// burnUntil computes until this process has used so much.
func burnUntil(used time.Duration) error {
	for {
		now, err := processorTime(os.Getpid())
		if err != nil || now >= used {
			return err
		}
		for x := range 20_000 { // some 10 µs
			_ = x
		}
	}
}

// besideBurning measures WebSocket clients beside programs that use the processors so.
func (b *bench) besideBurning(ctx context.Context, measure func() (*row, error), all ...burning) (*row, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx) // if one does not start
	defer cancel()
	var children []*exec.Cmd
	for _, u := range all {
		command := []string{self, burnCommand, (b.duration + 2*time.Second).String(), strconv.FormatFloat(u.processors, 'f', 4, 64), u.every.String()}
		if u.behind {
			command = behind(command...)
		}
		child := exec.CommandContext(ctx, command[0], command[1:]...)
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	r, err := measure()
	for _, child := range children {
		err = errors.Join(err, child.Wait())
	}
	return r, err
}
