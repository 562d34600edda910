//go:build race

package api

// raceEnabled: sync.Pool drops one of four elements at random then.
const raceEnabled = true
