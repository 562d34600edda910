//go:build !linux

package harness

// setCork is TCP_NOPUSH elsewhere; no run there needs it.
func setCork(int) error { return nil }
