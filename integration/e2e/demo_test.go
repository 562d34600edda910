//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"hydrant/integration/harness"
)

// demoPage is the page of a demo in a browser, and all that it did.
type demoPage struct {
	t    *testing.T
	tab  context.Context
	demo *harness.Process
	log  *harness.Log
	url  string

	mu    sync.Mutex
	asked []string // addresses, of WebSockets too
}

// startDemo starts a demo, and a browser without a page.
func startDemo(t *testing.T) *demoPage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	t.Cleanup(cancel)
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	p := &demoPage{t: t, log: &harness.Log{}}
	if p.demo, err = harness.StartProcess("demo", bin.Hydrant, []string{"demo"}, nil, p.log, p.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.demo.Kill)
	address := regexp.MustCompile(`(?m)^  (http://localhost:\d+/)$`)
	if err := harness.Until(ctx, func() error {
		found := address.FindSubmatch(p.log.Since(0))
		if found == nil {
			return fmt.Errorf("no address yet: %s", p.log.Tail(4096))
		}
		p.url = string(found[1])
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.tab = startBrowser(t, ctx, "")
	if err := chromedp.Listen(p.tab, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			p.asked = append(p.asked, event.Request.URL)
		case *network.EventWebSocketCreated:
			p.asked = append(p.asked, event.URL)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *demoPage) do(step chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.tab, step); err != nil {
		p.t.Fatal(err)
	}
}

// until waits for a condition in the page.
func (p *demoPage) until(condition string) {
	p.t.Helper()
	if err := harness.Until(p.tab, func() error {
		if !eval[bool](p.t, p.tab, condition) {
			return fmt.Errorf("not yet: %s; it says %q", condition, p.said())
		}
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *demoPage) said() string {
	return eval[string](p.t, p.tab, `document.querySelector("#said").textContent`)
}

// open loads the page as a screen of that width and scheme shows it.
func (p *demoPage) open(width int64, scheme string) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, 900))
	if _, err := chromedp.Call(p.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		p.t.Fatal(err)
	}
	navigate(p.t, p.tab, p.url)
	p.until(`document.querySelector("#said").textContent.startsWith("Both are connected")`)
}

// look checks what holds of the page whatever it shows, and keeps a picture (go test
// -artifacts).
func (p *demoPage) look(name string) {
	p.t.Helper()
	picture, err := chromedp.Run(p.tab, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(p.t.ArtifactDir(), name+".png"), picture, 0o600)
	}
	if err != nil {
		p.t.Error(err)
	}
	if wide := eval[int](p.t, p.tab, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		p.t.Errorf("%s: %d pixels wider than the screen", name, wide)
	}
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		p.t.Fatal(err)
	}
	eval[json.RawMessage](p.t, p.tab, string(axe)+"; 0")
	for _, violation := range eval[[]string](p.t, p.tab, `axe.run({ resultTypes: ["violations"] }).then(({ violations }) =>
		violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html.slice(0, 200) + " " + n.failureSummary).join(" | ")))`) {
		p.t.Errorf("%s: %s", name, violation)
	}
}

// key presses a key so often.
func (p *demoPage) key(key string, times int) {
	p.t.Helper()
	for range times {
		p.do(chromedp.KeyEvent(key))
	}
}

// focus goes to a control by Tab alone.
func (p *demoPage) focus(selector string) {
	p.t.Helper()
	seen := ""
	for range 60 {
		p.key(kb.Tab, 1)
		at := eval[string](p.t, p.tab, fmt.Sprintf(`document.activeElement.matches(%q) ? "" : document.activeElement.outerHTML.slice(0, 60)`, selector))
		if at == "" {
			if eval[string](p.t, p.tab, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
				p.t.Errorf("%s: nothing shows that it has the focus", selector)
			}
			return
		}
		seen += "\n" + at
	}
	p.t.Fatalf("%s is not among what Tab reaches:%s", selector, seen)
}

// press does what a user without a mouse does with a button.
func (p *demoPage) press(selector string) {
	p.t.Helper()
	p.focus(selector)
	p.key(kb.Enter, 1)
}

