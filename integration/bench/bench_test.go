package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hydrant/integration/harness"
)

func TestMain(m *testing.M) {
	relayProcess(os.Args)
	code := m.Run()
	if faults := harness.Shutdown(); len(faults) > 0 {
		fmt.Fprintln(os.Stderr, strings.Join(faults, "\n"))
		code = 1
	}
	if err := goleak.Find(harness.IgnoreSpawner()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestQuick runs every measurement once, on little, and asks whether it
// measured something and no message was lost, repeated or out of order.
func TestQuick(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), []string{"-quick", "-time", "100ms"}, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"floor: NATS", "floor: relay", "ping-pong", "service, 2,000/s", "one node", "two nodes", "connect", "push", "resume", "idle"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("the report has no %s", name)
		}
	}
}
