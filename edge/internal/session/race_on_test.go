//go:build race

package session

// raceEnabled: sync.Pool drops elements at random then, so that allocations
// cannot be counted.
const raceEnabled = true
