package wire

import (
	"testing"
	"unsafe"
)

// TestConnSize: an idle connection costs its Conn, and a word in the loop's table.
// 176 is a size class of the allocator; the next one is 192.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 176 {
		t.Errorf("a Conn has %d bytes", n)
	}
}
