//go:build e2e

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const tokenSecret = "a-secret-for-tokens-of-the-tests-0123456789"

// token makes a JSON Web Token (RFC 7519).
func token(t *testing.T, sub string, life time.Duration) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(map[string]any{"alg": "HS256"}) + "." + part(map[string]any{"sub": sub, "exp": time.Now().Add(life).Unix()})
	mac := hmac.New(sha256.New, []byte(tokenSecret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// C16: a token is shown, replaced in place before it ends, and asked for once more when
// it is refused; then it is over.
func TestE2EClientTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(tokenSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{"node22", "chromium"} {
		t.Run(in, func(t *testing.T) {
			w := newClientWorld(t, in, "EDGE_AUTH", "jwt", "EDGE_AUTH_ALGORITHMS", "HS256", "EDGE_AUTH_KEY_FILE", file)
			w.eval(fmt.Sprintf("globalThis.asked = []; globalThis.tokens = [%q, %q]; true", token(t, "ann", 6*time.Second), token(t, "ann", time.Hour)))
			w.start("{token: (why) => (asked.push(why), tokens[asked.length - 1])}")
			if user := value[string](w, "page.client.user"); user != "ann" {
				t.Errorf("the user is %q", user)
			}
			w.until(`asked.length === 2 && asked[1] === "expiring"`)
			w.push(10)
			w.arrived(1)
			w.eval(`page.request("ask", "echo:/", {hello: 1}, {timeout: 60000})`)
			w.until(`page.outcomes.ask?.length === 1`)
			if states := w.eval("page.seen.states"); string(states) != `["open"]` {
				t.Errorf("it was %s", states)
			}
			// Another's token is refused, and so is the next one.
			w.eval(fmt.Sprintf("tokens.push(%q, %q); true", "wrong", token(t, "bob", time.Hour)))
			w.lines[w.at()].Cut()
			w.until(`page.client.state === "open"`) // with the token that it has
			w.eval(fmt.Sprintf("asked.length = 0; tokens = [%q, %q]; page.start(%s, {storage: null, token: (why) => (asked.push(why), tokens[asked.length - 1])})", "wrong", "wrong too", w.place.urls(w.lines)))
			w.until(`page.client.state === "closed"`)
			if asked := string(w.eval("asked")); asked != `["first","refused"]` {
				t.Errorf("asked for %s", asked)
			}
		})
	}
}

// C17: where everything has to be signed.
func TestE2EClientSigned(t *testing.T) {
	w := newClientWorld(t, "node22", "EDGE_SIGNATURE", "required", "EDGE_SIGNATURE_KEYS", "the key of the tests", "EDGE_SIGNATURE_WINDOW", "1m", "EDGE_SIGNATURE_FROM", "session")
	w.signed()
}

// signed signs all that the client says, to itself and to a service, over two connections.
func (w *clientWorld) signed() {
	w.t.Helper()
	w.start(`{sign: hmac("the key of the tests")}`)
	for round := range 2 {
		for i := range 10 {
			w.eval(fmt.Sprintf(`page.request("ask-%d-%d", "echo:/", {hello: %d, é: "ü\u2028", 1: 1e21, a: [null, 0]}, {headers: {h: "x"}})`, round, i, i))
			w.eval(fmt.Sprintf(`page.send("say-%d-%d", page.client.session + "@client:/", {n: %d}, {ttl: 60})`, round, i, 10*round+i+1))
		}
		w.until(fmt.Sprintf("Object.keys(page.outcomes).length === %d", 20*(round+1)))
		w.pushed += 10
		w.until(fmt.Sprintf("page.count() === %d", w.pushed))
		w.lines[w.at()].Cut()
		w.until(`page.client.state === "open" && page.seen.sessions.length === ` + fmt.Sprint(round+2))
	}
	w.arrived(1)
	for name, outcomes := range value[map[string][]any](w, "page.outcomes") {
		if len(outcomes) != 1 || strings.HasPrefix(name, "say") != (outcomes[0] == "accepted") {
			w.t.Errorf("%s: %v", name, outcomes)
		}
	}
	if errors := w.eval("page.seen.errors"); string(errors) != "[]" {
		w.t.Errorf("errors: %s", errors)
	}
}

// C18: a program that closes its client ends: nothing of it is left.
func TestE2EClientEnds(t *testing.T) {
	w := newClientWorld(t, "node22")
	for version, socket := range map[string]string{"node20": "(await import('ws')).default", "node22": "undefined"} {
		program := fmt.Sprintf(`import { connect } from %q;
const client = connect(%s, { WebSocket: %s });
await client.ready();
await client.send(client.session + "@client:/", "x");
const answer = await client.request("echo:/", { hello: 1 });
client.close({ forget: true });
console.log(answer.bdy.hello);`, clientModule(t), w.place.urls(w.lines), socket)
		cmd := exec.CommandContext(w.ctx, nodeBinary(t, version), "--input-type=module", "-")
		cmd.Stdin = strings.NewReader(program)
		if text, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(text)) != "1" {
			t.Errorf("%s: %v, %s", version, err, text)
		}
	}
}
