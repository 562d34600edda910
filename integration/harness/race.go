//go:build race

package harness

// A process built with the race detector runs several times slower.
const (
	raceEnabled = true
	slowness    = 3
)
