//go:build !race

package umf

const raceEnabled = false