// count is what the page shows of the numbers to a client.
func (p *demoPage) count(who string) string {
	return eval[string](p.t, p.tab, fmt.Sprintf(`["sent", "arrived", "waiting", "lost", "twice", "disordered"].map((name) => document.querySelector("#%s ." + name).textContent).join(" ")`, who))
}

// counted waits until so many numbers have arrived, and nothing is wrong.
func (p *demoPage) counted(who string, n int) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.querySelector("#%s .arrived").textContent >= %d`, who, n))
	if got, want := p.count(who), fmt.Sprint(n, n, 0, 0, 0, 0); got != want {
		p.t.Errorf("%s: sent, arrived, waiting, lost, twice, disordered are %s, want %s", who, got, want)
	}
}

// nodesRun waits until the page shows that both nodes run.
func (p *demoPage) nodesRun() {
	p.t.Helper()
	p.until(`document.querySelectorAll("#nodes .up").length === 2`)
}

// TestE2EDemoPage: what `hydrant demo` prints opens in a browser, without a mouse, at
// both ends of the screens that there are, light and dark; lines are dropped and nodes
// killed, that of the page too, and nothing is lost. It asks nobody but the demo's nodes,
// and the browser has nothing to complain about.
func TestE2EDemoPage(t *testing.T) {
	installed(t)
	p := startDemo(t)
	console := chromedp.Console(p.tab)
	for _, width := range []int64{320, 1600} {
		for _, scheme := range []string{"light", "dark"} {
			p.open(width, scheme)
			p.look(fmt.Sprintf("%d-%s", width, scheme))
		}
	}
	p.open(320, "light")
	p.playing()
	p.nodesRun() // a page that is opened anew knows nothing of a killed one
	p.look("320-light-after")
	p.open(1600, "dark")
	p.press("#show")
	p.until(`document.querySelector("#said").textContent.startsWith("200 of 200 arrived: none lost")`)
	p.counted("ann", 200)
	p.nodesRun()
	p.look("1600-dark-after")
	p.open(1600, "light")
	p.press("#show")
	p.counted("ann", 200)
	p.nodesRun()
	p.look("1600-light-after")
	p.tally()
	p.example()
	p.judge(console)
	for line := range strings.Lines(string(p.log.Since(0))) {
		if len(line) > 81 {
			t.Errorf("wider than a terminal: %s", line)
		}
	}
}

// example: what the page shows to copy is what the README has.
func (p *demoPage) example() {
	p.t.Helper()
	code, err := harness.ReadmeCode("A page of your own", "html")
	if err != nil {
		p.t.Fatal(err)
	}
	code = regexp.MustCompile(`(?m) // .*$`).ReplaceAllString(code, "")
	if shown := eval[string](p.t, p.tab, `document.querySelector(".own pre").textContent + "\n"`); shown != code {
		p.t.Errorf("the page has\n%s\nthe README\n%s", shown, code)
	}
}

// tally has the page's counters count what must not come.
func (p *demoPage) tally() {
	p.t.Helper()
	for given, want := range map[string]string{
		"t.take(1); t.take(2)":                "4 2 2 0 0 0",
		"t.take(2); t.take(1)":                "4 2 2 0 0 1",
		"t.take(1); t.take(1)":                "4 1 3 0 1 0",
		"t.refuse(2); t.take(1); t.take(3)":   "4 2 1 1 0 0",
		"t.take(3); t.refuse(2); t.take(4)":   "4 2 1 1 0 0",
		"t.refuse(2); t.take(2); t.take(1)":   "4 2 2 0 0 1",
		"t.take(4); t.take(4); t.refuse(4)":   "4 1 3 0 1 0",
		"t.refuse(4); t.refuse(3); t.take(3)": "4 1 2 1 0 0",
	} {
		got := eval[string](p.t, p.tab, fmt.Sprintf(`import("/demo/tally.js").then(({ Tally }) => {
			const t = new Tally();
			for (let n = 0; n < 4; n++) t.next();
			%s;
			return [t.sent, t.arrived, t.waiting, t.lost, t.twice, t.disordered].join(" ");
		})`, given))
		if got != want {
			p.t.Errorf("%s: sent, arrived, waiting, lost, twice, disordered are %s, want %s", given, got, want)
		}
	}
}

