//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hydrant/integration/harness"
)

// The browser is driven by chromedp, since the nodes, the network between and
// the faults are Go's: one process decides when a page is asked and when its
// node is killed. It adds two modules. puppeteer-core adds 25 packages (33 MB),
// wants a Node newer than the one that the other tests get by with, and would
// need a protocol of its own towards the test.

// testPatience bounds a whole test, with the building of the programs; a run
// takes a few seconds.
const testPatience = 5 * time.Minute

// pageOf is a page with the README's client, which keeps what it prints. A
// session in the query is one that the tab had before.
func pageOf(client string) http.Handler {
	page := `<!doctype html><title>client</title><script>
const seen = [];
console.log = (msg) => seen.push(msg);
const given = new URLSearchParams(location.search).get("session");
if (given) sessionStorage.setItem("session", given);
const secret = new URLSearchParams(location.search).get("token");
if (secret) sessionStorage.setItem("token", secret);
</script><script>` + client + `</script>`
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
}

// eval returns the value of a JavaScript expression in the page; of a promise,
// what it becomes.
func eval[T any](t *testing.T, tab context.Context, expression string) T {
	t.Helper()
	value, err := chromedp.Run(tab, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func navigate(t *testing.T, tab context.Context, url string) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
}

// A received message, as the page printed it.
type received struct {
	Frm, Mid, Rmid string
	Bdy            json.RawMessage
}

// browserWorld is two nodes, the network between them and a browser to which
// they are localhost:5353 and localhost:5354, and a client of the test's own.
type browserWorld struct {
	t       *testing.T
	ctx     context.Context
	nodes   [2]*harness.Node
	lines   [2]*harness.Proxy
	page    *httptest.Server
	tab     context.Context
	sender  *harness.Client // on nodes[0], past the network
	session string          // of the page
	sent    int             // numbers that were sent to it
	since   int             // the first one that the page, as loaded now, has to show
}

func newBrowserWorld(t *testing.T) *browserWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	t.Cleanup(cancel)
	client, err := harness.ReadmeCode("A client in the browser", "js")
	if err != nil {
		t.Fatal(err)
	}
	w := &browserWorld{t: t, ctx: ctx, page: httptest.NewServer(pageOf(client))}
	t.Cleanup(w.page.Close)
	nats, err := harness.StartNATS(ctx, harness.NATSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nats.Stop(); err != nil {
			t.Error(err)
		}
	})
	var rules []string
	for i := range w.nodes {
		// A lost network is noticed after two intervals of silence, on both sides:
		// so long a page or a node may not run, too.
		env := map[string]string{"EDGE_ALLOWED_ORIGINS": w.page.URL, "EDGE_PING_INTERVAL": "2s", "EDGE_MAILBOX_STREAMS": "2"}
		node, err := harness.StartNode(ctx, harness.NodeOptions{Name: fmt.Sprint("node ", i), NATS: nats.URL(), Env: env})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.Kill() })
		line, err := harness.NewProxy(node.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(line.Close)
		w.nodes[i], w.lines[i] = node, line
		rules = append(rules, fmt.Sprintf("MAP localhost:%d %s", 5353+i, line.Addr()))
	}
	echo, err := harness.StartEcho(nats.URL(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(echo.Kill)
	nc, err := nats.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := harness.Until(ctx, func() error {
		_, err := nc.Request("$SRV.PING.echo", nil, harness.Patience)
		return err // "no responders" comes at once
	}); err != nil {
		t.Fatal(err)
	}
	if w.sender, err = harness.Dial(ctx, w.nodes[0].URL("/"), harness.DialOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sender.Drop)
	w.tab = startBrowser(t, ctx, strings.Join(rules, ","))
	return w
}

// startBrowser starts Chromium and returns its first tab.
func startBrowser(t *testing.T, ctx context.Context, hostRules string) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("Chromium is missing: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.WSURLReadTimeout(testPatience), // of its start
		chromedp.NoSandbox,                      // containers seldom have what it needs, and the only page is the test's
		chromedp.Flag("host-resolver-rules", hostRules))
	allocator, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	return tab
}

// send sends further numbers from the test's client to the page's session, and
// returns when the node has taken them.
func (w *browserWorld) send(n int) {
	w.t.Helper()
	for range n {
		w.sent++
		if err := w.sender.Send(harness.Object{"to": w.session + "@client:/", "frm": w.sender.Address(),
			"mid": fmt.Sprint("n-", w.sent), "bdy": harness.Object{"n": w.sent}}); err != nil {
			w.t.Fatal(err)
		}
	}
	pong, err := w.sender.Call(w.ctx, harness.Object{"to": "hydra-router:/", "typ": "ping", "bdy": "p"})
	if err != nil || pong.Type() != "pong" {
		w.t.Fatalf("the sender's ping: %s, %v", pong.Raw, err)
	}
}

