package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// The README's service in Go compiles, answers, and ends when it is told to.
func TestReadmeServiceInGo(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	service := startGreeter(t, w, world.ReadmeCode(t, "In Go", "go"))
	c := world.Dial(t, node)
	if m := c.Call(object{"to": "greeter:/", "bdy": "hello"}); m.At("bdy", "hello") != c.Address() {
		t.Errorf("answer %s", m.Raw)
	}
	m := c.Call(object{"to": "greeter:[GET]/v1/time", "bdy": object{}})
	now, _ := m.At("bdy", "now").(string)
	if _, err := time.Parse(time.RFC3339, now); err != nil {
		t.Errorf("answer %s", m.Raw)
	}
	if err := service.Terminate(world.Patient(t)); err != nil {
		t.Errorf("told to stop: %v\n%s", err, service.Log.Tail(4096))
	}
}

// startGreeter runs a service of the README until the test ends, and waits until it takes
// messages.
func startGreeter(t *testing.T, w *world.World, code string) *harness.Process {
	t.Helper()
	log := &harness.Log{}
	service, err := harness.StartProcess("greeter", buildInModule(t, code), nil, []string{"NATS_URL=" + w.NATS.URL()}, log, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Kill)
	if err := harness.Until(world.Patient(t), func() error {
		_, err := w.Conn.Request("$SRV.PING.greeter", nil, harness.Patience)
		return err // "no responders" comes at once
	}); err != nil {
		t.Fatalf("%v\n%s", err, log.Tail(4096))
	}
	return service
}

// The README's pushes go on, each once and in order, when the client's node is killed.
func TestReadmePushInGo(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	a, b := w.Start(t, "a", nil), w.Start(t, "b", nil)
	handler := regexp.MustCompile(`(?ms)^\tservice\.HandleAny\(.*?^\t\}\)\n`)
	code := world.ReadmeCode(t, "In Go", "go")
	if n := len(handler.FindAllString(code, -1)); n != 1 {
		t.Fatalf("%d handlers to put another one in the place of:\n%s", n, code)
	}
	startGreeter(t, w, handler.ReplaceAllLiteralString(code, world.ReadmeCode(t, "A push that survives a killed node", "go")))
	world.PushesSurvive(t, a, b)
}

// buildInModule builds a program as if its source lay in this module.
func buildInModule(t *testing.T, source string) (binary string) {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "readme", "main.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{file: []byte(source), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary = filepath.Join(dir, "service")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "./readme")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, source)
	}
	return binary
}
