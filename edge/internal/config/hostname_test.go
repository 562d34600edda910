package config

import "testing"

// TestHostNameDecode: names are written as browsers send them, and what no request could
// name is refused.
func TestHostNameDecode(t *testing.T) {
	for text, want := range map[string]HostName{
		"ops.example": "ops.example", " Ops.Example. ": "ops.example", "edge_1": "edge_1", "bücher.example": "xn--bcher-kva.example", "xn--bcher-kva.example": "xn--bcher-kva.example",
	} {
		var got HostName
		if err := got.Decode(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", " ", "ops.example:9353", "http://ops.example", "*", "*.example", "ops example", "ops.example/", ".", "a..b", "[::1]", "ops.example,b", "a@b"} {
		var got HostName
		if err := got.Decode(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}