// playing uses every control that there is.
func (p *demoPage) playing() {
	p.t.Helper()
	own, err := url.Parse(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	p.press("#ann .ask")
	p.until(`document.querySelector("#ann .got").textContent === "echo:/ says: hello"`)
	p.press("#ben input")
	p.do(chromedp.KeyEvent(kb.End))
	p.key("!", 1)
	p.press("#ben .tell")
	p.until(`document.querySelector("#ann .got").textContent === "Ben says: hello!"`)

	p.press("#ann .drop")
	p.until(`document.querySelector("#ann").dataset.state === "down"`)
	p.press("#ann .hundred")
	p.until(`document.querySelector("#said").textContent.startsWith("100 of 100 are stored")`)
	if got := p.count("ann"); got != "100 0 100 0 0 0" {
		p.t.Errorf("away: %s", got)
	}
	p.press("#ann .drop")
	p.counted("ann", 100)
	p.press("#ben .hundred")
	p.counted("ben", 100)

	// The node that serves the page, which goes on without it.
	served := fmt.Sprintf(`on node :%s`, own.Port())
	who := "ann"
	for _, name := range []string{"ben", "ann"} {
		if eval[string](p.t, p.tab, fmt.Sprintf(`document.querySelector("#%s .where .state").textContent`, name)) == served {
			who = name
		}
	}
	p.press("#" + who + " .kill")
	p.until(`document.querySelectorAll("#nodes .up").length === 1`)
	p.press("#" + who + " .hundred")
	p.counted(who, 200)
	p.nodesRun()
	p.press("#" + who + " .kill")
	p.until(`document.querySelectorAll("#nodes .up").length === 1`)
	p.until(`document.querySelector("#said").textContent.startsWith("Node :")`)
	p.nodesRun()
	p.press("#ben .hundred")
	p.until(`document.querySelector("#ben .waiting").textContent === "0"`)
	if lost := eval[int](p.t, p.tab, `[...document.querySelectorAll(".lost, .twice, .disordered")].reduce((n, e) => n + Number(e.textContent), 0)`); lost != 0 {
		p.t.Errorf("ann %s, ben %s", p.count("ann"), p.count("ben"))
	}
}

// judge looks at everything that the page asked for, and what the browser said of it.
func (p *demoPage) judge(console func(func(chromedp.ConsoleMessage, error) bool)) {
	p.t.Helper()
	p.mu.Lock()
	asked := slices.Clone(p.asked)
	p.mu.Unlock()
	if len(asked) == 0 {
		p.t.Error("no request was seen")
	}
	own := regexp.MustCompile(`^(http|ws)://localhost:535\d+/`)
	for _, address := range asked {
		if !own.MatchString(address) {
			p.t.Errorf("asked elsewhere: %s", address)
		}
	}
	const end = "that is all"
	eval[json.RawMessage](p.t, p.tab, fmt.Sprintf("console.log(%q), 0", end))
	for message, err := range console {
		switch {
		case err != nil:
			p.t.Fatal(err)
		case message.Text == end:
			return
		case message.Type != chromedp.ConsoleLog:
			p.t.Errorf("console: %s %s", message, message.URL)
		}
	}
}

// TestE2EDemoStranger: a page of another origin, that may connect, kills no node.
func TestE2EDemoStranger(t *testing.T) {
	p := startDemo(t)
	stranger := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html")
		fmt.Fprint(out, "<!doctype html><title>stranger</title>")
	}))
	defer stranger.Close()
	navigate(t, p.tab, stranger.URL)
	kill := strings.TrimSuffix(p.url, "/") + "/demo/kill?node=" + p.url[len("http://localhost:"):len(p.url)-1]
	eval[json.RawMessage](t, p.tab, fmt.Sprintf(`fetch(%q, { method: "POST", mode: "no-cors" }).catch(() => 0).then(() => 0)`, kill))
	if got := eval[string](t, p.tab, fmt.Sprintf(`fetch(%q, { method: "POST" }).then(() => "read", (error) => error.name)`, kill)); got != "TypeError" {
		t.Errorf("the answer can be read: %s", got)
	}
	response, err := http.Get(p.url)
	if err != nil {
		t.Fatalf("the node is gone: %v", err)
	}
	response.Body.Close()
	if policy := response.Header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
}
