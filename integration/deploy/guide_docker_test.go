//go:build docker

package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"hydrant/integration/harness"
)

// natsTool is the operator's tool that the guide's commands are for.
const natsTool = "github.com/nats-io/natscli/nats@v0.5.0"

// A tour is a walk through the guide with the compose file.
type tour struct {
	*walk
	disks string // of the NATS servers, a file system each
	sid   string // a session that has to outlive all of it
}

var natsServers = []string{"nats-1", "nats-2", "nats-3"}

func startTour(t *testing.T) *tour {
	t.Helper()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", natsTool)
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	disks := filepath.Join(dir, "disks")
	for _, server := range natsServers {
		disk := filepath.Join(disks, server)
		if err := errors.Join(os.MkdirAll(disk, 0o755), harness.Mount(disk, 256<<20), os.Chown(disk, 65532, 65532)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := harness.Unmount(disk); err != nil {
				t.Error(err)
			}
		})
	}
	env := []string{
		"PATH=" + dir + ":" + filepath.Dir(bin.Hydrant) + ":" + os.Getenv("PATH"),
		"COMPOSE_PROJECT_NAME=hydrantguide", "COMPOSE_FILE=docker-compose.yml:integration/deploy/testdata/guide.yml",
		"HYDRANT_DISKS=" + disks, "HYDRANT_FRONT=172.29.54",
		"HYDRANT_IMAGE=hydrant:guide", "HYDRANT_NATS_IMAGE=hydrant-nats:guide", "HYDRANT_HAPROXY_IMAGE=hydrant-haproxy:guide",
		"HYDRANT_PORT=127.0.0.1:18081", "HYDRANT_STATS_PORT=18405", "EDGE_DRAIN_TIMEOUT=5s",
	}
	return &tour{disks: disks, walk: startWalk(t, "TestDockerGuide", root, env,
		"deploy/docker/build.sh", "deploy/docker/build.sh -v guide", "=hydrant-haproxy ", "=hydrant-haproxy:guide ",
		"localhost:8080", "localhost:18081", "/etc/hydrant", filepath.Join(dir, "own"), "NATS_ROUTES_PASSWORD=…", "NATS_ROUTES_PASSWORD=own-route",
		"deploy/nats -services", filepath.Join(dir, "own")+" -services", "hydrant-backup", filepath.Join(dir, "backup"), "hydrant:1.2.3", "hydrant:guide-new")}
}

// mustShell is a command of the test's own that has to end well.
func (tr *tour) mustShell(command string) string {
	tr.t.Helper()
	text, status := tr.shell(command)
	if status != 0 {
		tr.t.Fatalf("%s ended with %d:\n%s", command, status, text)
	}
	return text
}

// Commands of the guide that are asked again and again.
const (
	healthchecks = "for edge in $(docker-compose ps -q edge); do docker exec"
	doctors      = `docker exec "$edge" /hydrant doctor`
)

// ready says whether all edges take clients.
func (tr *tour) ready() error {
	if text, status := tr.try(healthchecks); status != 0 || strings.TrimSpace(strings.ReplaceAll(text, "ok\n", "")) != "" {
		return fmt.Errorf("not ready: %s", text)
	}
	return nil
}

func (tr *tour) waitReady() {
	tr.t.Helper()
	if err := harness.Until(tr.t.Context(), tr.ready); err != nil {
		tr.t.Fatalf("%v\n%s", err, tr.logs())
	}
}

func (tr *tour) logs() string {
	text, _ := tr.shell("docker-compose logs --no-color --tail 8 edge nats-1 nats-2 nats-3 setup | cut -c1-400")
	return text
}

// waitUnready returns when edges say that they take no clients, and why.
func (tr *tour) waitUnready(why string) {
	tr.t.Helper()
	if err := harness.Until(tr.t.Context(), func() error {
		if text, status := tr.try(healthchecks); status == 0 || !strings.Contains(text, why) {
			return fmt.Errorf("healthcheck -ready: status %d, %s", status, text)
		}
		return nil
	}); err != nil {
		tr.t.Fatal(err)
	}
}

// seen is how the tools write the session's id.
func (tr *tour) seen() string {
	return strings.TrimSpace(tr.must("printf %s ID", "%s ID", "%s "+tr.sid))
}

// asks sends a message through the balancer, and hears the answer of the service.
func (tr *tour) asks() {
	tr.t.Helper()
	text := tr.must("go run ./edge/cmd/hydrant send")
	id := regexp.MustCompile(`(?m)^connected as (\w+)$`).FindStringSubmatch(text)
	if id == nil || !strings.Contains(text, "@echo:/") {
		tr.t.Fatalf("no session, or no answer:\n%s", text)
	}
	if tr.sid == "" {
		tr.sid = id[1]
	}
}

