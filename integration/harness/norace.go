//go:build !race

package harness

const (
	// RaceEnabled: this program and what Build makes have the race detector.
	RaceEnabled = false
	slowness    = 1
)
