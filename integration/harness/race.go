//go:build race

package harness

// A process built with the race detector runs several times slower.
const (
	// RaceEnabled: this program and what Build makes have the race detector.
	RaceEnabled = true
	slowness    = 3
)
