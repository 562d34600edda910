package edge

import (
	"testing"

	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/embedded"
)

// TestSemanticVersion: whatever a build is named after, service discovery
// takes what becomes of it.
func TestSemanticVersion(t *testing.T) {
	server, err := embedded.Start(embedded.Options{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	nc, err := server.Connect("version")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	defer func(before string) { Version = before }(Version)
	for _, c := range []struct{ version, want string }{
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
		Version = c.version
		if got := SemanticVersion(); got != c.want {
			t.Errorf("%q became %q, want %q", c.version, got, c.want)
		}
		service, err := micro.AddService(nc, micro.Config{Name: "version", Version: SemanticVersion()})
		if err != nil {
			t.Errorf("%q: %v", c.version, err)
			continue
		}
		if err := service.Stop(); err != nil {
			t.Error(err)
		}
	}
}
