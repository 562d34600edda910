//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// strictUse is a program in TypeScript that uses all of the kit.
const strictUse = `import { BusError, connectService, Failure, type Message, type Push, type Service, type ServiceOptions, type ServiceRequest } from "hydrant-bus";

const options: ServiceOptions & { servers: string[] } = { name: "typed", version: "1.0.0", servers: ["nats://localhost:4222"], concurrency: 2 };
const service: Service = await connectService(options);

service.handle(async (request: ServiceRequest) => {
	const message: Message = request.message;
	const from: string = message.from;
	const session: string = request.session;
	if (request.user === "") throw new Failure("unauthorized", "Who are you?");
	await request.reply({ from, session }, { type: "answer", headers: { "x-a": 1 } });
});
service.route("[GET]/v1/users/{id}", (request) => request.reply(request.params["id"], { status: 200, headers: { ETag: "a" } }));
service.work(async (request) => { request.signal.throwIfAborted(); }, { maxDeliver: 3 });

const push: Push = { body: [1, null], type: "news", ttl: 60 };
await service.push("a", push).catch((err: unknown) => { if (!(err instanceof BusError && err.code === "invalid")) throw err; });
const answer: Message = await service.call("orders:[GET]/v1/orders/7", { n: 1 }, { timeout: 1000 });
await service.enqueue("orders:/", answer.body);
await service.close();
`

// wrongUse are lines that TypeScript must refuse.
var wrongUse = []string{
	`await connectService({});`, `await connectService({ name: 1 });`, `service.handle("echo");`, `service.route("[GET]/x");`,
	`await service.push("a", { ttl: "soon", nonsense: 1 });`, `await service.call(7);`, `new Failure("only a code");`, `service.work(async () => {}, { retries: 1 });`,
	`service.handle((request) => { request.session = "mine"; });`, `service.handle((request) => { request.nothing(); });`,
}

// TestKitTypes: in a project that has only what was packed, a strict TypeScript takes
// what the kit is for, and nothing else.
func TestKitTypes(t *testing.T) {
	t.Parallel()
	project := filepath.Join(kitProject(t), "project")
	dir, err := os.MkdirTemp(project, "types-")
	if err != nil {
		t.Fatal(err)
	}
	config := `{"compilerOptions": {"strict": true, "noUncheckedIndexedAccess": true, "module": "nodenext", "target": "es2022", "types": ["node"], "noEmit": true}, "include": ["*.ts"]}`
	files := map[string]string{"tsconfig.json": config, "package.json": `{"type": "module"}`, "use.ts": strictUse}
	for name, text := range files {
		if err := write(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	check := func() (string, error) {
		cmd := exec.Command(filepath.Join(project, "node_modules", ".bin", "tsc"), "-p", dir)
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	if text, err := check(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for i, line := range wrongUse {
		if err := write(filepath.Join(dir, fmt.Sprintf("wrong%d.ts", i)), strictUse+line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	text, err := check()
	if err == nil {
		t.Fatal("what is wrong is taken")
	}
	for i, line := range wrongUse {
		if !strings.Contains(text, fmt.Sprintf("wrong%d.ts", i)) {
			t.Errorf("%s is taken:\n%s", line, text)
		}
	}
}

// TestKitFiles: what is packed is the module, its types and its description, and it runs
// without anything else than what it says that it needs.
func TestKitFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(kitProject(t), "project", "node_modules", "hydrant-bus")
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if got := strings.Join(names, " "); err != nil || got != "bus.js package.json types/bus.d.ts" {
		t.Errorf("packed are %s: %v", got, err)
	}
}

// TestKitReadme: the README's service in Node, as it stands there, survives a node that is
// killed and NATS that is killed, and ends when it is told to.
func TestKitReadme(t *testing.T) {
	code := world.ReadmeCode(t, "In Node", "js")
	w := world.Own(t, harness.NATSOptions{})
	a, b := w.Start(t, "a", nil), w.Start(t, "b", nil)
	p := startKit(t, code+"\n", "NATS_URL="+w.NATS.URL())
	await(t, w, "greeter")
	c := world.Dial(t, a)
	ask := func() {
		t.Helper()
		if m := c.Call(object{"to": "greeter:/", "bdy": "hello"}); m.At("bdy", "hello") != c.Address() {
			t.Errorf("answer %s", m.Raw)
		}
		if m := c.Call(object{"to": "greeter:[GET]/v1/time", "bdy": object{}}); m.At("bdy", "now") == nil {
			t.Errorf("answer %s", m.Raw)
		}
	}
	ask()
	a.Kill()
	c = c.Resume(b)
	ask()
	w.NATS.Servers[0].Kill()
	w.RestartNATS(t, b)
	if err := harness.Until(world.Patient(t), func() error { // it comes back when it does
		if m := c.Call(object{"to": "greeter:/", "bdy": "there?"}); m.At("bdy", "hello") == nil {
			return errors.New(string(m.Raw))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ask()
	if err := p.Terminate(world.Patient(t)); err != nil {
		t.Errorf("told to stop: %v\n%s", err, p.log.Tail(4096))
	}
}

// TestKitReadmePush: the README's pushes go on, each once and in order, when the client's
// node is killed.
func TestKitReadmePush(t *testing.T) {
	handler := regexp.MustCompile(`(?ms)^service\.handle\(.*?^\}\);\n`)
	code := world.ReadmeCode(t, "In Node", "js")
	if n := len(handler.FindAllString(code, -1)); n != 1 {
		t.Fatalf("%d handlers to put another one in the place of:\n%s", n, code)
	}
	w := world.Own(t, harness.NATSOptions{})
	a, b := w.Start(t, "a", nil), w.Start(t, "b", nil)
	startKit(t, handler.ReplaceAllLiteralString(code, world.ReadmeCode(t, "A push that survives a killed node", "js")), "NATS_URL="+w.NATS.URL())
	await(t, w, "greeter")
	world.PushesSurvive(t, a, b)
}
