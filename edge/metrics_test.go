package edge

import "testing"

// A node that has not connected yet shows its instruments and the numbers of its
// loops alike.
func TestMetricsBeforeServing(t *testing.T) {
	families, err := idle(t, func(*Config) {}).metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, f := range families {
		found[f.GetName()] = true
	}
	for _, name := range []string{"hydrant_ready", "hydrant_client_errors_total", "hydrant_connections", "hydrant_messages_received_total", "hydrant_pool_busy"} {
		if !found[name] {
			t.Errorf("%s is missing", name)
		}
	}
}
