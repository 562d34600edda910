//go:build !unix

package main

// onDrainSignal does nothing where there is no SIGUSR1.
func onDrainSignal(func()) (stop func()) { return func() {} }
