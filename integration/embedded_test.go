package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus"
	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R47: a node with NATS in its own process is killed and started again: what waited
// is there. A second one that is started in the same directory meanwhile, as
// happens, says what is wrong and leaves the first one's store as it is.
func TestEmbeddedNode(t *testing.T) {
	t.Parallel()
	listen, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"EDGE_DATA_DIR": t.TempDir(), "EDGE_NATS_LISTEN": listen, "EDGE_MAILBOX_STREAMS": "2", "EDGE_MAX_MESSAGE": "3MiB"}
	node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "embedded", Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Kill() })
	second := func(natsListen string) {
		t.Helper()
		_, stderr, err := hydrant(t, "", []string{"EDGE_DATA_DIR=" + env["EDGE_DATA_DIR"], "EDGE_NATS_LISTEN=" + natsListen,
			"EDGE_LISTEN=127.0.0.1:0", "EDGE_ADMIN_LISTEN=127.0.0.1:0"}, "serve")
		if err == nil || !strings.Contains(stderr, "another server uses the data directory") || !strings.Contains(stderr, "NATS_URL") {
			t.Errorf("a second node in the directory: %v\n%s", err, stderr)
		}
	}
	second(listen)
	c, sender := world.Dial(t, node), world.Dial(t, node)
	c.Close()
	for i := range 5 {
		sender.Send(object{"to": c.ID + "@client:/", "bdy": object{"n": i}})
	}
	row := regexp.MustCompile(`(?m)^` + shortID(c.ID) + `\s+parked\s+[0-9a-f]{32}\s+5\s`)
	if err := harness.Until(world.Patient(t), func() error {
		if list := mustRun(t, "", []string{"EDGE_DATA_DIR=" + env["EDGE_DATA_DIR"]}, "sessions"); !row.MatchString(list) {
			return fmt.Errorf("%s is not parked with 5 messages: %s", c.ID, list)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	second("127.0.0.1:0")
	if err := node.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := c.Resume(node)
	for i := range 5 {
		if m := again.Next(); m.At("bdy", "n") != float64(i) {
			t.Fatalf("message %d is %s", i, m.Raw)
		}
	}
	again.Quiet()
	// NATS inside takes what the node takes.
	large := strings.Repeat("x", 3<<20-2) // with its quotes
	again.Send(object{"to": again.ID + "@client:/", "mid": "large", "bdy": large})
	if m := again.Next(); m.Mid() != "large" || len(m.Body()) != len(large)+2 {
		t.Errorf("the largest message came as %.300s", m.Raw)
	}
}

// S88: a node with NATS in its own process registers the work queues of services that
// say that they take from one, whatever they are written with, and any node those of
// EDGE_QUEUE_SERVICES.
func TestEmbeddedQueues(t *testing.T) {
	t.Parallel()
	listen, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"EDGE_DATA_DIR": t.TempDir(), "EDGE_NATS_LISTEN": listen, "EDGE_MAILBOX_STREAMS": "1", "EDGE_QUEUE_SERVICES": "listed, also"}
	node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "embedded", Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Kill() })
	nc, err := bus.Connect(bus.Config{URL: "nats://" + listen, User: "service", PasswordFile: filepath.Join(env["EDGE_DATA_DIR"], "nats-service.password")}, "worker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c := world.Dial(t, node)
	send := func(service string) harness.Message {
		return c.Call(object{"to": "hydra-router:/queue", "fwd": service + ":/", "bdy": 1})
	}
	for _, service := range []string{"listed", "also"} { // before anybody has asked
		c.Send(object{"to": "hydra-router:/queue", "fwd": service + ":/", "bdy": 1})
	}
	c.Quiet()
	for _, service := range []string{"worker", "plain", "none"} {
		if answer := send(service); answer.At("bdy", "code") != "no_queue" {
			t.Errorf("%s: answered with %s", service, answer.Raw)
		}
	}
	done := make(chan string, 16)
	s, err := bus.NewService(nc, bus.ServiceConfig{Name: "worker"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.HandleWork(func(_ context.Context, r *bus.Request) error { done <- r.Message.Mid; return nil }, bus.WorkOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	mid := c.Send(object{"to": "hydra-router:/queue", "fwd": "worker:/", "bdy": 1})
	select {
	case got := <-done:
		if got != mid {
			t.Errorf("%s, want %s", got, mid)
		}
	case <-world.Patient(t).Done():
		t.Fatal("no work came")
	}
	plain, err := micro.AddService(nc, micro.Config{Name: "plain", Version: "1.0.0", Metadata: map[string]string{"umf.queue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Stop() }() // ends with the connection in any case
	if err := harness.Until(world.Patient(t), func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.HTTP("/v1/router/queue"), strings.NewReader(`{"to":"plain:/","frm":"web:/","bdy":1}`))
		if err != nil {
			return err
		}
		if response, page, err := harness.Do(request); err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("%v %s", err, page)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// S89: NATS inside a node asks for a password, on loopback too. The node says what it is,
// and so does its data directory: tools, another node and a service on the machine need
// to know nothing else.
func TestEmbeddedSecret(t *testing.T) {
	t.Parallel()
	listen, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "embedded", Env: map[string]string{"EDGE_DATA_DIR": dir, "EDGE_NATS_LISTEN": listen, "EDGE_MAILBOX_STREAMS": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Kill() })
	if nc, err := nats.Connect("nats://" + listen); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a password: %v", err)
		nc.Close()
	}
	for _, user := range []string{"edge", "service"} {
		if info, err := os.Stat(filepath.Join(dir, "nats-"+user+".password")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", user, info, err)
		}
	}
	printed := regexp.MustCompile(`(?m)^NATS_URL=(nats://service:[A-Za-z0-9_-]{43}@127\.0\.0\.1:[0-9]+)$`).FindSubmatch(node.Log.Since(0))
	if printed == nil {
		t.Fatalf("the node prints no address:\n%s", node.Log.Tail(4096))
	}
	nc, err := nats.Connect(string(printed[1]))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()

	own := "EDGE_DATA_DIR=" + dir
	second, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "second", NATS: "nats://" + listen, Env: map[string]string{"EDGE_DATA_DIR": dir, "EDGE_MAILBOX_STREAMS": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Kill() })
	c := world.Dial(t, second)
	for _, address := range []string{"", "nats://" + listen, "nats://localhost:" + listen[strings.LastIndexByte(listen, ':')+1:]} {
		if list := mustRun(t, "", []string{own, "NATS_URL=" + address}, "sessions"); !strings.Contains(list, shortID(c.ID)) {
			t.Errorf("%q: sessions: %s", address, list)
		}
	}
	env := []string{own, "EDGE_NATS_LISTEN=" + listen, "EDGE_MAILBOX_STREAMS=1"}
	if said, stderr, err := hydrant(t, "", env, "doctor"); err != nil || !strings.Contains(said, "none denied") {
		t.Errorf("doctor: %v %s%s", err, said, stderr)
	}
	mustRun(t, "", append(env, "NATS_URL=nats://"+listen), "setup", "-queues", "worker")
	if answer := c.Call(object{"to": "hydra-router:/queue", "fwd": "none:/", "bdy": 1}); answer.At("bdy", "code") != "no_queue" {
		t.Errorf("%s", answer.Raw)
	}
	c.Send(object{"to": "hydra-router:/queue", "fwd": "worker:/", "bdy": 1})
	c.Quiet()
	_, stderr, err := hydrant(t, "", []string{"EDGE_DATA_DIR=" + t.TempDir(), "NATS_URL=nats://" + listen}, "sessions")
	if err == nil || !strings.Contains(stderr, "EDGE_DATA_DIR") {
		t.Errorf("without the password: %v %s", err, stderr)
	}

	// A service of the README, as it stands there.
	log := &harness.Log{}
	service, err := harness.StartProcess("greeter", buildInModule(t, world.ReadmeCode(t, "In Go", "go")), nil, []string{own}, log, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Kill)
	if err := harness.Until(world.Patient(t), func() error {
		m, err := c.Client.Call(t.Context(), object{"to": "greeter:/", "bdy": "hello"})
		if err == nil && m.At("bdy", "hello") != c.Address() {
			err = fmt.Errorf("%s\n%s", m.Raw, log.Tail(4096))
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
