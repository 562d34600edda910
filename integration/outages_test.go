package integration

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R51: a terminal that is closed lets a node leave in order, as SIGTERM does, and a
// second hang-up, which the kernel may send after the shell, changes nothing.
func TestHangUp(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node, other := w.Start(t, "at a terminal", nil), w.Start(t, "other", nil)
	c := world.DialAcked(t, node)
	w.PushNumbers(t, c.ID, 0, 3)
	messages := c.WantBodies(0, 3)
	for range 2 {
		if err := node.Signal(syscall.SIGHUP); ignoreDone(err) != nil {
			t.Fatal(err)
		}
	}
	if code, _ := c.Closed(); code != 1012 {
		t.Errorf("the client was closed with %d", code)
	}
	if err := node.Err(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	w.PushNumbers(t, c.ID, 3, 6)
	again := c.ResumeAcked(other, messages[2].Seq())
	world.WantChain(t, messages[2].Seq(), again.WantBodies(3, 6))
}

// R51: under nohup the end of a terminal means nothing.
func TestNohup(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	nohup, err := exec.LookPath("nohup")
	if err != nil {
		t.Fatal("nohup is missing: install coreutils")
	}
	var addr [2]string
	for i := range addr {
		if addr[i], err = harness.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	log := &harness.Log{}
	process, err := harness.StartProcess("nohup", nohup, []string{bin.Hydrant, "serve"},
		[]string{"NATS_URL=" + w.NATS.URL(), "EDGE_LISTEN=" + addr[0], "EDGE_ADMIN_LISTEN=" + addr[1]}, log, log)
	if err != nil {
		t.Fatal(err)
	}
	defer process.Kill()
	ready := func() error {
		_, err := harness.Get("http://" + addr[1] + "/readyz")
		return err
	}
	if err := harness.Until(world.Patient(t), ready); err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	c, err := harness.Enter(t.Context(), "ws://"+addr[0]+"/", harness.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Drop()
	if err := harness.Until(world.Patient(t), ready); err != nil {
		t.Error(err)
	}
	if err := process.Terminate(world.Patient(t)); err != nil {
		t.Error(err)
	}
	if text := string(log.Since(0)); strings.Count(text, `"msg":"draining"`) != 1 || !strings.Contains(text, `"why":"told to stop"`) {
		t.Errorf("the log says %s", text)
	}
}

// R52: in a namespace with a Service called edge, Kubernetes sets variables that look
// like settings. The node starts, and says that it passes them over.
func TestServiceLinks(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "in Kubernetes", map[string]string{
		"EDGE_SERVICE_HOST": "10.96.0.7", "EDGE_SERVICE_PORT": "5353", "EDGE_SERVICE_PORT_CLIENTS": "5353",
		"EDGE_PORT": "tcp://10.96.0.7:5353", "EDGE_PORT_5353_TCP": "tcp://10.96.0.7:5353", "EDGE_PORT_5353_TCP_PROTO": "tcp",
		"EDGE_PORT_5353_TCP_PORT": "5353", "EDGE_PORT_5353_TCP_ADDR": "10.96.0.7",
	})
	world.Dial(t, node).Fence()
	if text := string(node.Log.Since(0)); !strings.Contains(text, "passed over") || !strings.Contains(text, "EDGE_PORT_5353_TCP_ADDR") {
		t.Errorf("the log says %s", text)
	}
}
