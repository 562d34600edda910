//go:build !race

package harness

const (
	raceEnabled = false
	slowness    = 1
)
