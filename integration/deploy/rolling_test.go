//go:build haproxy

package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// TestRollingUpgrade rolls four nodes behind HAProxy one by one to the next
// version, under load: SIGTERM, drain, exit, and the new binary on the same
// address. Old and new are side by side all the while. Nothing is lost or out
// of order (R3, R42), and every node ends with status 0.
func TestRollingUpgrade(t *testing.T) {
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		t.Fatal("no haproxy; apt-get install haproxy: ", err)
	}
	ctx := t.Context()
	servers := startNATS(t)
	before, after := buildVersion(t, "1.0.0"), buildVersion(t, "1.1.0")
	var nodes []*harness.Node
	for i := range 4 {
		node, err := harness.StartNode(ctx, harness.NodeOptions{Name: fmt.Sprint("edge", i+1), Binary: before, NATS: servers.URL(), Env: map[string]string{
			"EDGE_PROXY_PROTOCOL": "true", "EDGE_TRUSTED_PROXIES": "127.0.0.1", "EDGE_DRAIN_GRACE": "3s", "EDGE_DRAIN_TIMEOUT": "5s",
		}})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	balancer := startHAProxy(t, binary, nodes)
	waitUp(t, balancer, len(nodes))
	wantVersions(t, balancer, map[string]int{"1.0.0": 4})

	l := startLoad(ctx, t, "ws://"+balancer.clients+"/", 60, publishTo(connectNATS(t, servers.URL())))
	for i, node := range nodes {
		l.advance(ctx, t, 20)
		if err := node.Terminate(ctx); err != nil {
			t.Fatalf("node %d: %v", i+1, err)
		}
		node.Upgrade(after)
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		if err := node.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		waitUp(t, balancer, len(nodes))
		versions := map[string]int{"1.1.0": i + 1}
		if old := len(nodes) - i - 1; old > 0 {
			versions["1.0.0"] = old
		}
		wantVersions(t, balancer, versions)
	}
	report := l.finish(ctx, t)
	if report.Gaps != 0 {
		t.Errorf("%d gaps, although no queue was full", report.Gaps)
	}
	if report.Resumes < len(l.clients) {
		t.Errorf("%d resumes of %d clients, though every node was stopped", report.Resumes, len(l.clients))
	}
}

func buildVersion(t *testing.T, version string) string {
	t.Helper()
	path, err := harness.BuildVersion(t.TempDir(), version)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// wantVersions returns when a node, asked through the balancer, knows of nodes
// of these versions. A list may lack a node whose answer came late.
func wantVersions(t *testing.T, b *balancer, want map[string]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error {
		have, err := versions(b)
		if err == nil && !maps.Equal(have, want) {
			err = fmt.Errorf("nodes by version %v, want %v", have, want)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func versions(b *balancer) (map[string]int, error) {
	page, err := harness.Get("http://" + b.clients + "/v1/router/list/nodes")
	if err != nil {
		return nil, err
	}
	var list struct {
		Result []struct {
			ServiceName string `json:"serviceName"`
			Version     string `json:"version"`
		} `json:"result"`
	}
	if err := json.Unmarshal(page, &list); err != nil {
		return nil, fmt.Errorf("%w in %s", err, page)
	}
	have := make(map[string]int)
	for _, node := range list.Result {
		if node.ServiceName == "hydra-router" {
			have[node.Version]++
		}
	}
	return have, nil
}

// TestHAProxyLogs: a token in an address is in no log.
func TestHAProxyLogs(t *testing.T) {
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		t.Fatal("no haproxy; apt-get install haproxy: ", err)
	}
	node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "edge", NATS: startNATS(t).URL(),
		Env: map[string]string{"EDGE_TRUSTED_PROXIES": "127.0.0.1", "EDGE_PROXY_PROTOCOL": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	b := startHAProxy(t, binary, []*harness.Node{node})
	waitUp(t, b, 1)
	wantPathAlone(t, "http://"+b.clients, b.log)
	// The scheme of a page is compared with the one that HAProxy says.
	for origin, status := range map[string]int{"http://" + b.clients: http.StatusOK, "https://" + b.clients: http.StatusForbidden} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.clients+"/v1/router/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		r.Header.Set("X-Forwarded-Proto", "https") // which it does not believe
		answer, _, err := harness.Do(r)
		if err != nil || answer.StatusCode != status {
			t.Errorf("a page of %s: %+v, %v", origin, answer, err)
		}
	}
}

// startHAProxy runs deploy/haproxy/haproxy.cfg with the addresses of this run,
// and a server a node in place of those found by DNS.
func startHAProxy(t *testing.T, binary string, nodes []*harness.Node) *balancer {
	t.Helper()
	b := &balancer{}
	for _, addr := range []*string{&b.clients, &b.statistics} {
		var err error
		if *addr, err = harness.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	text := read(t, deployed(t, "haproxy/haproxy.cfg"))
	replace := func(old, with string) { text = replaceOnce(t, text, old, with) }
	replace("    bind :8080\n", "    bind "+b.clients+"\n")
	replace("    bind :8404\n", "    bind "+b.statistics+"\n")
	replace(" resolvers docker init-addr none resolve-prefer ipv4\n", "\n")
	var lines strings.Builder
	for i, node := range nodes {
		_, admin, _ := strings.Cut(node.Admin, ":")
		fmt.Fprintf(&lines, "    server edge%d %s port %s\n", i+1, node.Addr, admin)
	}
	replace("    server-template edge 32 edge:5353\n", lines.String())
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), binary, "-c", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("haproxy refuses the configuration: %v\n%s", err, out)
	}
	log := &harness.Log{}
	p, err := harness.StartProcess("haproxy", binary, []string{"-db", "-f", path}, nil, log, log)
	if err != nil {
		t.Fatal(err)
	}
	b.Process, b.log = p, log
	t.Cleanup(p.Kill)
	return b
}
