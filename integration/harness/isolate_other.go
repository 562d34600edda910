//go:build !linux

package harness

import "os/exec"

// Isolate needs Linux.
func Isolate() (ours bool, status int, err error) { return false, 0, ErrNoNamespaces }

// Mount needs Linux.
func Mount(string, int64) error { return ErrNoNamespaces }

// Unmount needs Linux.
func Unmount(string) error { return ErrNoNamespaces }

// FreeBytes needs Linux.
func FreeBytes(string) (int64, error) { return 0, ErrNoNamespaces }

func command(name string, args ...string) error { return exec.Command(name, args...).Run() }
