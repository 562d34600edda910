//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// The browser is driven by chromedp, since the nodes, the network between and
// the faults are Go's: one process decides when a page is asked and when its
// node is killed. It adds two modules. puppeteer-core adds 25 packages (33 MB),
// wants a Node newer than the one that the other tests get by with, and would
// need a protocol of its own towards the test.

// testPatience bounds a whole test, with the building of the programs; a run
// takes a few seconds.
const testPatience = 5 * time.Minute

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

// TestE2EReadmePage: the README's page in Chromium, from the server of files that the
// README has, both as they stand there.
func TestE2EReadmePage(t *testing.T) {
	w := newClientWorld(t, "chromium", "EDGE_ALLOWED_ORIGINS", "loopback")
	dir := t.TempDir()
	html, err := harness.ReadmeCode("A page of your own", "html")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "own.html"), []byte(html), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	commands := world.ReadmeCode(t, "A page of your own", "sh")
	serve := exec.CommandContext(w.ctx, "sh", "-euc", commands)
	serve.Dir, serve.Stdout, serve.Stderr = dir, os.Stderr, os.Stderr
	serve.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run, and what it runs
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-serve.Process.Pid, syscall.SIGKILL) // fails only if all have ended
		_ = serve.Wait()
	})
	const own = "http://localhost:8000/own.html"
	if err := harness.Until(w.ctx, func() error {
		response, err := http.Get(own)
		if err == nil {
			response.Body.Close()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	navigate(t, w.place.(*browserPlace).tab, own)
	w.until(`document.body.textContent.trim() === '{"hello":"world"}'`)
}

// TestE2EBrowser: a page that may not connect is refused.
func TestE2EBrowser(t *testing.T) {
	w := newClientWorld(t, "chromium")
	tab := w.place.(*browserPlace).tab
	stranger := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html")
		fmt.Fprint(out, "<!doctype html><title>stranger</title>")
	}))
	defer stranger.Close()
	navigate(t, tab, stranger.URL)
	code := eval[int](t, tab, `new Promise((resolve) => {
		const ws = new WebSocket("ws://localhost:5353");
		ws.onopen = () => resolve(0);
		ws.onclose = (event) => resolve(event.code);
	})`)
	if code != 1006 { // as the WebSocket standard has it for a handshake that failed
		t.Errorf("a page of another origin: code %d", code)
	}
}
