package integration

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// hydraSignature is what the original library computes over its canonical
// text, which the tests here write out by hand.
func hydraSignature(key, canonical string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(canonical))
	return hex.EncodeToString(mac.Sum(nil))
}

// Hydra: keys in any order and either form, numbers and text in any spelling; what
// is signed is the canonical text of the long form.
func TestSignedMessageIsForwarded(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "signed")), w.Serve(t, world.Unique(t))
	for name, key := range map[string]string{"newest key": world.SigningKey, "older key": world.OlderSigningKey} {
		canonical := fmt.Sprintf(`{"to":"%s:/","from":"client:/","mid":"s-1","timestamp":"2026-01-12T20:16:29.157Z","version":"UMF/1.4.6",`+
			`"body":{"1":"one","2":"two","b":1e+21,"a":"é/","z":0.000001}}`, s.Name)
		signature := hydraSignature(key, canonical)
		body := `{"b": 1E21, "2":"two", "a":"\u00e9\/","1":"one","z":0.0000010}`
		c.Send(fmt.Sprintf(`{"bdy":%s,"sig":"%s","timestamp":"2026-01-12T20:16:29.157Z","frm":"client:/","mid":"s-1","to":"%s:/"}`, body, signature, s.Name))
		_, m := s.Next()
		world.Want(t, m, "mid", "s-1", "via", via(c))
		if m.Fields["sig"] != nil {
			t.Errorf("%s: its signature goes on, and could be used again: %s", name, m.Raw)
		}
		if m.Body() != body {
			t.Errorf("%s: what was verified is %s, what is forwarded %s", name, body, m.Body())
		}
	}
}

// S10: a signature is missing, empty, or under another name.
func TestUnsignedMessageIsRefused(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node, s := w.Node(t, "signed"), w.Serve(t, world.Unique(t))
	bystanding := world.DialWith(t, node.URL("/"), harness.DialOptions{})
	for _, text := range []string{
		`{"to":"%s:/","frm":"client:/","mid":"m","ts":"2026-01-12T20:16:29.157Z","bdy":1}`,
		`{"to":"%s:/","frm":"client:/","mid":"m","ts":"2026-01-12T20:16:29.157Z","bdy":1,"sig":""}`,
		`{"to":"%s:/","frm":"client:/","mid":"m","ts":"2026-01-12T20:16:29.157Z","bdy":1,"SIG":"00"}`,
	} {
		c := world.Dial(t, node)
		c.Send(fmt.Sprintf(text, s.Name))
		c.WantErrorAndClose("Not a signed UMF message", "")
	}
	s.Empty()
	if !bystanding.Alive() {
		t.Error("another client lost its connection")
	}
}

// S11: a signature of something else, or with another key.
func TestWronglySignedMessageIsRefused(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node, s := w.Node(t, "signed"), w.Serve(t, world.Unique(t))
	canonical := fmt.Sprintf(`{"to":"%s:/","from":"client:/","mid":"m","timestamp":"2026-01-12T20:16:29.157Z","version":"UMF/1.4.6","body":{"n":1}}`, s.Name)
	right := hydraSignature(world.SigningKey, canonical)
	form := `{"to":"%s:/","frm":"client:/","mid":"m","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":%s,"sig":%s}`
	for name, parts := range map[string][2]string{
		"another body":       {`{"n":2}`, `"` + right + `"`},
		"another key":        {`{"n":1}`, `"` + hydraSignature("wrong", canonical) + `"`},
		"sample key":         {`{"n":1}`, `"` + hydraSignature("", canonical) + `"`},
		"upper case":         {`{"n":1}`, `"` + strings.ToUpper(right) + `"`},
		"cut":                {`{"n":1}`, `"` + right[:63] + `"`},
		"longer":             {`{"n":1}`, `"` + right + `0"`},
		"not hex":            {`{"n":1}`, `"` + strings.Repeat("z", 64) + `"`},
		"a number":           {`{"n":1}`, `17`},
		"an object":          {`{"n":1}`, `{"sig":"` + right + `"}`},
		"the last one wins":  {`{"n":1}`, `"` + right + `","sig":"00"`},
		"the long one wins":  {`{"n":1}`, `"` + right + `","signature":"00"`},
		"another last body":  {`{"n":1},"bdy":{"n":3}`, `"` + right + `"`},
		"another long body":  {`{"n":1},"body":{"n":3}`, `"` + right + `"`},
		"a mid that is none": {`{"n":1},"mid":""`, `"` + right + `"`},
	} {
		c := world.Dial(t, node)
		c.Send(fmt.Sprintf(form, s.Name, parts[0], parts[1]))
		if text := c.Next().Error(); text != "Invalid signed UMF message" && !(text == "Not a signed UMF message" && strings.HasPrefix(name, "a")) {
			t.Errorf("%s: error %q", name, text)
		}
		if code, reason := c.Closed(); code < 1000 {
			t.Errorf("%s: no close frame: %s", name, reason)
		}
	}
	s.Empty()
}

