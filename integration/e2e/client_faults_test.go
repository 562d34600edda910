//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"hydrant/integration/harness"
)

// C11: a node that drains sends its clients away, and they lose nothing.
func TestE2EClientDrain(t *testing.T) {
	everywhere(t, func(t *testing.T, in string) {
		w := newClientWorld(t, in, "EDGE_DRAIN_TIMEOUT", "1s")
		w.start("{}")
		for round := range 4 {
			w.push(50)
			i := w.at()
			w.eval(fmt.Sprintf(`page.request("ask-%d", "echo:/", {hello: "%d"}, {timeout: 60000})`, round, round))
			if err := w.nodes[i].Terminate(w.ctx); err != nil {
				t.Error(err)
			}
			w.push(50)
			w.until(`page.client.state === "open"`)
			if err := w.nodes[i].Start(); err != nil {
				t.Fatal(err)
			}
			if err := w.nodes[i].WaitReady(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		w.arrived(1)
		w.until("Object.keys(page.outcomes).length === 4")
		for name, outcomes := range value[map[string][]map[string]string](w, "page.outcomes") {
			if len(outcomes) != 1 || "ask-"+outcomes[0]["hello"] != name {
				t.Errorf("%s: %v", name, outcomes)
			}
		}
	})
}

// C12: the network is gone and nobody says so: the client leaves the connection, which
// never closes, and what it says meanwhile has an outcome.
func TestE2EClientSilence(t *testing.T) {
	everywhere(t, func(t *testing.T, in string) {
		w := newClientWorld(t, in)
		w.start("{timeout: 2000}")
		for range 2 {
			w.push(20)
			i := w.at()
			w.lines[i].Set(harness.Weather{Blackhole: true})
			w.push(20)
			w.until(fmt.Sprintf(`page.count() === %d`, w.pushed))
			w.lines[i].Set(harness.Weather{})
			w.lines[i].Cut()
			w.until(`page.client.state === "open"`)
		}
		w.arrived(1)
	})
}

// freeze stops the page, and returns how it goes on.
func (w *clientWorld) freeze() (thaw func()) {
	switch p := w.place.(type) {
	case *nodePlace:
		signal := func(s syscall.Signal) {
			if err := p.process.Process.Signal(s); err != nil {
				w.t.Fatal(err)
			}
		}
		signal(syscall.SIGSTOP)
		return func() { signal(syscall.SIGCONT) }
	case *browserPlace:
		set := func(state string) { p.command("Page.setWebLifecycleState", map[string]any{"state": state}) }
		set("frozen")
		return func() { set("active") }
	}
	panic("no such place")
}

// command asks something of the browser.
func (p *browserPlace) command(method string, params map[string]any) {
	p.w.t.Helper()
	if _, err := chromedp.Run(p.tab, func(ctx context.Context, target *chromedp.Target) (struct{}, error) {
		return struct{}{}, target.Call(ctx, method, params, nil)
	}); err != nil {
		p.w.t.Fatal(err)
	}
}

// C13: a page that is frozen, as browsers do with those in the background, and machines
// with all when they sleep, and loses its connection meanwhile without a word.
func TestE2EClientFrozen(t *testing.T) {
	everywhere(t, func(t *testing.T, in string) {
		w := newClientWorld(t, in)
		w.start("{}")
		w.push(20)
		i := w.at()
		w.until("page.count() === 20")
		thaw := w.freeze()
		w.push(20)
		w.lines[i].LoseClients()
		w.lines[i].Set(harness.Weather{})
		thaw()
		w.push(20)
		w.arrived(1)
	})
}

// C14: a browser that is told that it is offline, and then online: it does not wait for
// the end of its pause.
func TestE2EClientOffline(t *testing.T) {
	w := newClientWorld(t, "chromium")
	p := w.place.(*browserPlace)
	w.start("{backoff: {min: 3600000, max: 3600000}}") // no test waits for that
	w.push(10)
	w.until("page.count() === 10")
	offline := map[string]any{"offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
	p.command("Network.enable", nil)
	p.command("Network.emulateNetworkConditions", offline)
	for _, line := range w.lines {
		line.Set(harness.Weather{Blackhole: true})
		line.Cut()
	}
	w.until(`page.client.state !== "open"`)
	w.push(10)
	for _, line := range w.lines {
		line.Set(harness.Weather{})
	}
	offline["offline"] = false
	p.command("Network.emulateNetworkConditions", offline)
	w.arrived(1)
}

// C15: a page that is loaded again goes on with its session; a copy of its tab has one
// of its own, and takes nothing from it.
func TestE2EClientTabs(t *testing.T) {
	w := newClientWorld(t, "chromium")
	p := w.place.(*browserPlace)
	w.start("{}")
	session := value[string](w, "page.client.session")
	w.push(10)
	w.arrived(1)
	for range 2 {
		p.open()
		w.start("{}")
		if now := value[string](w, "page.client.session"); now != session {
			t.Fatalf("the page has session %s after it was loaded again, before it had %s", now, session)
		}
		from := w.pushed + 1
		w.push(10)
		w.arrived(from)
	}
	// With its opener a tab has a copy of the storage, as a duplicated one has.
	w.eval(fmt.Sprintf(`new Promise((resolve) => {
		const copy = open(location.href);
		const look = () => {
			if (!copy.page) return setTimeout(look, 50);
			globalThis.copied = copy.sessionStorage.length;
			copy.page.start(%s, {});
			globalThis.copy = copy.page;
			resolve(true);
		};
		setTimeout(look, 50);
	})`, p.urls(w.lines)))
	w.until(`copy.client.state === "open"`)
	if n := value[int](w, "copied"); n == 0 {
		t.Fatal("the copy has no storage of its original")
	}
	if id := value[string](w, "copy.client.session"); id == session {
		t.Error("the copy has its original's session")
	}
	w.until(`page.client.state === "open" && page.client.session === "` + session + `"`)
	from := w.pushed - 9
	w.push(10)
	w.arrived(from)
	if states := w.eval("page.seen.states"); string(states) != `["open"]` {
		t.Errorf("meanwhile the original was %s", states)
	}
}
