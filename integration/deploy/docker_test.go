//go:build docker

package deploy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// project runs docker-compose.yml as it is, on ports of the test's.
type project struct {
	t   *testing.T
	env []string
	dir string
}

func (p *project) run(name string, args ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

func (p *project) compose(args ...string) string {
	p.t.Helper()
	return p.run("docker-compose", append([]string{"-p", "hydranttest", "-f", "docker-compose.yml", "-f", "integration/deploy/testdata/docker.yml"}, args...)...)
}

// edges are the ids of the running edge containers.
func (p *project) edges() []string {
	return strings.Fields(p.run("docker", "ps", "-q", "--filter", "label=com.docker.compose.project=hydranttest", "--filter", "label=com.docker.compose.service=edge"))
}

// scale brings the number of edges to n without touching those that run.
func (p *project) scale(n int) {
	p.t.Helper()
	p.compose("up", "-d", "--no-build", "--no-recreate", "--scale", fmt.Sprint("edge=", n))
}

// TestDockerCompose: the compose file comes up with four edges behind HAProxy;
// under load one NATS server and one edge are killed, edges are added, and all
// are rolled one by one. Nothing is lost or out of order.
func TestDockerCompose(t *testing.T) {
	for _, tool := range []string{"docker", "docker-compose"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("no %s; integration/deploy/docker.sh install", tool)
		}
	}
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	const statistics = "127.0.0.1:18404"
	p := &project{t: t, dir: root, env: append(os.Environ(), "HYDRANT_IMAGE=hydrant:test", "HYDRANT_NATS_IMAGE=hydrant-nats:test",
		"HYDRANT_HAPROXY_IMAGE=hydrant-haproxy:test", "HYDRANT_PORT=18080", "HYDRANT_STATS_PORT=18404")}
	p.run("deploy/docker/build.sh", "-v", "test")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.compose("logs", "--no-color", "--tail", "15"))
		}
		p.compose("down", "-v", "--timeout", "5")
	})
	p.scale(4)
	front := &balancer{statistics: statistics}
	waitUp(t, front, 4)

	ctx := t.Context()
	js := connectNATS(t, "nats://127.0.0.1:14221,nats://127.0.0.1:14222,nats://127.0.0.1:14223",
		nats.UserInfo("service", "laptop-service"), nats.IgnoreDiscoveredServers())
	l := startLoad(ctx, t, "ws://127.0.0.1:18080/", 40, publishTo(js))
	l.advance(ctx, t, 20)

	p.compose("kill", "-s", "SIGKILL", "nats-2")
	l.advance(ctx, t, 20)
	p.compose("start", "nats-2")
	l.advance(ctx, t, 20)

	p.run("docker", "rm", "-f", p.edges()[0])
	l.advance(ctx, t, 20)
	p.scale(5)
	waitUp(t, front, 5)
	l.advance(ctx, t, 20)

	for _, edge := range p.edges() {
		p.run("docker", "stop", "-t", "50", edge)
		if code := strings.TrimSpace(p.run("docker", "inspect", "-f", "{{.State.ExitCode}}", edge)); code != "0" {
			t.Errorf("a drained edge ended with %s", code)
		}
		p.run("docker", "rm", edge)
		p.scale(5)
		waitUp(t, front, 5)
		l.advance(ctx, t, 10)
	}
	if report := l.finish(ctx, t); report.Gaps != 0 {
		t.Errorf("%d gaps, although no queue was full", report.Gaps)
	}
}
