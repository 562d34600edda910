//go:build prometheus

package deploy

import (
	"os/exec"
	"testing"
)

// TestPrometheus: Prometheus takes its configuration and the alert rules.
func TestPrometheus(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("no promtool; apt-get install prometheus: ", err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "check", "config", deployed(t, "prometheus/prometheus.yml")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
