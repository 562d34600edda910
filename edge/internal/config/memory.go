package config

import (
	"math"
	"runtime/debug"
)

// MemoryLimit is the limit of this process in bytes (GOMEMLIMIT); 0: none.
func MemoryLimit() int64 {
	limit := debug.SetMemoryLimit(-1) // asks
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}
