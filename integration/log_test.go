package integration

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R46: nothing reads what a node logs, and the pipe is full: the node serves its
// clients, also after it has logged something about one. What it said is there
// when somebody reads again.
func TestLogIsNotRead(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	log, full, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	raw, err := full.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var filled error
	if err := raw.Write(func(fd uintptr) bool {
		for filled == nil {
			_, filled = syscall.Write(int(fd), []byte("nobody reads\n"))
		}
		return true
	}); err != nil || !errors.Is(filled, syscall.EAGAIN) {
		t.Fatal(err, filled)
	}
	const secret = "a-secret-for-the-tests-0123456789"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "unread", NATS: w.NATS.URL(), Output: full, Env: map[string]string{
		"EDGE_MAILBOX_STREAMS": "2", "EDGE_AUTH": "jwt", "EDGE_AUTH_ALGORITHMS": "HS256", "EDGE_AUTH_KEY_FILE": file}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Kill()
	if err := full.Close(); err != nil {
		t.Fatal(err)
	}
	token := jwt(t, secret, object{"alg": "HS256", "typ": "JWT"}, object{"sub": "ann", "exp": time.Now().Add(time.Hour).Unix()})
	for range 20 { // on each loop
		if _, err := harness.Dial(t.Context(), node.URL("/"), harness.DialOptions{}); err == nil || !strings.Contains(err.Error(), "4401") {
			t.Fatalf("without a token: %v", err)
		}
		world.DialWith(t, node.URL("/"), harness.DialOptions{Header: http.Header{"Authorization": {"Bearer " + token}}})
	}
	for lines := bufio.NewScanner(log); !strings.Contains(lines.Text(), "token refused"); {
		if !lines.Scan() {
			t.Fatalf("the log ends: %v", lines.Err())
		}
	}
}

// R46: the reader of the log ends before the node, as at Ctrl-C for `hydrant serve 2>&1 |
// tee`: the node serves its clients, and drains when it is told to.
func TestLogReaderEnds(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	log, output, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "unheard", NATS: w.NATS.URL(), Output: output, Env: map[string]string{
		"EDGE_MAILBOX_STREAMS": "2", "EDGE_DRAIN_TIMEOUT": "100ms"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	if err := errors.Join(output.Close(), log.Close()); err != nil {
		t.Fatal(err)
	}
	c := world.Dial(t, node)
	if err := node.Terminate(world.Patient(t)); err != nil {
		t.Errorf("the node ends with %v", err)
	}
	if code, reason := c.Closed(); code != 1012 {
		t.Errorf("closed with %d %q", code, reason)
	}
}

// shortID is what logs, traces and lists have of a session's id.
func shortID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:4])
}

// S66: the log says which session it is about, and not how to get it. That none of
// all nodes' lines has an id is looked at when all tests have run.
func TestLogNamesNoSession(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Start(t, "discreet", map[string]string{"EDGE_ADMIN_TOKEN": world.AdminToken})
	c := world.Dial(t, node)
	w.Push(t, c.ID, "junk")
	w.PushNumbers(t, c.ID, 0, 1)
	c.WantBodies(0, 1)
	c.Send(object{"to": "hydra-router:/", "typ": "log", "bdy": "x"})
	c.Fence()
	if log := string(node.Log.Since(0)); !strings.Contains(log, shortID(c.ID)) || strings.Contains(log, c.ID) {
		t.Errorf("the log: %s", log)
	}
	bearer := http.Header{"Authorization": {"Bearer " + world.AdminToken}}
	if _, e, _ := fetch(t, "GET", node.AdminHTTP("/v1/router/log"), "", bearer); !strings.Contains(string(e.Result), shortID(c.ID)) || strings.Contains(string(e.Result), c.ID) {
		t.Errorf("the clients' log: %s", e.Result)
	}
	for _, header := range []http.Header{nil, {"Authorization": {"Bearer wrong"}}} {
		for _, url := range []string{node.AdminHTTP("/v1/router/list/wsdir"), node.AdminHTTP("/v1/router/list/wsdir?x"), node.AdminHTTP("/v1/router//list/wsdir")} {
			if status, e, _ := fetch(t, "GET", url, "", header); status == http.StatusOK || strings.Contains(string(e.Result), c.ID) {
				t.Errorf("%s: status %d, %s", url, status, e.Result)
			}
		}
	}
}
