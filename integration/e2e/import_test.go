//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// TestE2EReadmeImport: a module of its own uses the kit as the README says: by go.mod, from a
// vendored copy, and in a workspace. Everything that it needs is what this module needs, so
// nothing is downloaded.
func TestE2EReadmeImport(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	code, commands := world.ReadmeCode(t, "In Go", "go"), world.ReadmeCode(t, "In Go", "sh")
	module := func() (dir string, run func(commands string)) {
		dir = filepath.Join(t.TempDir(), "greeter")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		run = func(commands string) {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), "sh", "-euc", commands)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "HYDRANT="+root, "GOPROXY=off", "GONOSUMDB=*", "GOFLAGS=", "GOWORK=")
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", commands, err, text)
			}
		}
		return dir, run
	}
	dir, run := module()
	run(commands)
	run("go vet .")
	run("go mod vendor && go mod edit -replace hydrant=./gone")
	run("sed -i 's|^# hydrant v0.0.0 => .*|# hydrant v0.0.0 => ./gone|; s|^# hydrant => .*|# hydrant => ./gone|' vendor/modules.txt && go vet -mod=vendor .")
	if _, err := os.Stat(filepath.Join(dir, "vendor", "hydrant", "bus", "service.go")); err != nil {
		t.Error(err)
	}
	_, run = module()
	run("go mod init example.com/greeter")
	run(`go work init . "$HYDRANT" && go vet .`)
}