// Hydra: the canonical text has the timestamp, so that a message without one
// cannot verify.
func TestSignedWithoutTimestampNeverVerifies(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "signed"))
	canonical := `{"to":"nosuch:/","from":"client:/","mid":"m","version":"UMF/1.4.6","body":{"n":1}}`
	c.Send(fmt.Sprintf(`{"to":"nosuch:/","frm":"client:/","mid":"m","ver":"UMF/1.4.6","bdy":{"n":1},"sig":"%s"}`, hydraSignature(world.SigningKey, canonical)))
	c.WantErrorAndClose("Invalid signed UMF message", "")
}

// Keys come from a file, too; without any the node does not start. S23: no secret
// is in what it prints.
func TestSignatureSettings(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("a-key-that-is-in-a-file-0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := w.Start(t, "keys in a file", map[string]string{"EDGE_SIGNATURE": "required", "EDGE_SIGNATURE_KEYS_FILE": file})
	c := world.Dial(t, node)
	canonical := `{"to":"nosuch:/","from":"client:/","mid":"m","timestamp":"2026-01-12T20:16:29.157Z","version":"UMF/1.4.6","body":1}`
	c.Send(fmt.Sprintf(`{"to":"nosuch:/","frm":"client:/","mid":"m","ts":"2026-01-12T20:16:29.157Z","bdy":1,"sig":"%s"}`,
		hydraSignature("a-key-that-is-in-a-file-0123456789", canonical)))
	world.Want(t, c.Next(), "rmid", "m")
	node.Kill()
	if strings.Contains(string(node.Log.Since(0)), "a-key-that-is-in-a-file") {
		t.Error("the key is in the log")
	}

	for name, env := range map[string]map[string]string{
		"no keys":   {"EDGE_SIGNATURE": "required"},
		"bad value": {"EDGE_SIGNATURE": "sometimes"},
	} {
		refusesToStart(t, w, name, env)
	}
}

// S9: what one node has taken no node takes again, also after all of them have been
// started anew, whether it comes over a connection or is posted.
func TestSignedMessageOnAnotherNode(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	env := map[string]string{"EDGE_SIGNATURE": "required", "EDGE_SIGNATURE_KEYS": world.SigningKey, "EDGE_SIGNATURE_WINDOW": "1m"}
	first, second := w.Start(t, "window", env), w.Start(t, "other window", env)
	s := w.Serve(t, world.Unique(t))
	message := func(mid, from string) string {
		ts := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		canonical := fmt.Sprintf(`{"to":"%s:/","from":"%s","mid":"%s","timestamp":"%s","version":"UMF/1.4.6","body":1}`, s.Name, from, mid, ts)
		return fmt.Sprintf(`{"to":"%s:/","frm":"%s","mid":"%s","ts":"%s","bdy":1,"sig":"%s"}`, s.Name, from, mid, ts, hydraSignature(world.SigningKey, canonical))
	}
	refused := func(node *harness.Node, text, why string) {
		t.Helper()
		c := world.Dial(t, node)
		c.Send(text)
		c.WantErrorAndClose(why, "")
	}
	const before = "Signed UMF message was sent before"
	old := message("old", "client:/")
	world.Dial(t, first).Send(old)
	s.Next()
	refused(second, old, before)
	posted := message("posted", "tester:/")
	if status, _ := postTo(t, first, "send", posted); status != http.StatusOK {
		t.Errorf("posted: %d", status)
	}
	s.Next()
	refused(second, posted, before)
	if status, _ := postTo(t, second, "send", old); status != http.StatusBadRequest {
		t.Errorf("posted again: %d", status)
	}
	first.Kill()
	second.Kill()
	third := w.Start(t, "window anew", env)
	refused(third, old, before)

	c := world.DialWith(t, third.URL("/"), harness.DialOptions{Protocols: []string{"umf.v1"}})
	own := message("own", c.Address())
	refused(third, own, "Signed UMF message is not from this connection")
	if status, _ := postTo(t, third, "send", own); status != http.StatusBadRequest {
		t.Errorf("a session's message is posted: %d", status)
	}
	c.Send(own)
	s.Next()
	c.Send(message("another", "client:/"))
	c.WantErrorAndClose("Signed UMF message is not from this connection", "")
	s.Empty()
}

// S25: where clients have to prove who they are and to sign what they send, neither
// stands for the other.
func TestTokenAndSignature(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-for-tokens-of-the-tests-0123456789"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	w := world.Shared(t)
	node := w.Start(t, "tokens and signatures", map[string]string{"EDGE_AUTH": "jwt", "EDGE_AUTH_ALGORITHMS": "HS256", "EDGE_AUTH_KEY_FILE": file,
		"EDGE_SIGNATURE": "required", "EDGE_SIGNATURE_KEYS": world.SigningKey})
	s := w.Serve(t, world.Unique(t))
	token := jwt(t, secret, object{"alg": "HS256", "typ": "JWT"}, object{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	proven := harness.DialOptions{Header: http.Header{"Authorization": {"Bearer " + token}}}
	canonical := fmt.Sprintf(`{"to":"%s:/","from":"client:/","mid":"m","timestamp":"2026-01-12T20:16:29.157Z","version":"UMF/1.4.6","body":1}`, s.Name)
	unsigned := fmt.Sprintf(`{"to":"%s:/","frm":"client:/","mid":"m","ts":"2026-01-12T20:16:29.157Z","bdy":1`, s.Name)
	signed := unsigned + `,"sig":"` + hydraSignature(world.SigningKey, canonical) + `"}`

	if code := closeCode(t, connectPending(t, node, "", signed)); code != 4401 {
		t.Errorf("with a signature alone: closed with %d, want 4401", code)
	}
	c := world.DialWith(t, node.URL("/"), proven)
	c.Send(unsigned + "}")
	c.WantErrorAndClose("Not a signed UMF message", "")
	s.Empty()

	c = world.DialWith(t, node.URL("/"), proven)
	c.Send(signed)
	request, m := s.Next()
	world.Want(t, m, "mid", "m")
	if got := request.Header.Get("Umf-Identity"); got != "alice" {
		t.Errorf("Umf-Identity %q", got)
	}
}

// refusesToStart starts a node that must end by itself with an error, and
// returns what it said.
func refusesToStart(t *testing.T, w *world.World, name string, env map[string]string) string {
	t.Helper()
	node, err := harness.LaunchNode(harness.NodeOptions{Name: name, NATS: w.NATS.URL(), Env: env})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Kill()
	select {
	case <-node.Exited():
	case <-t.Context().Done():
		t.Fatalf("%s: it runs", name)
	}
	said := string(node.Log.Since(0))
	if node.Err() == nil {
		t.Errorf("%s: it ends with status 0, saying %s", name, said)
	}
	return said
}
