package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestServiceLinks: what Kubernetes sets for a Service whose name begins with
// "edge" stops no start, and what only looks a little like it still does.
func TestServiceLinks(t *testing.T) {
	links := []string{
		"EDGE_SERVICE_HOST=10.96.0.7", "EDGE_SERVICE_PORT=5353", "EDGE_SERVICE_PORT_CLIENTS=5353",
		"EDGE_PORT=tcp://10.96.0.7:5353", "EDGE_PORT_5353_TCP=tcp://10.96.0.7:5353", "EDGE_PORT_5353_TCP_PROTO=tcp",
		"EDGE_PORT_5353_TCP_PORT=5353", "EDGE_PORT_5353_TCP_ADDR=10.96.0.7",
		"EDGE_ADMIN_SERVICE_HOST=10.96.0.8", "EDGE_ADMIN_PORT=udp://10.96.0.8:53", "EDGE_2_PORT_53_UDP_PROTO=udp",
		"EDGE_V6_SERVICE_HOST=fd00::7", "EDGE_V6_PORT=tcp://[fd00::7]:5353", "EDGE_V6_PORT_5353_TCP_ADDR=fd00::7",
	}
	var want []string
	for _, line := range links {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
		want = append(want, name)
	}
	if _, err := Load(); err != nil {
		t.Errorf("with the variables of Services: %v", err)
	}
	slices.Sort(want)
	if got := ServiceLinks(append(links, "EDGE_SERVICE_NAME=hydra-router", "EDGE_LISTEN=:1", "HOME=/")); !slices.Equal(got, want) {
		t.Errorf("passed over\n%q, want\n%q", got, want)
	}
	for _, mistake := range []string{
		"EDGE_PORT=5353", "EDGE_PORT=http://10.96.0.7:5353", "EDGE_PORT=tcp://edge:5353", "EDGE_PORT=tcp://10.96.0.7",
		"EDGE_SERVICE_HOST=edge.example", "EDGE_SERVICE_PORT=many", "EDGE_ADMIN_PORT=9353", "EDGE_PORT_5353_TCP_PROTO=http",
		"EDGE_SERVICE_HOSTS=10.96.0.7", "EDGE_LISTEN_PORT=:5353",
	} {
		name, value, _ := strings.Cut(mistake, "=")
		t.Run(mistake, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := Load(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), name+" is not a setting") {
				t.Errorf("error %v", err)
			}
		})
	}
}
