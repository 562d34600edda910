package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// hydrant runs a subcommand to its end and returns what it printed.
func hydrant(t *testing.T, stdin string, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin.Hydrant, args...)
	cmd.Env = slices.Concat([]string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}, env)
	cmd.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = harness.Run(cmd)
	return out.String(), problems.String(), err
}

func mustRun(t *testing.T, stdin string, env []string, args ...string) string {
	t.Helper()
	out, problems, err := hydrant(t, stdin, env, args...)
	if err != nil {
		t.Fatalf("hydrant %v: %v\n%s", args, err, problems)
	}
	return out
}

// Every variable is explained.
func TestHelpConfig(t *testing.T) {
	t.Parallel()
	text := mustRun(t, "", nil, "help", "config")
	for _, name := range strings.Fields(`EDGE_LISTEN EDGE_ADMIN_LISTEN EDGE_SERVICE_NAME EDGE_SESSION_TTL EDGE_QUEUE_LIMIT
		EDGE_MAX_MESSAGE EDGE_PING_INTERVAL EDGE_HANDSHAKE_TIMEOUT EDGE_WRITE_TIMEOUT EDGE_REQUEST_TIMEOUT EDGE_DRAIN_TIMEOUT
		EDGE_MAX_CONNECTIONS EDGE_RATE_MESSAGES EDGE_RATE_BYTES EDGE_TRUSTED_PROXIES EDGE_STREAM_REPLICAS EDGE_MAILBOX_STREAMS
		EDGE_LOG_LEVEL EDGE_SIGNATURE EDGE_SIGNATURE_KEYS EDGE_SIGNATURE_KEYS_FILE EDGE_SIGNATURE_WINDOW EDGE_AUTH
		EDGE_AUTH_SERVICE EDGE_POLICY EDGE_RESUME EDGE_ALLOWED_ORIGINS EDGE_ROUTER_API EDGE_ADMIN_TOKEN EDGE_DATA_DIR EDGE_NATS_LISTEN
		NATS_URL NATS_CREDS NATS_NKEY NATS_USER NATS_PASSWORD NATS_CA NATS_CERT NATS_KEY
		OTEL_TRACES_EXPORTER OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME OTEL_TRACES_SAMPLER`) {
		if !regexp.MustCompile(`(?m)\b` + name + `\b`).MatchString(text) {
			t.Errorf("%s is not explained", name)
		}
	}
}

// What the OTEL_ variables ask for and nobody does is said at the start.
func TestTracingMistakes(t *testing.T) {
	t.Parallel()
	for env, problem := range map[string]string{
		"OTEL_TRACES_EXPORTER=zipkin": "OTEL_TRACES_EXPORTER",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_EXPORTER_OTLP_PROTOCOL=grpc": "OTEL_EXPORTER_OTLP_PROTOCOL",
	} {
		for _, args := range [][]string{{"serve"}, {"echo"}} {
			_, stderr, err := hydrant(t, "", append(strings.Fields(env), "NATS_URL=nats://127.0.0.1:1"), args...)
			if err == nil || !strings.Contains(stderr, problem) {
				t.Errorf("%v with %s: %v, %s", args, env, err, stderr)
			}
		}
	}
}

// A mistake in the command line is told in one line, which says where to look.
func TestCommandLineMistakesAreShort(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args string
		says string
	}{
		{"serve --listen :1", "hydrant serve -h"},
		{"send hello", "hydrant send -h"},
		{"help nonsense", "hydrant help"},
		{"send -url localhost:5353", "ws://"},
		{"send -url ws://127.0.0.1:1", "no node at ws://127.0.0.1:1"},
		{"send -count -1", "-count"},
		{"send -body null", "-body"},
		{"sessions -limit 0", "-limit"},
		{"policy", "hydrant policy check"},
		{"policy test", "hydrant policy check"},
		{"policy check -rule {}", "hydrant policy -h"},
		{"policy check -rules {} -file x", "-rules or -file"},
		{"policy check -rules={}x", "not a rule set"},
		{"policy check -rules=", "not a rule set"},
		{"policy check -file /does/not/exist", "/does/not/exist"},
		{"policy check svc", "is no address"},
		{"policy check x@client:/", "not the address of a service"},
	} {
		out, problems, err := hydrant(t, "", nil, strings.Fields(test.args)...)
		if err == nil || out != "" || strings.Count(problems, "\n") != 1 || !strings.Contains(problems, test.says) {
			t.Errorf("hydrant %s: %v\n%s%s", test.args, err, out, problems)
		}
	}
}

