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

func newProject(t *testing.T) *project {
	t.Helper()
	for _, tool := range []string{"docker", "docker-compose"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("no %s; integration/deploy/docker.sh install", tool)
		}
	}
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return &project{t: t, dir: root, env: append(os.Environ(),
		"HYDRANT_NATS_IMAGE=hydrant-nats:test", "HYDRANT_HAPROXY_IMAGE=hydrant-haproxy:test",
		"HYDRANT_PORT=127.0.0.1:18080", "HYDRANT_STATS_PORT=18404", "EDGE_DRAIN_TIMEOUT=5s")}
}

// set gives the next commands a variable; the last value of a name counts.
func (p *project) set(name, value string) { p.env = append(p.env, name+"="+value) }

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

// waitHealthy returns when every edge's own health check has said so.
func (p *project) waitHealthy() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	for _, edge := range p.edges() {
		if err := harness.Until(ctx, func() error {
			if health := strings.TrimSpace(p.run("docker", "inspect", "-f", "{{.State.Health.Status}}", edge)); health != "healthy" {
				return fmt.Errorf("edge %s is %s", edge, health)
			}
			return nil
		}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// remove takes away everything of the project: containers, networks, volumes,
// and the images that were built for it.
func (p *project) remove() {
	if p.t.Failed() {
		p.t.Log(p.compose("logs", "--no-color", "--tail", "15"))
	}
	p.compose("down", "-v", "--timeout", "5")
	p.run("docker", "rmi", "hydrant:test-old", "hydrant:test-new", "hydrant-nats:test", "hydrant-haproxy:test")
}

// scale brings the number of edges to n without touching those that run.
func (p *project) scale(n int) {
	p.t.Helper()
	p.compose("up", "-d", "--no-build", "--no-recreate", "--scale", fmt.Sprint("edge=", n))
}

// TestDockerCompose: the compose file comes up with four edges behind HAProxy;
// under load one NATS server and one edge are killed, one NATS server is stopped
// as in an upgrade, edges are added, and all are rolled one by one to the next
// version. Nothing is lost or out of order.
func TestDockerCompose(t *testing.T) {
	p := newProject(t)
	for _, version := range []string{"test-old", "test-new"} {
		p.run("deploy/docker/build.sh", "-v", version, "hydrant")
	}
	p.run("deploy/docker/build.sh", "-v", "test", "nats", "haproxy")
	p.compose("down", "-v", "--timeout", "5") // what a run that was cut off left
	t.Cleanup(p.remove)

	p.set("HYDRANT_IMAGE", "hydrant:test-old")
	p.scale(4)
	front := &balancer{clients: "127.0.0.1:18080", statistics: "127.0.0.1:18404"}
	waitUp(t, front, 4)
	p.waitHealthy()
	ctx := t.Context()
	waitEcho(t, "ws://"+front.clients+"/")

	js := connectNATS(t, "nats://127.0.0.1:14221,nats://127.0.0.1:14222,nats://127.0.0.1:14223",
		nats.UserInfo("echo", "laptop-echo"), nats.CustomInboxPrefix("_INBOX_echo"), nats.IgnoreDiscoveredServers())
	l := startLoad(ctx, t, "ws://"+front.clients+"/", 40, publishTo(js))
	l.advance(ctx, t, 20)

	p.compose("kill", "-s", "SIGKILL", "nats-2")
	l.advance(ctx, t, 20)
	p.compose("start", "nats-2")
	l.advance(ctx, t, 20)

	p.compose("stop", "nats-3") // lame duck mode: takes half a minute
	l.advance(ctx, t, 20)
	p.compose("start", "nats-3")
	l.advance(ctx, t, 20)

	p.run("docker", "rm", "-f", p.edges()[0])
	l.advance(ctx, t, 20)
	p.scale(5)
	waitUp(t, front, 5)
	l.advance(ctx, t, 20)

	// Old and new side by side, from the first of these to the last but one.
	p.set("HYDRANT_IMAGE", "hydrant:test-new")
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
	for _, edge := range p.edges() {
		if image := strings.TrimSpace(p.run("docker", "inspect", "-f", "{{.Config.Image}}", edge)); image != "hydrant:test-new" {
			t.Errorf("edge %s still runs %s", edge, image)
		}
	}
	askEcho(ctx, t, "ws://"+front.clients+"/")
	if report := l.finish(ctx, t); report.Gaps != 0 {
		t.Errorf("%d gaps, although no queue was full", report.Gaps)
	}
}
