//go:build unix

package config

import "syscall"

// DescriptorLimit is how many files and sockets this process may have open.
// Go has raised it to what the system allows when the process started.
func DescriptorLimit() (uint64, bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true // signed on some systems
}
