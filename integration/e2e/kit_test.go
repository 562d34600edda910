//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// kit is an empty project that the packed kit was installed into, once for all tests.
var kit struct {
	once sync.Once
	dir  string
	err  error
}

// kitProject returns a folder that has the kit in its node_modules, as it would be
// published, and what it needs.
func kitProject(t *testing.T) string {
	t.Helper()
	kit.once.Do(func() { kit.dir, kit.err = installKit() })
	if kit.err != nil {
		t.Fatal(kit.err)
	}
	return kit.dir
}

func installKit() (dir string, err error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("Node.js is missing: apt-get install nodejs npm: %w", err)
	}
	root, err := harness.ModuleRoot()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "bus", "js")
	if dir, err = os.MkdirTemp("", "hydrant-kit-"); err != nil {
		return "", err
	}
	// A copy, so that nothing is built beside the source.
	copied := filepath.Join(dir, "hydrant", "bus", "js")
	for _, name := range []string{"bus.js", "package.json", "package-lock.json", "tsconfig.json"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err == nil {
			err = write(filepath.Join(copied, name), string(text))
		}
		if err != nil {
			return dir, err
		}
	}
	// As a reader of README.md would do it, in an empty folder.
	commands, err := harness.ReadmeCode("In Node", "sh")
	if err == nil {
		commands, err = harness.Replaced(commands, "node greeter.mjs\n", "")
	}
	if err != nil {
		return dir, err
	}
	project := filepath.Join(dir, "project")
	if err := os.Mkdir(project, 0o755); err != nil {
		return dir, err
	}
	shell := exec.Command("sh", "-euc", commands)
	shell.Dir, shell.Env = project, append(os.Environ(), "HYDRANT="+filepath.Join(dir, "hydrant"))
	if text, err := shell.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%s: %w\n%s", commands, err, text)
	}
	if err := npm(copied, "run", "check"); err != nil {
		return dir, err
	}
	versions, err := peers(copied)
	if err != nil {
		return dir, err
	}
	return dir, npm(project, append([]string{"install", "--save-dev"}, versions...)...)
}

// peers are the versions that the lock file has of what TypeScript needs to use the kit.
func peers(source string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, err
	}
	var all []string
	for _, name := range []string{"typescript", "@types/node"} {
		all = append(all, name+"@"+lock.Packages["node_modules/"+name].Version)
	}
	return all, nil
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), fs.FileMode(0o644))
}

// npm runs npm in a folder.
func npm(dir string, args ...string) error {
	cmd := exec.Command("npm", append(args, "--no-audit", "--no-fund", "--loglevel=error")...)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return nil
}

// A nodeService is a service in Node that runs.
type nodeService struct {
	*harness.Process
	log *harness.Log
}

// startKit runs a program of this folder, or a text, as a service, until the test ends.
// Environment is added to that of the test.
func startKit(t *testing.T, program string, env ...string) *nodeService {
	t.Helper()
	dir := filepath.Join(kitProject(t), "project")
	if filepath.Ext(program) == ".mjs" && !strings.Contains(program, "\n") {
		text, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		program = string(text)
	}
	file, err := os.CreateTemp(dir, "service-*.mjs")
	if err == nil {
		_, err = file.WriteString(program)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	log := &harness.Log{}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("Node.js is missing: apt-get install nodejs npm")
	}
	p, err := harness.StartProcess("service in Node", node, []string{file.Name()}, env, log, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the service said:\n%s", log.Tail(8192))
		}
	})
	return &nodeService{p, log}
}

// await waits until services answer.
func await(t *testing.T, w *world.World, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := harness.Until(world.Patient(t), func() error {
			_, err := w.Conn.Request("$SRV.PING."+name, nil, harness.Patience)
			return err // "no responders" comes at once
		}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// TestAnswersNode: what a handler does comes to clients as the vectors have it, which the
// kit for Go runs as well.
func TestAnswersNode(t *testing.T) {
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	impatient := w.Start(t, "impatient", map[string]string{"EDGE_REQUEST_TIMEOUT": "300ms"})
	startKit(t, "answers.mjs", "NATS_URL="+w.NATS.URL(), "ANSWERS="+world.AnswersFile(t))
	await(t, w, "answers", "others")
	world.CheckAnswers(t, node, impatient, "answers", "others")
}
