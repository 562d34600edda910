//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
)

// The client that nodes serve, in what it is made for. Each place runs page.mjs, and
// evaluates what the test asks.
type place interface {
	eval(expression string) (json.RawMessage, error)
	// urls are where the client finds the nodes, as JSON.
	urls(lines []*harness.Proxy) string
}

// places are those that the tests run in.
var places = map[string]func(*clientWorld) place{
	"node20":   func(w *clientWorld) place { return newNodePlace(w, "node20", "ws") },
	"node22":   func(w *clientWorld) place { return newNodePlace(w, "node22", "own") },
	"chromium": func(w *clientWorld) place { return newBrowserPlace(w) },
}

// nodePlace is a process of Node.
type nodePlace struct {
	t       *testing.T
	process *exec.Cmd
	in      io.Writer

	mu    sync.Mutex
	last  int
	waits map[int]chan nodeAnswer
}

type nodeAnswer struct {
	ID    int
	Value json.RawMessage
	Error string
}

// nodeBinary is a version of Node from npm, or that of the system where npm has none.
func nodeBinary(t *testing.T, name string) string {
	t.Helper()
	installed(t)
	path, err := filepath.Abs("node_modules/" + name + "/bin/node")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if runtime.GOOS+runtime.GOARCH == "linuxamd64" {
			t.Fatalf("%v; npm ci in integration/e2e", err)
		}
		return "node"
	}
	return path
}

// clientModule is the file that nodes serve.
func clientModule(t *testing.T) string {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "edge", "client", "js", "hydrant.js")
}

func newNodePlace(w *clientWorld, version, socket string) *nodePlace {
	w.t.Helper()
	return newNodePlaceOf(w, clientModule(w.t), version, socket)
}

func newNodePlaceOf(w *clientWorld, module, version, socket string) *nodePlace {
	w.t.Helper()
	p := &nodePlace{t: w.t, waits: make(map[int]chan nodeAnswer)}
	p.process = exec.Command(nodeBinary(w.t, version), "node.mjs", module, socket)
	p.process.Stderr = os.Stderr
	p.process.Env = append(os.Environ(), "FRAMES="+w.frames)
	in, err := p.process.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := p.process.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.process.Start(); err != nil {
		w.t.Fatal(err)
	}
	p.in = in
	go p.listen(out)
	w.t.Cleanup(func() {
		_ = p.process.Process.Kill() // it may have ended
		_ = p.process.Wait()
	})
	return p
}

func (p *nodePlace) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var answer nodeAnswer
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			continue
		}
		p.mu.Lock()
		wait := p.waits[answer.ID]
		p.mu.Unlock()
		wait <- answer
	}
}

func (p *nodePlace) eval(expression string) (json.RawMessage, error) {
	p.mu.Lock()
	p.last++
	id, wait := p.last, make(chan nodeAnswer, 1)
	p.waits[id] = wait
	p.mu.Unlock()
	line, err := json.Marshal(map[string]any{"id": id, "expression": expression})
	if err != nil {
		return nil, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), harness.Patience)
	defer cancel()
	select {
	case answer := <-wait:
		if answer.Error != "" {
			return nil, fmt.Errorf("%s: %s", expression, answer.Error)
		}
		return answer.Value, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: no answer", expression)
	}
}

func (p *nodePlace) urls(lines []*harness.Proxy) string {
	var list []string
	for _, line := range lines {
		list = append(list, "ws://"+line.Addr())
	}
	text, _ := json.Marshal(list) // strings
	return string(text)
}

// browserPlace is a tab of Chromium, to which the nodes are localhost:5353 and on.
type browserPlace struct {
	w    *clientWorld
	tab  context.Context
	page *httptest.Server
}

func newBrowserPlace(w *clientWorld) *browserPlace {
	w.t.Helper()
	p := &browserPlace{w: w, page: w.page}
	var rules []string
	for i, line := range w.lines {
		rules = append(rules, fmt.Sprintf("MAP localhost:%d %s", 5353+i, line.Addr()))
	}
	p.tab = startBrowser(w.t, w.ctx, strings.Join(rules, ","))
	p.open()
	return p
}

// open loads the page, with the client that a node serves.
func (p *browserPlace) open() {
	p.w.t.Helper()
	navigate(p.w.t, p.tab, p.page.URL)
	p.w.waitFor(p, `!!globalThis.page`)
}

func (p *browserPlace) eval(expression string) (json.RawMessage, error) {
	return chromedp.Run(p.tab, chromedp.Evaluate[json.RawMessage](expression, chromedp.EvalAwaitPromise))
}

func (p *browserPlace) urls(lines []*harness.Proxy) string {
	var list []string
	for i := range lines {
		list = append(list, fmt.Sprintf("ws://localhost:%d", 5353+i))
	}
	text, _ := json.Marshal(list) // strings
	return string(text)
}

