package integration

import (
	"bufio"
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
