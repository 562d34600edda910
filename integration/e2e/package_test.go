//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// in runs a command in a folder, and returns what it prints.
func in(t *testing.T, dir string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, text)
	}
	return string(text)
}

// clientFolder is that of the package, with what its tests need.
func clientFolder(t *testing.T) string {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "edge", "client", "js")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "esbuild")); err != nil {
		in(t, dir, "npm", "ci", "--no-audit", "--no-fund")
	}
	return dir
}

// C10, C16–C20: TestE2EClientUnits runs the client's own tests, which play the node.
func TestE2EClientUnits(t *testing.T) {
	dir := clientFolder(t)
	files, err := filepath.Glob(filepath.Join(dir, "test", "*.test.mjs"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, version := range []string{"node20", "node22"} {
		t.Run(version, func(t *testing.T) { in(t, dir, nodeBinary(t, version), append([]string{"--test"}, files...)...) })
	}
}

// TestE2EClientSize: no larger than this for whoever bundles it.
func TestE2EClientSize(t *testing.T) {
	dir := clientFolder(t)
	text := in(t, dir, "npx", "--no-install", "esbuild", "--bundle", "--format=esm", "--minify", "--log-level=error", "hydrant.js")
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes minified, %d of them compressed", len(text), b.Len())
	if b.Len() > 5000 {
		t.Errorf("%d bytes, at most 5000 shall be", b.Len())
	}
}

// TestE2EClientPacked: what npm would get is taken by an empty project, in JavaScript
// and in TypeScript at its strictest.
func TestE2EClientPacked(t *testing.T) {
	dir, project := clientFolder(t), t.TempDir()
	in(t, dir, "npx", "--no-install", "tsc", "-p", ".")
	in(t, dir, "npm", "pack", "--pack-destination", project)
	packed, err := filepath.Glob(filepath.Join(project, "*.tgz"))
	if err != nil || len(packed) != 1 {
		t.Fatal(packed, err)
	}
	in(t, dir, "npx", "--no-install", "publint", "--strict", packed[0])
	for name, text := range map[string]string{
		"package.json": `{"private":true,"type":"module"}`,
		"use.mjs": `import { connect, HydrantError, Client } from "hydrant-client";
if (typeof connect !== "function" || !(new HydrantError("x") instanceof Error) || typeof Client !== "function") throw new Error("not there");
console.log("ok");`,
		"use.ts": `import { connect, HydrantError, type Client } from "hydrant-client";
const client: Client = connect(["ws://a"], { token: async (why) => (why === "refused" ? null : "t"), backoff: { min: 5 }, storage: null });
const off: () => void = client.on("gap", (gap) => gap.lost?.toFixed());
client.on("session", ({ id, resumed }) => [id.length, resumed === true]);
client.handle("note", async (message) => void message.bdy.text);
const answer = await client.request("svc:[GET]/x", {}, { timeout: 1, signal: AbortSignal.timeout(1) });
const mid: string = answer.mid;
await client.send("svc:/", { mid }, { queue: true, ttl: 5 }).catch((error: HydrantError) => error.retry);
const state: "connecting" | "open" | "waiting" | "closed" = client.state;
client.close({ forget: true });
off();
// @ts-expect-error there is no such event
client.on("nonsense", () => {});
// @ts-expect-error that is no option
connect("ws://a", { nonsense: 1 });
export { state };`,
		"tsconfig.json": `{"compilerOptions":{"strict":true,"noEmit":true,"exactOptionalPropertyTypes":true,"noUncheckedIndexedAccess":true,"target":"es2022","module":"nodenext","moduleResolution":"nodenext","lib":["es2022","dom"],"types":[]},"files":["use.ts"]}`,
	} {
		if err := os.WriteFile(filepath.Join(project, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in(t, project, "npm", "install", "--no-audit", "--no-fund", "--offline", packed[0])
	if text := in(t, project, "node", "use.mjs"); strings.TrimSpace(text) != "ok" {
		t.Error(text)
	}
	in(t, project, filepath.Join(dir, "node_modules", ".bin", "tsc"), "-p", ".")
}