// clientPage is a page with the client. It is loaded from the node that is there.
func clientPage(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/page.mjs" {
		w.Header().Set("Content-Type", "text/javascript")
		text, err := os.ReadFile("page.mjs")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(text) // to a browser that may have gone
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<!doctype html><title>client</title><script type="module">
import { page } from "/page.mjs";
const { connect } = await import("http://localhost:5353/hydrant.js").catch(() => import("http://localhost:5354/hydrant.js"));
globalThis.page = page(connect);
</script>`)
}

// clientWorld is two nodes, the network before them, a service, a client of the test's
// own, and the client that is tested.
type clientWorld struct {
	t      *testing.T
	ctx    context.Context
	nats   *harness.NATS
	nc     *nats.Conn
	js     jetstream.JetStream
	nodes  []*harness.Node
	lines  []*harness.Proxy
	page   *httptest.Server
	place  place
	pushed int

	session string // of the client
	frames  string // a file that gets what goes over its connections; "": none
}

// newClientWorld starts all of it but the client. Settings are those of the nodes.
func newClientWorld(t *testing.T, in string, settings ...string) *clientWorld {
	t.Helper()
	return newClientWorldOf(t, "", in, settings...)
}

// newClientWorldOf has nodes of another program; "": this version's.
func newClientWorldOf(t *testing.T, hydrant, in string, settings ...string) *clientWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	t.Cleanup(cancel)
	w := &clientWorld{t: t, ctx: ctx, page: httptest.NewServer(http.HandlerFunc(clientPage)), frames: filepath.Join(t.TempDir(), "frames")}
	t.Cleanup(w.page.Close)
	var err error
	if w.nats, err = harness.StartNATS(ctx, harness.NATSOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.nats.Stop(); err != nil {
			t.Error(err)
		}
	})
	env := map[string]string{"EDGE_ALLOWED_ORIGINS": w.page.URL, "EDGE_PING_INTERVAL": "2s", "EDGE_MAILBOX_STREAMS": "2"}
	for i := 0; i < len(settings); i += 2 {
		env[settings[i]] = settings[i+1]
	}
	for i := range 2 {
		node, err := harness.StartNode(ctx, harness.NodeOptions{Name: fmt.Sprint("node ", i), Binary: hydrant, NATS: w.nats.URL(), Env: env})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.Kill() })
		line, err := harness.NewProxy(node.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(line.Close)
		w.nodes, w.lines = append(w.nodes, node), append(w.lines, line)
	}
	echo, err := harness.StartEcho(w.nats.URL(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(echo.Kill)
	if w.nc, err = w.nats.Connect("test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.nc.Close)
	if w.js, err = jetstream.New(w.nc); err != nil {
		t.Fatal(err)
	}
	if err := harness.Until(ctx, func() error {
		_, err := w.nc.Request("$SRV.PING.echo", nil, harness.Patience)
		return err // "no responders" comes at once
	}); err != nil {
		t.Fatal(err)
	}
	w.place = places[in](w)
	return w
}

// start connects the client, and waits until it is open. options are JavaScript.
func (w *clientWorld) start(options string) {
	w.t.Helper()
	w.eval(fmt.Sprintf("page.start(%s, %s)", w.place.urls(w.lines), options))
	w.until(`page.client.state === "open"`)
	w.session = value[string](w, "page.client.session")
}

// eval evaluates in the page.
func (w *clientWorld) eval(expression string) json.RawMessage {
	w.t.Helper()
	value, err := w.place.eval(expression)
	if err != nil {
		w.t.Fatal(err)
	}
	return value
}

// value evaluates in the page, as a type.
func value[T any](w *clientWorld, expression string) (v T) {
	w.t.Helper()
	if err := json.Unmarshal(w.eval(expression), &v); err != nil {
		w.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for a condition in the page.
func (w *clientWorld) until(condition string) {
	w.t.Helper()
	w.waitFor(w.place, condition)
}

func (w *clientWorld) waitFor(p place, condition string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error {
		met, err := p.eval(condition)
		if err == nil && string(met) != "true" {
			err = fmt.Errorf("not yet: %s is %s", condition, met)
		}
		return err
	}); err != nil {
		text, _ := p.eval("globalThis.page?.look()") // as far as it can tell
		w.t.Fatalf("%v\n%s", err, text)
	}
}

// push stores further numbers for the client's session.
func (w *clientWorld) push(n int) {
	w.t.Helper()
	session := w.session
	for range n {
		w.pushed++
		data := fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"n-%d","bdy":{"n":%d}}`, session, w.pushed, w.pushed)
		if err := harness.Until(w.ctx, func() error {
			_, err := w.js.Publish(w.ctx, "umf.v1.out."+session[:1]+"."+session, data, jetstream.WithMsgID(fmt.Sprint(session, w.pushed)))
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// arrived waits for everything that was pushed, and checks that each came once, in its
// turn. from is the first that this page has to have.
func (w *clientWorld) arrived(from int) {
	w.t.Helper()
	w.until(fmt.Sprintf("page.count() >= %d", w.pushed-from+1))
	for i, n := range value[[]int](w, "page.numbers()") {
		if n != from+i {
			w.t.Fatalf("%d has come where %d was next: %s", n, from+i, w.eval("page.look()"))
		}
	}
	if gaps := w.eval("page.seen.gaps"); string(gaps) != "[]" {
		w.t.Errorf("gaps: %s", gaps)
	}
}

// at is the node that the client has its connection to.
func (w *clientWorld) at() int {
	w.t.Helper()
	w.until(`page.client.state === "open"`)
	for i, line := range w.lines {
		if line.Links() > 0 && value[int](w, "page.client.state === 'open' ? 1 : 0") == 1 {
			return i
		}
	}
	w.t.Fatal("the client is nowhere")
	return 0
}

// everywhere runs a test in each place.
func everywhere(t *testing.T, test func(t *testing.T, in string)) {
	for in := range places {
		t.Run(in, func(t *testing.T) { test(t, in) })
	}
}