// Help for a command is the same under both names.
func TestHelpOfCommand(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"demo", "serve", "echo", "send", "listen", "sign", "healthcheck", "doctor", "setup", "setup nats", "policy", "sessions", "completion", "version"} {
		words := strings.Fields(name)
		text := mustRun(t, "", nil, append([]string{"help"}, words...)...)
		if text != mustRun(t, "", nil, append(words, "-h")...) || !regexp.MustCompile(`\Ahydrant `+name+`(: .+|\n\n)`).MatchString(text) {
			t.Errorf("hydrant help %s prints:\n%s", name, text)
		}
	}
}

// What a rule set allows to whom is what a node lets through.
func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	const rules = `{"services":["chat","{sub}-*"],"clients":"user","queues":["orders"]}`
	for _, test := range []struct{ user, want string }{
		{"ann", "services  chat ann-*\nqueues    orders\nclients   the sessions of \"ann\"\n"},
		{"", "services  chat\nqueues    orders\nclients   none\n"},
	} {
		text := mustRun(t, "", []string{"EDGE_POLICY=" + rules}, "policy", "check", "-user", test.user)
		if !strings.HasPrefix(text, test.want) || !strings.Contains(text, "never     auth-svcs") || text != mustRun(t, rules, nil, "policy", "check", "-file", "-", "-user", test.user) {
			t.Errorf("%q:\n%s", test.user, text)
		}
	}
	if text := mustRun(t, "", nil, "policy", "check"); !strings.HasPrefix(text, "services  *\nqueues    *\nclients   any ") {
		t.Errorf("without rules:\n%s", text)
	}
	if text := mustRun(t, "", nil, "policy", "check", "-rules", `{}`); !strings.HasPrefix(text, "services  none\nqueues    none\nclients   none\n") {
		t.Errorf("that allow nothing:\n%s", text)
	}
	out, problems, err := hydrant(t, "", nil, "policy", "check", "-rules", rules, "-user", "ann", "chat:/", "i@ann-1:[GET]/x", "ann:/", "bob-1:/", "auth-svcs:/")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Count(problems, "\n") != 1 ||
		!regexp.MustCompile(`\Aallowed  chat:/\nallowed  i@ann-1:\[GET\]/x\ndenied   ann:/ .*\ndenied   bob-1:/ .*\ndenied   auth-svcs:/ .*\n\z`).MatchString(out) {
		t.Errorf("%v\n%s%s", err, out, problems)
	}
	if text := mustRun(t, "", nil, "policy", "check", "-rules", rules, "-queue", "orders:/"); text != "allowed  orders:/\n" {
		t.Errorf("queue:\n%s", text)
	}
	if _, problems, err := hydrant(t, "", []string{`EDGE_POLICY={"Services":[]}`}, "policy", "check"); err == nil || !strings.Contains(problems, "EDGE_POLICY") || strings.Count(problems, "\n") != 1 {
		t.Errorf("%v: %s", err, problems)
	}
}

