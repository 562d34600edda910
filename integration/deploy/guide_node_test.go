package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// TestGuideNode runs the commands of the guide that need no more than a node: a second one
// joins, an administrator asks the first, has it drained, and the second says what it lacks.
func TestGuideNode(t *testing.T) {
	t.Parallel()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(bin.Hydrant, filepath.Join(dir, "hydrant")); err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(read(t, deployed(t, "README.md")))
	if err := os.WriteFile(filepath.Join(dir, "rules.json"), []byte(rules[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	var addr [4]string // clients, administrators and NATS of the first node, clients of the second
	for i := range addr {
		if addr[i], err = harness.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	w := startWalk(t, "TestGuideNode", dir,
		[]string{"PATH=" + dir + ":" + os.Getenv("PATH"), "EDGE_LISTEN=" + addr[0], "EDGE_ADMIN_LISTEN=" + addr[1], "EDGE_NATS_LISTEN=" + addr[2],
			"EDGE_DRAIN_TIMEOUT=1s"},
		"localhost:4222", addr[2], "EDGE_LISTEN=:5354", "EDGE_LISTEN="+addr[3]+" EDGE_ADMIN_LISTEN=127.0.0.1:0", "127.0.0.1:9353", addr[1], "seconds=10", "seconds=1")
	defer w.finish()

	w.must("umask 077; head")
	w.says("hydrant help", "EDGE_LISTEN")
	w.says("hydrant size", "NATS")
	w.says("hydrant policy check -rules", "room-ann")
	if text, status := w.try("hydrant policy check -file"); status != 1 || !strings.Contains(text, "denied") {
		t.Errorf("a right that is missing: status %d\n%s", status, text)
	}
	if text, status := w.try("hydrant healthcheck -ready"); status != 1 {
		t.Errorf("healthcheck without a node: status %d\n%s", status, text)
	}

	// The nodes are children of the shell; both end with it at the latest.
	background := func(begins, env string) {
		t.Helper()
		w.ran[begins] = true
		for _, command := range w.guide.of(begins) {
			w.shell(fmt.Sprintf("export %s; exec 3>>log; (%s) >&3 2>&3 & jobs=\"$jobs $!\"", env, w.replace.Replace(command)))
		}
	}
	t.Cleanup(func() { w.shell(`for job in $jobs; do pkill -TERM -P "$job" || kill "$job"; wait "$job"; done`) })
	until := func(command string) {
		t.Helper()
		if err := harness.Until(t.Context(), func() error {
			if text, status := w.shell(command); status != 0 {
				return fmt.Errorf("%s: %s", command, text)
			}
			return nil
		}); err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("%v\n%s", err, log)
		}
	}
	background("hydrant serve", "EDGE_ADMIN_TOKEN_FILE=operators.token")
	until("hydrant healthcheck -ready")
	w.says("hydrant healthcheck -ready", "ok")
	background("NATS_URL=nats://localhost:4222 EDGE_LISTEN=:5354 ./hydrant serve", "SECOND=yes")
	until("curl -fsS http://" + addr[3] + "/readyz")
	w.says("hydrant doctor", "streams")
	w.says("hydrant sessions", "SESSION")

	w.must(`curl -H "Authorization: Bearer $(cat operators.token)" -o cpu`)
	if profile, err := os.ReadFile(filepath.Join(dir, "cpu")); err != nil || !strings.HasPrefix(string(profile), "\x1f\x8b") {
		t.Errorf("no profile: %q, %v", profile[:min(len(profile), 100)], err)
	}
	w.says(`curl -H "Authorization: Bearer $(cat operators.token)" -X POST`, "Draining")
	if _, status := w.shell("set -- $jobs; wait $1"); status != 0 {
		t.Errorf("the drained node ended with %d", status)
	}
	until("! curl -fsS http://" + addr[3] + "/readyz") // NATS has gone with the first
}
