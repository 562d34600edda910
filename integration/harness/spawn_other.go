//go:build !linux

package harness

import (
	"os/exec"

	"go.uber.org/goleak"
)

// spawn starts cmd. Without a parent death signal, a test process that is
// killed leaves its children behind.
func spawn(cmd *exec.Cmd) error { return cmd.Start() }

// IgnoreSpawner has nothing to ignore here.
func IgnoreSpawner() goleak.Option {
	return goleak.IgnoreAnyFunction("hydrant/integration/harness.spawn")
}