// arrived waits until the page has shown every number that was sent, and
// checks that each came in its turn: a second time only as the same message.
func (w *browserWorld) arrived() {
	w.t.Helper()
	last := fmt.Sprint("n-", w.sent)
	w.until(fmt.Sprintf("seen.some((msg) => msg.mid === %q)", last))
	expected := w.since
	for _, msg := range eval[[]received](w.t, w.tab, "seen") {
		var body struct{ N int }
		if !strings.HasPrefix(msg.Mid, "n-") {
			continue // an answer of the service
		}
		if err := json.Unmarshal(msg.Bdy, &body); err != nil || msg.Mid != fmt.Sprint("n-", body.N) {
			w.t.Fatalf("arrived: %+v, %v", msg, err)
		}
		switch {
		case body.N == expected:
			expected++
		case body.N > expected:
			w.t.Fatalf("%d came before %d", body.N, expected)
		}
	}
	if expected != w.sent+1 {
		w.t.Fatalf("the page has shown all below %d of %d", expected, w.sent)
	}
}

// until waits for a condition in the page.
func (w *browserWorld) until(condition string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error {
		met, err := chromedp.Run(w.tab, chromedp.Evaluate[bool](condition))
		if err == nil && !met {
			err = fmt.Errorf("not yet: %s", condition)
		}
		return err
	}); err != nil {
		w.t.Fatalf("%v; the page: %s", err, eval[json.RawMessage](w.t, w.tab,
			"({ url: ws.url, state: ws.readyState, ready, session, seen: seen.length })"))
	}
}

// on waits until the page has its session on a node.
func (w *browserWorld) on(node int) {
	w.t.Helper()
	w.until(fmt.Sprintf(`ready && ws.url === "ws://localhost:%d/"`, 5353+node))
	if id := eval[string](w.t, w.tab, "session"); id != w.session {
		w.t.Fatalf("the page has session %s, before it had %s", id, w.session)
	}
}

// asks makes the page ask the service, and waits for the answer.
func (w *browserWorld) asks(mid string) {
	w.t.Helper()
	eval[chromedp.Void](w.t, w.tab, fmt.Sprintf(`send({ to: "echo:/", mid: %q, body: { hello: %q } })`, mid, mid))
	w.until(fmt.Sprintf("seen.some((msg) => msg.rmid === %q && msg.bdy.hello === %q)", mid, mid))
}

// TestE2EBrowser is the README's client in Chromium, through what happens to
// connections.
func TestE2EBrowser(t *testing.T) {
	w := newBrowserWorld(t)
	dark, clear := harness.Weather{Blackhole: true}, harness.Weather{}
	navigate(t, w.tab, w.page.URL)
	w.until(`seen.some((msg) => msg.rmid && msg.bdy.hello === "world")`)
	w.session = eval[string](t, w.tab, "session")
	w.since = 1
	w.on(0)
	w.send(10)
	w.arrived()

	t.Log("the connection is cut; what is sent meanwhile waits, and comes on the other node")
	w.lines[0].Set(dark)
	w.lines[1].Set(dark)
	w.lines[0].Cut()
	w.send(80) // a tenth of a mailbox, what one sender may fill, is 100
	w.lines[1].Set(clear)
	w.on(1)
	w.arrived()
	w.send(10)
	w.arrived()
	w.asks("after the cut")

	t.Log("its node is killed")
	w.nodes[1].Kill()
	w.until("!ready")
	w.send(100)
	w.lines[0].Set(clear)
	w.on(0)
	w.arrived()
	w.asks("after the kill")
	if err := w.nodes[1].Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.nodes[1].WaitReady(w.ctx); err != nil {
		t.Fatal(err)
	}

	t.Log("the network is gone and nobody says so")
	w.lines[0].Set(dark)
	w.send(100)
	w.on(1)
	w.arrived()
	w.asks("after the silence")
	w.lines[0].Set(clear)

	t.Log("the page is loaded again")
	w.since = w.sent + 1
	navigate(t, w.tab, w.page.URL)
	w.on(0)
	w.send(10)
	w.arrived()

	t.Log("another tab takes the session")
	w.secondTab()

	t.Log("a page of another origin")
	w.foreignPage()
}

// secondTab: the tab that lost the session gives in, and does not fight for it.
func (w *browserWorld) secondTab() {
	w.t.Helper()
	eval[chromedp.Void](w.t, w.tab, `var code; ws.addEventListener("close", (event) => { code = event.code; })`)
	second, closeTab := chromedp.NewContext(w.tab)
	defer closeTab()
	first := w.tab
	w.tab, w.since = second, w.sent+1
	navigate(w.t, second, w.page.URL+"/?session="+w.session+"&token="+eval[string](w.t, first, "token"))
	w.on(0)
	w.send(10)
	w.arrived()
	w.tab = first
	w.until("code === 4501 && !ready")
}

// foreignPage: no connection for a page that is not named.
func (w *browserWorld) foreignPage() {
	w.t.Helper()
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>stranger</title>")
	}))
	defer stranger.Close()
	navigate(w.t, w.tab, stranger.URL)
	code := eval[int](w.t, w.tab, `new Promise((resolve) => {
		const ws = new WebSocket("ws://localhost:5353");
		ws.onopen = () => resolve(0);
		ws.onclose = (event) => resolve(event.code);
	})`)
	if code != 1006 { // as the WebSocket standard has it for a handshake that failed
		w.t.Errorf("a page of another origin: code %d", code)
	}
}
