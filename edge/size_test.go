package edge

import (
	"testing"
	"unsafe"
)

// TestIdleSize: what an idle session holds of this package. Both figures are
// size classes of the allocator; the next ones are 96 and 384.
func TestIdleSize(t *testing.T) {
	if n := unsafe.Sizeof(client{}); n > 80 {
		t.Errorf("a client has %d bytes", n)
	}
	if n := unsafe.Sizeof(attachment{}); n > 352 {
		t.Errorf("an attachment has %d bytes", n)
	}
}