// until is says for what may take its time: streams without a leader for a moment.
func (tr *tour) until(begins, what string) {
	tr.t.Helper()
	if err := harness.Until(tr.t.Context(), func() error {
		if text, status := tr.try(begins); status != 0 || !strings.Contains(text, what) {
			return fmt.Errorf("%s: status %d, %s", begins, status, text)
		}
		return nil
	}); err != nil {
		tr.t.Fatal(err)
	}
}

// looks runs what tells how things are, which has to be well.
func (tr *tour) looks() {
	tr.t.Helper()
	tr.waitReady()
	tr.must("edge=")
	tr.until(doctors, "streams: 19 of 19")
	tr.until("docker-compose ps", "healthy")
	tr.says(healthchecks, "ok")
	tr.until("docker exec --env-file", tr.seen())
	tr.says("docker-compose logs", "edge_")
	tr.must("address()")
	tr.says(`curl -H "Authorization: Bearer $(cat ${HYDRANT_ADMIN_TOKEN_FILE`, `"ready":true`)
	tr.must("export NATS_URL=nats://$(address $(docker-compose ps -q nats-1)):4222 $(cat")
	tr.says("nats stream report", "UMF_OUT_15")
}

// fill takes all room of a disk, and frees it.
func fill(t *testing.T, path string) (free func()) {
	t.Helper()
	file, err := os.Create(filepath.Join(path, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(file, bytes.NewReader(make([]byte, 512<<20))); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	return func() {
		if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
			t.Error(err)
		}
	}
}

// TestDockerGuide walks through the guide with the compose file: it runs each command at the
// state that the guide describes. A session that was there at the beginning is there at the end.
func TestDockerGuide(t *testing.T) {
	newProject(t) // says what is missing
	tr := startTour(t)
	tr.shell("docker-compose down -v") // what a run that was cut off left
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(tr.logs())
		}
		tr.mustShell("docker-compose down -v --timeout 5")
		tr.mustShell("docker rmi hydrant:guide hydrant:guide-new hydrant-nats:guide hydrant-haproxy:guide")
	})
	tr.must("deploy/docker/build.sh")
	tr.mustShell("docker tag hydrant:guide hydrant:guide-new")
	tr.must("HYDRANT_HAPROXY_IMAGE=")
	tr.waitReady()
	if err := harness.Until(t.Context(), func() error {
		text, status := tr.try("go run ./edge/cmd/hydrant send")
		if status != 0 {
			return fmt.Errorf("no answer: %s", text)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	tr.asks()
	tr.looks()
	if text := tr.mustShell("docker-compose logs --no-color edge | grep 'ermissions [Vv]iolation' || true"); text != "" {
		t.Errorf("a start, and doctor, look like faults in the log:\n%s", text)
	}

	for _, part := range []func(){tr.nodeKilled, tr.noQuorum, tr.fullDisk, tr.ownPasswords, tr.anotherService, tr.workQueue, tr.upgrades, tr.restores} {
		part()
	}
	tr.says("nats stream cluster", "Manages", "stream cluster", "stream cluster --help")
	tr.must("docker-compose down")
	tr.finish()
}

func (tr *tour) nodeKilled() {
	tr.mustShell("docker kill $(docker-compose ps -q edge | head -1)")
	if text := tr.must("docker-compose ps"); !strings.Contains(text, "137") {
		tr.t.Errorf("the killed node is not seen in\n%s", text)
	}
	tr.asks()
	tr.must("docker-compose up --no-build -d --scale")
	tr.looks()
}

func (tr *tour) noQuorum() {
	tr.mustShell("docker-compose kill nats-2 nats-3")
	tr.waitUnready("acks: ")
	if text, status := tr.try(doctors); status != 1 || !strings.Contains(text, "FAIL ") {
		tr.t.Errorf("doctor without a quorum: status %d\n%s", status, text)
	}
	// The server that is left may tell what it had, or nothing.
	tr.try("docker exec --env-file")
	tr.try("nats stream report")
	tr.says("docker-compose logs", "waiting")
	tr.mustShell("docker-compose start nats-2 nats-3")
	tr.looks()
}

func (tr *tour) fullDisk() {
	var free []func()
	for _, server := range natsServers {
		free = append(free, fill(tr.t, filepath.Join(tr.disks, server)))
	}
	if err := harness.Until(tr.t.Context(), func() error { // servers notice when they write
		tr.shell(`timeout 5 hydrant send -url ws://localhost:18081`)
		if text, status := tr.try(healthchecks); status == 0 {
			return fmt.Errorf("still ready: %s", text)
		}
		return nil
	}); err != nil {
		tr.t.Fatal(err)
	}
	tr.waitUnready("acks: ")
	if text, status := tr.try(doctors); status != 1 || !strings.Contains(text, "full disk") {
		tr.t.Errorf("doctor with a full disk: status %d\n%s", status, text)
	}
	if text := tr.mustShell("docker-compose logs --no-color --tail 100 nats-1 nats-2 nats-3"); !strings.Contains(text, "no space left on device") || !strings.Contains(text, "JetStream Shutdown") {
		tr.t.Errorf("the servers do not say what the guide says:\n%s", text)
	}
	for _, free := range free {
		free()
	}
	if err := tr.ready(); err == nil {
		tr.t.Error("the servers begin again by themselves, other than the guide says")
	}
	tr.must("docker-compose restart nats-1")
	tr.looks()
}

func (tr *tour) ownPasswords() {
	tr.must("umask 077; cp -r")
	tr.must("hydrant setup nats -dir /etc/hydrant")
	tr.must("head -c 32 /dev/urandom")
	tr.must("chown -R")
	if text := tr.mustShell(`find "` + tr.replace.Replace("/etc/hydrant") + `" -type f -perm /077`); text != "" {
		tr.t.Errorf("others can read\n%s", text)
	}
	tr.must("export HYDRANT_NATS_DIR")
	tr.must("docker-compose up --no-build -d --scale")
	tr.looks()

	// A password is rotated.
	own := tr.replace.Replace("/etc/hydrant")
	before := tr.mustShell("cat " + own + "/users/edge.env")
	tr.mustShell("sed -i '/NATS_PASSWORD_edge:/d' " + own + "/passwords.conf")
	tr.must("hydrant setup nats -dir /etc/hydrant")
	if after := tr.mustShell("cat " + own + "/users/edge.env"); after == before {
		tr.t.Error("the password has not changed")
	}
	tr.must("docker-compose kill -s SIGHUP")
	tr.waitUnready("nats: ")
	tr.must("docker-compose up --no-build -d --scale")
	tr.looks()
}

func (tr *tour) anotherService() {
	tr.must("hydrant setup nats -dir deploy/nats")
	for range 2 {
		tr.must("docker-compose kill -s SIGHUP")
	}
	own := tr.replace.Replace("/etc/hydrant")
	if err := harness.Until(tr.t.Context(), func() error {
		if text, status := tr.shell("(export NATS_URL $(cat " + own + "/users/chat.env); nats rtt)"); status != 0 {
			return fmt.Errorf("chat may not connect: %s", text)
		}
		return nil
	}); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tour) workQueue() {
	tr.says("nats kv get", "UMF_SESSIONS", "<sid>", tr.sid)
	tr.must("nats stream purge", "<service>", "echo")
	tr.must("nats consumer rm", "<service>", "echo")
	if text, status := tr.shell("nats consumer info UMF_WORK echo"); status == 0 {
		tr.t.Errorf("the queue is there still:\n%s", text)
	}
	tr.mustShell("docker-compose up --no-build setup")
	tr.mustShell("nats consumer info UMF_WORK echo")
}

func (tr *tour) upgrades() {
	tr.must("export HYDRANT_IMAGE")
	tr.must("for edge in $(docker-compose ps -q edge); do\n")
	if err := tr.ready(); err != nil {
		tr.t.Errorf("the loop does not wait: %v", err)
	}
	for edge := range strings.FieldsSeq(tr.mustShell("docker-compose ps -q edge")) {
		if image := tr.mustShell("docker inspect -f '{{.Config.Image}}' " + edge); strings.TrimSpace(image) != "hydrant:guide-new" {
			tr.t.Errorf("an edge still runs %s", image)
		}
	}
	tr.says("for server in", "ok")
	tr.looks()
}

func (tr *tour) restores() {
	tr.must("nats account backup")
	tr.must("docker-compose down")
	for _, server := range natsServers { // not Docker's own volumes
		tr.mustShell("rm -rf " + filepath.Join(tr.disks, server) + "/*")
	}
	tr.must("docker-compose up --no-build -d nats-1")
	tr.must("export NATS_URL=nats://$(address $(docker-compose ps -q nats-1)):4222")
	tr.must("until nats account info")
	tr.must("nats account restore")
	tr.must("docker-compose up --no-build -d --scale")
	tr.looks()
	tr.asks()
}
