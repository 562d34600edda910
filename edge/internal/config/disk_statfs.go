//go:build linux || darwin

package config

import (
	"os"
	"path/filepath"
	"syscall"
)

// FreeDisk is how many bytes are free where a directory is, or is to be.
func FreeDisk(dir string) (int64, bool) {
	dir, err := filepath.Abs(dir)
	for err == nil {
		var s syscall.Statfs_t
		if err = syscall.Statfs(dir, &s); err == nil {
			return int64(s.Bavail) * int64(s.Bsize), true
		}
		if up := filepath.Dir(dir); os.IsNotExist(err) && up != dir {
			dir, err = up, nil
		}
	}
	return 0, false
}
