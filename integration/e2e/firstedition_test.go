//go:build e2e && oldnode

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hydrant/integration/harness"
)

// C20: the client on nodes that know neither accepted nor auth nor the resume in the
// handshake. It needs a binary of such a version:
//
//	git worktree add /tmp/old 2b6a5a1 && (cd /tmp/old && go build -o hydrant.old ./edge/cmd/hydrant)
//	HYDRANT_OLD=/tmp/old/hydrant.old go test -tags e2e,oldnode -run TestE2EFirstEdition -v ./integration/e2e
func TestE2EFirstEdition(t *testing.T) {
	old := os.Getenv("HYDRANT_OLD")
	if old == "" {
		t.Fatal("HYDRANT_OLD names no binary: see the comment of this test")
	}
	t.Run("kills", func(t *testing.T) {
		w := newClientWorldOf(t, old, "node22")
		other, err := harness.Dial(w.ctx, w.nodes[0].URL("/"), harness.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		other.Drop() // what is sent to it waits
		w.start("{}")
		w.kills(other)
		w.arrived(1)
		w.told(other, func(outcome any, stored int) bool {
			// A ping is answered when the node has taken what lies before it, and perhaps not stored.
			return (outcome == "accepted" || outcome == "unknown") && stored <= 1
		})
		w.saysNothingNew()
	})
	t.Run("nosuch", func(t *testing.T) {
		w := newClientWorldOf(t, old, "node22")
		w.start("{}")
		w.eval(`page.send("say-x", "nosuch:/", 1)`)
		w.eval(`page.request("ask-x", "nosuch:[GET]/x", {})`)
		w.eval(`page.send("say-y", page.client.session + "@client:/", {n: 1})`)
		w.pushed = 1
		w.until("Object.keys(page.outcomes).length === 3")
		outcomes := value[map[string][]string](w, `({x: page.outcomes["say-x"], y: page.outcomes["say-y"]})`)
		if got := fmt.Sprint(outcomes["x"], outcomes["y"]); got != "[no_instances] [accepted]" {
			t.Errorf("nobody's message, and one's own: %s", got)
		}
		w.arrived(1)
		w.saysNothingNew()
	})
	t.Run("signed", func(t *testing.T) {
		w := newClientWorldOf(t, old, "node22", "EDGE_SIGNATURE", "required", "EDGE_SIGNATURE_KEYS", "the key of the tests", "EDGE_SIGNATURE_WINDOW", "1m")
		w.signed()
		w.saysNothingNew()
	})
	t.Run("token", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(tokenSecret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w := newClientWorldOf(t, old, "node22", "EDGE_AUTH", "jwt", "EDGE_AUTH_ALGORITHMS", "HS256", "EDGE_AUTH_KEY_FILE", file)
		w.eval(fmt.Sprintf("globalThis.asked = []; globalThis.tokens = [%q, %q]; true", token(t, "ann", 6*time.Second), token(t, "ann", time.Hour)))
		w.start("{token: (why) => (asked.push(why), tokens[asked.length - 1])}")
		w.push(10)
		w.until(`asked.length === 2 && page.client.state === "open"`) // its node has closed the connection
		w.push(10)
		w.arrived(1)
		if session := value[string](w, "page.client.session"); session != w.session {
			t.Errorf("the session is %s, it was %s", session, w.session)
		}
		w.saysNothingNew()
	})
}

// saysNothingNew looks at what the client has sent.
func (w *clientWorld) saysNothingNew() {
	w.t.Helper()
	text, err := os.ReadFile(w.frames)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, `{"from":"client"`) {
			continue
		}
		for _, word := range []string{`"type":"auth"`, `"x-ack"`} {
			if strings.Contains(line, word) {
				w.t.Errorf("%s: %.300s", word, line)
			}
		}
	}
}
