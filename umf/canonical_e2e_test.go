//go:build e2e

package umf

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const (
	documents     = 30_000
	hydraPackage  = "hydra@1.9.3"
	modulesEnv    = "HYDRANT_NODE_MODULES"
	documentsSeed = "HYDRANT_SEED" // another number tries other documents
)

// TestCanonicalAgainstHydra signs random messages with the original library in
// Node and with this package: the signed text and the signature must be equal
// to the byte, and a signature from there must verify here.
//
// It takes the library from the folder of node_modules that
// HYDRANT_NODE_MODULES names, or installs it from the npm registry.
func TestCanonicalAgainstHydra(t *testing.T) {
	const secret = "sécret-for-tests"
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(documentsSeed); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", documentsSeed, err)
		}
	}
	t.Logf("%s=%d", documentsSeed, seed)
	d := newDice(seed)
	texts := make([]string, documents)
	for i := range texts {
		texts[i] = randomMessage(d)
	}

	keys, compared := NewKeys("newer", secret), 0
	for i, theirs := range signWithHydra(t, secret, texts) {
		e := mustScan(t, texts[i])
		if skip := e.Falsy(Mid) || e.Falsy(Timestamp); skip != theirs.Skip {
			t.Fatalf("%s\ncan be signed: %v, by hydra: %v", texts[i], !skip, !theirs.Skip)
		}
		if theirs.Skip {
			continue
		}
		compared++
		if got := string(e.AppendCanonical(nil)); got != theirs.Canonical {
			t.Fatalf("%s\nis signed as %s\nby hydra as  %s", texts[i], got, theirs.Canonical)
		}
		if got := NewKeys(secret).Sign(e); got != theirs.Signature {
			t.Fatalf("%s\nhas signature %s, by hydra %s", texts[i], got, theirs.Signature)
		}
		signed := e.AppendShort(nil, Set{Signature, AppendString(nil, theirs.Signature)})
		e = mustScan(t, string(signed))
		if err := keys.Verify(e); err != nil {
			t.Fatalf("%s\nsigned by hydra: %v", signed, err)
		}
		if sent := mustScan(t, string(e.AppendShort(nil))); keys.Verify(sent) != nil {
			t.Fatalf("%s\nsigned by hydra, is sent on as %s", signed, sent.text)
		}
		if m := mustParse(t, string(signed)); m.Verify(secret) != nil {
			t.Fatalf("%s\nsigned by hydra: does not verify as a Message", signed)
		}
	}
	if compared < documents/2 {
		t.Errorf("only %d of %d documents could be compared", compared, documents)
	}
	t.Logf("%d documents are equal", compared)
}

// hydraSignature is what testdata/node/sign.js writes for a message.
type hydraSignature struct {
	Skip                 bool
	Canonical, Signature string
}

func signWithHydra(t *testing.T, secret string, texts []string) []hydraSignature {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: install Node 20 or newer, from https://nodejs.org or by apt-get install nodejs npm", err)
	}
	var input bytes.Buffer
	for _, text := range texts {
		line, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		input.Write(append(line, '\n'))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "testdata/node/sign.js", nodeModules(t), secret)
	cmd.Stdin = &input
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &problems)
	}
	answers := make([]hydraSignature, 0, len(texts))
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, len(out)+1)
	for lines.Scan() {
		var answer hydraSignature
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			t.Fatalf("node wrote %s: %v", lines.Bytes(), err)
		}
		answers = append(answers, answer)
	}
	if len(answers) != len(texts) {
		t.Fatalf("node answered %d of %d messages", len(answers), len(texts))
	}
	return answers
}

// nodeModules returns a folder of node_modules that has the hydra package.
func nodeModules(t *testing.T) string {
	t.Helper()
	if modules := os.Getenv(modulesEnv); modules != "" {
		if _, err := os.Stat(filepath.Join(modules, "hydra", "lib", "umfmessage.js")); err != nil {
			t.Fatalf("%s: %v; install it: npm install --prefix %s %s", modulesEnv, err, filepath.Dir(modules), hydraPackage)
		}
		return modules
	}
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", hydraPackage)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s\nor install it elsewhere and set %s to its node_modules: npm install --prefix DIR %s",
			install, err, out, modulesEnv, hydraPackage)
	}
	return filepath.Join(dir, "node_modules")
}
