//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestE2EIndependent, C22: another client, which is made from the protocol's document,
// plays the transcripts, and comes through the kills.
func TestE2EIndependent(t *testing.T) {
	module, err := filepath.Abs("independent.mjs")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("transcripts", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), nodeBinary(t, "node22"), "--test", "test/vectors.test.mjs")
		cmd.Dir = clientFolder(t)
		cmd.Env = append(cmd.Environ(), "CLIENT="+module)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	})
	t.Run("kills", func(t *testing.T) {
		w := newClientWorld(t, "node22")
		w.place = newNodePlaceOf(w, module, "node22", "own")
		w.killsTold(true)
	})
}
