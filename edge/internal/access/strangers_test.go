package access

import (
	"fmt"
	"strings"
	"testing"
)

// TestStrangers: each origin is told of once, with what lets it in, and who makes up
// origins fills nothing.
func TestStrangers(t *testing.T) {
	t.Parallel()
	var s Strangers
	for origin, advice := range map[string]string{
		"http://localhost:27100":    "EDGE_ALLOWED_ORIGINS=loopback",
		"http://127.0.0.1:8000":     "EDGE_ALLOWED_ORIGINS=http://127.0.0.1:8000, or",
		"https://app.example.com":   "EDGE_ALLOWED_ORIGINS=https://app.example.com",
		"null":                      "serve the page over HTTP",
		"https://a.example, b":      "serve the page over HTTP",
		"http://localhost.evil.com": "EDGE_ALLOWED_ORIGINS=http://localhost.evil.com",
	} {
		said, first := s.First(origin)
		if !first || !strings.Contains(said, advice) || strings.Contains(said, "loopback") != strings.Contains(origin, "localhost:") && !strings.Contains(origin, "127.") {
			t.Errorf("%s: %q, %v", origin, said, first)
		}
		if said, first := s.First(origin); first || said != "" {
			t.Errorf("%s for the second time: %q, %v", origin, said, first)
		}
	}
	if _, first := s.First("https://" + strings.Repeat("x", maxStranger) + ".example.com"); first {
		t.Error("a long one is told of")
	}
	for n := range 10 * maxStrangers {
		s.First(fmt.Sprintf("https://%d.example.com", n))
	}
	if len(s.known) != maxStrangers {
		t.Errorf("%d are kept", len(s.known))
	}
}
