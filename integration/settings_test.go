package integration

import (
	"strings"
	"testing"

	"hydrant/integration/harness/world"
)

// Unknown EDGE_ variables and bad values stop the start, with one
// line each; S23: without the value of a secret.
func TestSettingsThatStopTheStart(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	said := refusesToStart(t, w, "bad settings", map[string]string{
		"EDGE_PING_INTERVAAL":  "1s",
		"EDGE_QUEUE_LIMIT":     "many",
		"EDGE_MAILBOX_STREAMS": "3",
		"EDGE_ADMIN_TOKEN":     "do-not-print-this",
	})
	for _, name := range []string{"EDGE_PING_INTERVAAL", "EDGE_QUEUE_LIMIT", "EDGE_MAILBOX_STREAMS"} {
		lines := 0
		for line := range strings.Lines(said) {
			if strings.Contains(line, name) {
				lines++
			}
		}
		if lines != 1 {
			t.Errorf("%s is named in %d lines, want one, of:\n%s", name, lines, said)
		}
	}
	if strings.Contains(said, "do-not-print-this") {
		t.Errorf("a secret is printed:\n%s", said)
	}
}
