//go:build nginx

package deploy

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// TestNginx: deploy/nginx/hydrant.conf leads WebSockets to two nodes, tells
// them the true address of a client whatever it claims, and keeps to the one
// that is left when the other stops.
func TestNginx(t *testing.T) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatal("no nginx; apt-get install nginx-light: ", err)
	}
	ctx := t.Context()
	servers := startNATS(t)
	var nodes []*harness.Node
	for i := range 2 {
		node, err := harness.StartNode(ctx, harness.NodeOptions{Name: fmt.Sprint("edge", i+1), NATS: servers.URL(),
			Env: map[string]string{"EDGE_TRUSTED_PROXIES": "127.0.0.1"}})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	if _, err := harness.StartEcho(servers.URL(), "echo"); err != nil {
		t.Fatal(err)
	}
	addr, log := startNginx(t, binary, nodes)
	url := "ws://" + addr + "/"
	waitEcho(t, url)

	seen := make(map[string]bool)
	for range 4 {
		client, err := harness.Enter(ctx, url, harness.DialOptions{Acked: true, Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		seen[client.Router] = true
		if ip := client.Welcome.At("bdy", "ip"); ip != "127.0.0.1" {
			t.Errorf("the node takes the client for %v", ip)
		}
		large := strings.Repeat("x", 200_000) // more than nginx' buffers
		answer, err := client.Call(ctx, harness.Object{"to": "echo:/", "bdy": large})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body() != `"`+large+`"` {
			t.Errorf("of %d bytes %d came back", len(large), len(answer.Body())-2)
		}
	}
	if len(seen) != 2 {
		t.Errorf("four clients went to %d of 2 nodes", len(seen))
	}
	if err := nodes[0].Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		askEcho(ctx, t, url)
	}
	wantPathAlone(t, "http://"+addr, log)
	if err := nodes[1].Terminate(ctx); err != nil { // nginx complains of it, and of the request
		t.Fatal(err)
	}
	wantPathAlone(t, "http://"+addr, log)
}

// startNginx runs hydrant.conf with the addresses of this run, and returns
// where it listens, and what it says.
func startNginx(t *testing.T, binary string, nodes []*harness.Node) (string, *harness.Log) {
	t.Helper()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, deployed(t, "nginx/hydrant.conf"))
	for _, r := range [][2]string{
		{"listen 8080;", "listen " + addr + ";"},
		{"server edge-1:5353 ", "server " + nodes[0].Addr + " "},
		{"server edge-2:5353 ", "server " + nodes[1].Addr + " "},
	} {
		text = replaceOnce(t, text, r[0], r[1])
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.conf")
	text = fmt.Sprintf("daemon off;\npid %s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s}\n", dir, text)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), binary, "-t", "-c", path).CombinedOutput(); err != nil {
		t.Fatalf("nginx refuses the configuration: %v\n%s", err, out)
	}
	log := &harness.Log{}
	p, err := harness.StartProcess("nginx", binary, []string{"-c", path}, nil, log, log)
	if err != nil {
		t.Fatal(err)
	}
	// Its workers end with the master only if it is asked.
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := p.Terminate(ctx); err != nil {
			t.Errorf("nginx: %v\n%s", err, log.Since(0))
		}
	})
	return addr, log
}

// TestNginxHTTP: requests come through nginx as they were sent, and answers back, whoever
// asks; its connections to the nodes are kept.
func TestNginxHTTP(t *testing.T) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatal("no nginx; apt-get install nginx-light: ", err)
	}
	testWeb(t, map[string]string{}, 8, func(nodes []*harness.Node) string {
		addr, _ := startNginx(t, binary, nodes)
		return addr
	})
}
