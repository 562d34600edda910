//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"hydrant/integration/harness"
)

// described checks messages, in files of JSON lines, against the description of the
// protocol, and that itself.
func described(t *testing.T, files ...string) {
	t.Helper()
	installed(t)
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "integration", "e2e")
	t.Log(in(t, dir, "node", append([]string{"asyncapi.mjs", filepath.Join(root, "edge", "client", "asyncapi.yaml")}, files...)...))
}

// TestE2EAsyncAPI: the description is one, and what nodes say in the transcripts is in it.
func TestE2EAsyncAPI(t *testing.T) {
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "edge", "client", "vectors", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var lines bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cases []struct {
			Steps []struct{ Server map[string]any }
		}
		if err := json.Unmarshal(text, &cases); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range cases {
			for _, step := range c.Steps {
				if step.Server == nil || step.Server["frm"] == "evil:/" { // no node says that
					continue
				}
				line, err := json.Marshal(map[string]any{"from": "server", "message": step.Server})
				if err != nil {
					t.Fatal(err)
				}
				lines.Write(append(line, '\n'))
			}
		}
	}
	file := filepath.Join(t.TempDir(), "frames")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	described(t, file)
}
