package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/micro"
)

// TestSemanticVersion: whatever a build is named after, service discovery
// takes what becomes of it.
func TestSemanticVersion(t *testing.T) {
	// Service discovery looks at the version first and at the group next, of which
	// it then complains, so that no connection is needed.
	taken := func(version string) bool {
		_, err := micro.AddService(nil, micro.Config{Name: "version", Version: version, QueueGroup: "no group"})
		return strings.Contains(fmt.Sprint(err), "queue group")
	}
	if taken("dev") {
		t.Fatal("service discovery takes any version")
	}
	for _, c := range []struct{ build, want string }{
		{"0.1.0", "0.1.0"},
		{"1.2.3-rc.1+abc", "1.2.3-rc.1+abc"},
		{"v1.2.3", "1.2.3"},
		{"v1.2.3-4-g7182820", "1.2.3-4-g7182820"},
		{"7182820", "0.0.0+7182820"},
		{"7182820-dirty", "0.0.0+7182820-dirty"},
		{"01.2.3", "0.0.0+01-2-3"},
		{"1.2.3-01", "0.0.0+1-2-3-01"},
		{"dev", "0.0.0+dev"},
		{"grün / rot", "0.0.0+gr-n---rot"},
		{"", "0.0.0"},
	} {
		got := SemanticVersion(c.build)
		if got != c.want {
			t.Errorf("%q became %q, want %q", c.build, got, c.want)
		}
		if !taken(got) {
			t.Errorf("service discovery refuses %q, which %q became", got, c.build)
		}
	}
}
