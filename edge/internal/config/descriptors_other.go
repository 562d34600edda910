//go:build !unix

package config

// DescriptorLimit: this system has none.
func DescriptorLimit() (uint64, bool) { return 0, false }
