//go:build race

package umf

// raceEnabled tells that sync.Pool forgets at random, so that allocations of
// what uses it cannot be counted.
const raceEnabled = true
