package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hydrant/integration/harness"
)

func TestMain(m *testing.M) {
	relayProcess(os.Args)
	webProcess(os.Args)
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
	var halves [2][]string // of the groups, side by side: each waits for its servers
	for i, g := range slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.asked }) {
		halves[i%2] = append(halves[i%2], g.name)
	}
	var out [2]strings.Builder
	if !t.Run("groups", func(t *testing.T) {
		for i, half := range halves {
			only := strings.Join(half, ",")
			t.Run(only, func(t *testing.T) {
				t.Parallel()
				err := run(t.Context(), []string{"-quick", "-time", "100ms", "-only", only}, &out[i])
				t.Log("\n" + out[i].String())
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	}) {
		return
	}
	all := out[0].String() + out[1].String()
	for _, name := range []string{"floor: NATS", "floor: relay", "ping-pong", "service, 2,000/s", "one node", "two nodes", "connect", "push", "resume", "idle", "GET /path by HTTP", "[GET]/path by WebSocket", "Go reverse proxy"} {
		if !strings.Contains(all, name) {
			t.Errorf("the report has no %s", name)
		}
	}
}
