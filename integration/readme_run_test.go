package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// readmeRun says for each block of code in the README, by its heading, its language and its
// number under it, which test runs it as it stands there, or why none does.
var readmeRun = map[string]string{
	"See it sh 1":               "integration.TestReadmeDemo",
	"See it sh 2":               notRun + "it runs all tests",
	"A page of your own html 1": "integration/e2e.TestE2EReadmePage",
	"A page of your own sh 1":   "integration/e2e.TestE2EReadmePage",
	"In Go go 1":                "integration.TestReadmeServiceInGo",
	"In Go sh 1":                "integration/e2e.TestE2EReadmeImport",
	"In Node js 1":              "integration/e2e.TestKitReadme",
	"In Node sh 1":              "integration/e2e.TestKitReadme",
	"A push that survives a killed node go 1": "integration.TestReadmePushInGo",
	"A push that survives a killed node js 1": "integration/e2e.TestKitReadmePush",
	"Run it sh 1": "integration.TestReadmeNodes",
}

const notRun = "not run: "

var readmeBlock = regexp.MustCompile("(?m)^(?:##+ (.+)|```([a-z]+))$")

// TestReadmeIsRun: each block of code of the README is run by a test, which exists, and each
// that a test runs is there.
func TestReadmeIsRun(t *testing.T) {
	t.Parallel()
	root, text := ofModule(t, "README.md")
	sources, err := testSources(root)
	if err != nil {
		t.Fatal(err)
	}
	heading, found := "", map[string]int{}
	for _, line := range readmeBlock.FindAllStringSubmatch(text, -1) {
		if line[1] != "" {
			heading = line[1]
			continue
		}
		block := heading + " " + line[2]
		found[block]++
		if name := fmt.Sprint(block, " ", found[block]); readmeRun[name] == "" {
			t.Errorf("nothing says which test runs %q", name)
		}
	}
	for name, test := range readmeRun {
		at := strings.LastIndexByte(name, ' ')
		if found[name[:at]] == 0 {
			t.Errorf("README.md has no %q", name)
		}
		if strings.HasPrefix(test, notRun) {
			continue
		}
		if missing := missingTest(test, sources); missing != "" {
			t.Errorf("%s: %s", name, missing)
		}
	}
}

// TestReadmeDemo: the README's first command prints the address of a page that is there, and
// Ctrl-C ends it without a word and leaves nothing behind.
func TestReadmeDemo(t *testing.T) {
	t.Parallel()
	root, _ := ofModule(t, "README.md")
	demos.Lock()
	defer demos.Unlock()
	log, dir := &harness.Log{}, t.TempDir()
	demo := exec.Command("sh", "-c", "exec "+world.ReadmeCode(t, "See it", "sh"))
	demo.Dir, demo.Stdout, demo.Stderr = root, log, log
	demo.Env = append(os.Environ(), "TMPDIR="+dir)
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what a terminal's Ctrl-C reaches
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-demo.Process.Pid, syscall.SIGKILL) }) // fails if all have ended
	ended := make(chan error, 1)
	go func() { ended <- demo.Wait() }()
	page := regexp.MustCompile(`(?m)^  (http://localhost:\d+/)$`)
	if err := harness.Until(world.Patient(t), func() error {
		select {
		case err := <-ended:
			t.Fatalf("ended: %v\n%s", err, log.Tail(4096))
		default:
		}
		if !page.Match(log.Since(0)) || !bytes.Contains(log.Since(0), []byte("Stop with Ctrl-C.")) {
			return fmt.Errorf("no address: %s", log.Tail(4096))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(string(page.FindSubmatch(log.Since(0))[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || !bytes.Contains(body, []byte("Nothing is lost.")) {
		t.Errorf("the page: %s, %v\n%s", response.Status, err, body)
	}
	if err := syscall.Kill(-demo.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ended // go run has status 1 after Ctrl-C, whatever it ran; but it says so if that has failed
	if !bytes.HasSuffix(log.Since(0), []byte("Stop with Ctrl-C.\n")) {
		t.Errorf("ended with\n%s", log.Tail(4096))
	}
	if err := syscall.Kill(-demo.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("something of it still runs: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestReadmeNodes: the README's commands build a node, run one with NATS inside and one with
// a NATS of its own; that of compose is the guide's. Only addresses and the folder differ.
func TestReadmeNodes(t *testing.T) {
	t.Parallel()
	root, _ := ofModule(t, "README.md")
	_, guide := ofModule(t, "deploy/README.md")
	w, dir := world.Own(t, harness.NATSOptions{}), t.TempDir()
	var commands []string
	for line := range strings.Lines(world.ReadmeCode(t, "Run it", "sh")) {
		command, _, _ := strings.Cut(line, " #")
		commands = append(commands, strings.TrimSpace(command))
	}
	if len(commands) != 4 {
		t.Fatalf("commands are %q", commands)
	}
	build, err1 := harness.Replaced(commands[0], "-o hydrant ", "-o "+filepath.Join(dir, "hydrant")+" ")
	beside, err2 := harness.Replaced(commands[2], "nats://nats:4222", w.NATS.URL())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", build)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, text)
	}
	for _, command := range []string{commands[1], beside} {
		serves(t, dir, command)
	}
	if !slices.Contains(strings.Fields(commands[3]), "--build") || !strings.Contains(guide, "\n"+commands[3]+" ") {
		t.Errorf("the guide has not %q", commands[3])
	}
}

// serves runs a node by a command of the shell in a folder, until it is ready.
func serves(t *testing.T, dir, command string) {
	t.Helper()
	listen, err1 := harness.FreeAddr()
	inside, err2 := harness.FreeAddr()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	log := &harness.Log{}
	node, err := harness.StartProcess("node", "sh", []string{"-c", "cd '" + dir + "' && exec env " + command},
		[]string{"EDGE_LISTEN=" + listen, "EDGE_NATS_LISTEN=" + inside, "EDGE_ADMIN_LISTEN=127.0.0.1:0"}, log, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	if err := harness.Until(world.Patient(t), func() error {
		select {
		case <-node.Exited():
			t.Fatalf("%s ended: %v\n%s", command, node.Err(), log.Tail(4096))
		default:
		}
		response, err := http.Get("http://" + listen + "/readyz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return nil
	}); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, log.Tail(4096))
	}
	if err := node.Terminate(world.Patient(t)); err != nil {
		t.Errorf("%s, told to stop: %v\n%s", command, err, log.Tail(4096))
	}
}
