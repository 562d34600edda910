//go:build !unix

package main

import "os/exec"

// onDrainSignal does nothing where there is no SIGUSR1.
func onDrainSignal(func()) (stop func()) { return func() {} }

// keepSignals does nothing where there are no process groups.
func keepSignals(*exec.Cmd) {}
