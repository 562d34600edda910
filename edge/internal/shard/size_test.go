package shard

import (
	"testing"
	"unsafe"
)

// TestIdleSize: what an idle session holds of this package. Both figures are
// size classes of the allocator; the next ones are 128 and 640.
func TestIdleSize(t *testing.T) {
	if n := unsafe.Sizeof(Client{}); n > 112 {
		t.Errorf("a client has %d bytes", n)
	}
	if n := unsafe.Sizeof(held{}); n > 576 {
		t.Errorf("a held session has %d bytes", n)
	}
}
