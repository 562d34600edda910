//go:build race

package umf

// raceEnabled tells that sync.Pool drops elements at random, so that a test cannot
// count allocations.
const raceEnabled = true