// The example service waits for NATS, before and after it had a connection,
// and says so once.
func TestEchoWaitsForNATS(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	w.NATS.Servers[0].Kill()
	echo, err := harness.StartEcho(w.NATS.URL(), "patient")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(echo.Kill)
	says := func(line string) {
		t.Helper()
		if err := harness.Until(world.Patient(t), func() error {
			select {
			case <-echo.Exited():
				t.Fatalf("ended: %v\n%s", echo.Err(), echo.Log.Tail(4096))
			default:
			}
			if n := bytes.Count(echo.Log.Since(0), []byte(line)); n != 1 {
				return fmt.Errorf("%d times %q:\n%s", n, line, echo.Log.Tail(4096))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	says("connect to NATS at " + w.NATS.URL() + ":")
	restart := func() {
		t.Helper()
		if err := w.NATS.Servers[0].Start(); err != nil {
			t.Fatal(err)
		}
		if err := w.NATS.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	says("patient answers on ")
	w.NATS.Servers[0].Kill()
	says("NATS connection lost; waiting for it")
	restart()
	says("NATS connection is back: ")
	if err := echo.Terminate(world.Patient(t)); err != nil {
		t.Errorf("told to stop: %v", err)
	}
	if text := echo.Log.Since(0); bytes.Count(text, []byte("\n")) != 4 {
		t.Errorf("not these four lines, once each:\n%s", text)
	}
}

// A service that waits for NATS can be told to stop, and names no password.
func TestEchoStopsWhileItWaits(t *testing.T) {
	t.Parallel()
	echo, err := harness.StartEcho("nats://user:do-not-print-this@127.0.0.1:1", "patient")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(echo.Kill)
	if err := harness.Until(world.Patient(t), func() error {
		if !bytes.Contains(echo.Log.Since(0), []byte("waiting for NATS")) {
			return errNobody
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := echo.Terminate(world.Patient(t)); err != nil {
		t.Errorf("told to stop: %v", err)
	}
	if text := echo.Log.Since(0); bytes.Contains(text, []byte("do-not-print-this")) {
		t.Errorf("prints the password:\n%s", text)
	}
}

func TestCommandLineMistakes(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"nonsense"}, {"serve", "extra"}, {"send", "-nonsense"}, {"send", "-body", "{"}, {"echo", "-service", "a.b"}} {
		out, problems, err := hydrant(t, "", []string{"NATS_URL=nats://127.0.0.1:1"}, args...)
		if err == nil && len(args) > 0 {
			t.Errorf("hydrant %v ends with status 0: %s", args, out)
		}
		if out == "" && problems == "" {
			t.Errorf("hydrant %v says nothing", args)
		}
	}
}

// S23: a secret in the environment is not printed.
func TestCommandLineKeepsSecrets(t *testing.T) {
	t.Parallel()
	const secret = "do-not-print-this"
	env := []string{"UMF_SECRET=" + secret, "EDGE_ADMIN_TOKEN=" + secret, "EDGE_SIGNATURE_KEYS=" + secret, "NATS_PASSWORD=" + secret}
	for _, args := range [][]string{{"help"}, {"help", "config"}, {"send", "-h"}, {"sign", "-h"}, {"serve", "-h"}, {"sessions", "-h"}} {
		out, problems, _ := hydrant(t, "", env, args...) // help may end with any status
		if strings.Contains(out+problems, secret) {
			t.Errorf("hydrant %v prints a secret of the environment:\n%s%s", args, out, problems)
		}
	}
}

// `hydrant sign` writes what the original library would have.
func TestCommandLineSign(t *testing.T) {
	t.Parallel()
	message := `{"to":"svc:/","frm":"client:/","mid":"m-1","ts":"2026-01-12T20:16:29.157Z","bdy":{"2":"b","1":"a"}}`
	out := mustRun(t, message, []string{"UMF_SECRET=" + world.SigningKey}, "sign")
	canonical := `{"to":"svc:/","from":"client:/","mid":"m-1","timestamp":"2026-01-12T20:16:29.157Z","version":"UMF/1.4.6","body":{"1":"a","2":"b"}}`
	if signature := hydraSignature(world.SigningKey, canonical); !strings.Contains(out, signature) {
		t.Errorf("printed %s, without the signature %s", out, signature)
	}
}

// listen runs `hydrant send` until it has printed so many messages that came,
// and returns all that it printed.
func listen(t *testing.T, messages int, args ...string) string {
	t.Helper()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	log := &harness.Log{}
	p, err := harness.StartProcess("send", bin.Hydrant, append([]string{"send", "-wait", "0"}, args...), nil, log, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if err := harness.Until(world.Patient(t), func() error {
		select {
		case <-p.Exited():
			t.Fatalf("hydrant send %v: %v\n%s", args, p.Err(), log.Since(0))
		default:
		}
		if n := bytes.Count(log.Since(0), []byte("\n< ")); n < messages {
			return fmt.Errorf("%d of %d messages came", n, messages)
		}
		return nil
	}); err != nil {
		t.Fatalf("hydrant send %v: %v\n%s", args, err, log.Since(0))
	}
	if err := p.Terminate(world.Patient(t)); err != nil {
		t.Errorf("hydrant send %v: %v", args, err)
	}
	out := string(log.Since(0))
	if n := strings.Count(out, "\n< "); n != messages {
		t.Errorf("hydrant send %v: %d messages came, want %d\n%s", args, n, messages, out)
	}
	return out
}

// The example programs talk to each other, also with signatures.
func TestCommandLineSend(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	echo := w.EchoService(t)
	out := listen(t, 2, "-url", w.Node(t, "a").URL("/"), "-to", echo+":/", "-count", "2", "-interval", "10ms")
	if strings.Count(out, "\n> ") != 2 {
		t.Errorf("printed %s", out)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(world.SigningKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out = listen(t, 1, "-url", w.Node(t, "signed").URL("/"), "-to", echo+":/", "-secret-file", file)
	if strings.Contains(out, "error") {
		t.Errorf("with a signature: printed %s", out)
	}
	if strings.Contains(out, world.SigningKey) {
		t.Error("the secret is printed")
	}
	if _, problems, err := hydrant(t, "", nil, "send", "-secret", "x"); err == nil || !strings.Contains(problems, "-secret") {
		t.Errorf("a secret is taken from where other users of the machine see it: %v, %s", err, problems)
	}
}

// `send -resume` prints what waited, in order; `sessions` says what waits.
func TestCommandLineResume(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.Dial(t, w.Node(t, "a"))
	c.Close()
	w.WaitParked(t, c.ID)
	w.PushNumbers(t, c.ID, 0, 5)
	listed := mustRun(t, "", []string{"NATS_URL=" + w.NATS.URL()}, "sessions", "-limit", "100000") // other tests have many
	if !regexp.MustCompile(`(?m)^` + shortID(c.ID) + `\s+parked\s+[0-9a-f]{32}\s+5\s`).MatchString(listed) {
		t.Errorf("session %s, 5 behind, is not in %s", shortID(c.ID), listed)
	}
	if !regexp.MustCompile(`(?m)^node ` + c.Router + ` keeps what comes for [1-9][0-9]* parked sessions, [1-9][0-9]* bytes$`).MatchString(listed) {
		t.Errorf("what node %s keeps is not in %s", c.Router, listed)
	}
	if strings.Contains(listed, c.ID) {
		t.Errorf("the list has the id of %s", c.ID)
	}
	if few := mustRun(t, "", []string{"NATS_URL=" + w.NATS.URL()}, "sessions", "-limit", "1"); !strings.Contains(few, "there may be more") {
		t.Errorf("a list that was cut does not say so: %s", few)
	}
	out := listen(t, 5, "-url", w.Node(t, "b").URL("/"), "-resume", c.ID, "-count", "0")
	if !strings.Contains(out, "resumed "+c.ID) {
		t.Errorf("printed %s", out)
	}
	at := 0
	for _, body := range []string{`"bdy":0`, `"bdy":1`, `"bdy":2`, `"bdy":3`, `"bdy":4`} {
		next := strings.Index(out[at:], body)
		if next < 0 {
			t.Fatalf("no %s in its place in %s", body, out)
		}
		at += next
	}
}

// Who is asked for the resume secret of a session has read it when the session
// was opened.
func TestCommandLineResumeSecret(t *testing.T) {
	t.Parallel()
	url := world.Shared(t).Node(t, "guarded").URL("/")
	if out := mustRun(t, "", nil, "send", "-url", url, "-count", "0", "-wait", "10ms"); !regexp.MustCompile(`^connected as \S+\n$`).MatchString(out) {
		t.Errorf("nobody has asked for a secret: %s", out)
	}
	out := mustRun(t, "", nil, "send", "-url", url, "-count", "0", "-wait", "10ms", "-show-secret")
	opened := regexp.MustCompile(`^connected as (\S+)\nresume secret (\S+)\n$`).FindStringSubmatch(out)
	if opened == nil {
		t.Fatalf("printed %s", out)
	}
	again := func(args ...string) string {
		t.Helper()
		return mustRun(t, "", nil, append([]string{"send", "-url", url, "-count", "0", "-wait", "10ms", "-resume", opened[1]}, args...)...)
	}
	if out := again(); !strings.Contains(out, "not resumed (token)") {
		t.Errorf("without the secret: %s", out)
	}
	if out := again("-token", opened[2]); !strings.Contains(out, "\nresumed "+opened[1]) {
		t.Errorf("with the secret: %s", out)
	}
	if out := mustRun(t, "", []string{"UMF_TOKEN=" + opened[2]}, "send", "-url", url, "-count", "0", "-wait", "10ms", "-resume", opened[1]); !strings.Contains(out, "\nresumed "+opened[1]) {
		t.Errorf("with the secret in the environment: %s", out)
	}
}

// A client that a node turns away says why, with the node's words, whether that
// is an answer over HTTP or a close.
func TestCommandLineRefused(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	name := world.Unique(t)
	node := w.Start(t, "node", map[string]string{"EDGE_AUTH": "service", "EDGE_AUTH_SERVICE": name})
	if _, err := w.Conn.Subscribe("umf.v1.svc."+name, func(m *nats.Msg) { _ = m.Respond([]byte(`{"statusCode":401,"result":{}}`)) }); err != nil {
		t.Fatal(err)
	}
	if err := w.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	refused := func(says string) {
		t.Helper()
		if out, problems, err := hydrant(t, "", nil, "send", "-url", node.URL("/")); err == nil || out != "" || !strings.HasSuffix(problems, says) {
			t.Errorf("%v\n%s%s", err, out, problems)
		}
	}
	refused("the node closed the connection: 4401 authentication failed\n")
	w.NATS.Servers[0].Kill()
	if err := harness.Until(world.Patient(t), func() error {
		if status, _, _ := fetch(t, "GET", node.HTTP("/readyz"), "", nil); status != http.StatusServiceUnavailable {
			return fmt.Errorf("status %d", status)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	refused("refuses: 503 Service Unavailable: node is not ready\n")
}

// A client whose session is taken says so, with the node's words.
func TestCommandLineTakenOver(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	log := &harness.Log{}
	listening, err := harness.StartProcess("send", bin.Hydrant, []string{"send", "-url", w.Node(t, "a").URL("/"), "-count", "0", "-wait", "0", "-show-secret"}, nil, log, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(listening.Kill)
	connected := regexp.MustCompile(`connected as ([a-z2-7]{26})\nresume secret (\S+)\n`)
	if err := harness.Until(world.Patient(t), func() error {
		if !connected.Match(log.Since(0)) {
			return errNobody
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	said := connected.FindSubmatch(log.Since(0))
	id, token := string(said[1]), string(said[2])
	if out := mustRun(t, "", nil, "send", "-url", w.Node(t, "b").URL("/"), "-resume", id, "-token", token, "-count", "0", "-wait", "10ms"); !strings.Contains(out, "resumed "+id) {
		t.Errorf("printed %s", out)
	}
	if err := listening.Err(); err == nil || !bytes.Contains(log.Since(0), []byte("the node closed the connection: 4501 session taken over")) {
		t.Errorf("the one before: %v\n%s", err, log.Since(0))
	}
}

// demos is held by a test for as long as a demo of it starts: they look for the same ports.
var demos sync.Mutex

// The demo's nodes do not outlive it, whether its terminal goes away, who reads what it
// prints, or itself.
func TestDemoTakesItsNodesAlong(t *testing.T) {
	t.Parallel()
	demos.Lock()
	defer demos.Unlock()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(*harness.Process, *os.File) error{
		"terminal closed": func(demo *harness.Process, _ *os.File) error { return demo.Signal(syscall.SIGHUP) },
		"killed":          func(demo *harness.Process, _ *os.File) error { return demo.Signal(os.Kill) },
		"output closed":   func(_ *harness.Process, out *os.File) error { return out.Close() },
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they look for the same ports
			out, output, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			demo, err := harness.StartProcess("demo", bin.Hydrant, []string{"demo"}, nil, &harness.Log{}, output)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(demo.Kill)
			if err := output.Close(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			line, err := lines.ReadString('\n')
			for err == nil && strings.HasPrefix(line, "starting ") { // on a busy machine
				line, err = lines.ReadString('\n')
			}
			if err != nil || !strings.Contains(line, "nodes on ") {
				t.Fatalf("%q, %v", line, err)
			}
			nodes := childrenOf(t, demo.PID())
			if len(nodes) != 2 {
				t.Errorf("%d nodes", len(nodes))
			}
			t.Cleanup(func() {
				for _, pid := range nodes {
					_ = syscall.Kill(pid, syscall.SIGKILL) // gone, as is right
				}
			})
			if err := end(demo, out); err != nil {
				t.Fatal(err)
			}
			if err := harness.Until(world.Patient(t), func() error {
				for _, pid := range nodes {
					if syscall.Kill(pid, 0) == nil {
						return fmt.Errorf("node %d runs", pid)
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			select {
			case <-demo.Exited():
			case <-world.Patient(t).Done():
				t.Errorf("the demo still runs: %s", demo.Log.Tail(4096))
			}
		})
	}
}

// childrenOf lists the processes that a process has started.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, child)
		}
	}
	return children
}
