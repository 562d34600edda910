package stats

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestBuild: a scrape says which version runs.
func TestBuild(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	r.MustRegister(NewBuild("1.2.3"))
	families, err := r.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "hydrant_build_info" {
		t.Fatalf("%v, %v", families, err)
	}
	labels := make(map[string]string)
	m := families[0].GetMetric()[0]
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	if m.GetGauge().GetValue() != 1 || labels["version"] != "1.2.3" || labels["goversion"] == "" {
		t.Errorf("%v", m)
	}
}
