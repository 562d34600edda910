//go:build !unix

package edge

// descriptorLimit: this system has none.
func descriptorLimit() (uint64, bool) { return 0, false }
