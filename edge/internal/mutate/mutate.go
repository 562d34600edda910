// Package mutate compiles the tests of a package with changes to its files, and runs
// one of them. Where a change of a rule is not noticed, nothing tests the rule.
package mutate

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Build compiles the tests of the package in the working directory into a program.
// changed has the text of files, by name, that are put in the place of the package's
// own, or beside them.
func Build(t *testing.T, changed map[string][]byte) (program string) {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replace := make(map[string]string)
	for name, text := range changed {
		to := filepath.Join(dir, name)
		if err := os.WriteFile(to, text, 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(here, name)] = to
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(config, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "mutant.test")
	out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", config, "-o", program, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

var (
	failedTest = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)
	failedSeed = regexp.MustCompile(`seed \d+: [^\n]*`)
	panicked   = regexp.MustCompile(`(?m)^panic: [^\n]*`)
)

// Try runs a program of [Build], and returns by what it fails: a model's seed, names
// of subtests, or a panic. Empty: it has noticed nothing.
func Try(cmd *exec.Cmd) string {
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &exit):
		return "?? " + err.Error()
	}
	if seed := failedSeed.Find(out); seed != nil {
		return string(seed)
	}
	var names []string
	for _, f := range failedTest.FindAllSubmatch(out, -1) {
		if _, name, sub := strings.Cut(string(f[1]), "/"); sub {
			names = append(names, name)
		}
	}
	if names == nil {
		return string(panicked.Find(out)) + "!"
	}
	return strings.Join(names, ", ")
}
