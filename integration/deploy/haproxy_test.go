//go:build haproxy

package deploy

import (
	"os/exec"
	"testing"

	"hydrant/integration/harness"
)

// TestHAProxyHTTP: requests come through HAProxy as they were sent, and answers back,
// whoever asks; its connections to the nodes are kept.
func TestHAProxyHTTP(t *testing.T) {
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		t.Fatal("no haproxy; apt-get install haproxy: ", err)
	}
	// It uses one with the PROXY protocol again for the same connection of a client only,
	// and gives up what it takes for too many of a node.
	testWeb(t, map[string]string{"EDGE_PROXY_PROTOCOL": "true"}, keptRequests*3/4, func(nodes []*harness.Node) string {
		b := startHAProxy(t, binary, nodes)
		waitUp(t, b, len(nodes))
		return b.clients
	})
}
