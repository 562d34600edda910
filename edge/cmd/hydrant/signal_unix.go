//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// onDrainSignal calls drain at each SIGUSR1 until stop.
func onDrainSignal(drain func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
				drain()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
