//go:build !linux && !darwin

package config

// FreeDisk is not known on this system.
func FreeDisk(string) (int64, bool) { return 0, false }
