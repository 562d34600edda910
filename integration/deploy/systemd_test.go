//go:build systemd

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hydrant/integration/harness"
)

// TestSystemd: systemd finds nothing wrong with the unit. What it does not know
// it ignores and only says so, so that it must say nothing.
func TestSystemd(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("no systemd-analyze; apt-get install systemd: ", err)
	}
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	text := replaceOnce(t, read(t, deployed(t, "systemd/hydrant.service")), "/usr/local/bin/hydrant", bin.Hydrant)
	path := filepath.Join(t.TempDir(), "hydrant.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "verify", path).CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
