//go:build haproxy || nginx

package deploy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// asker asks all of webCases that its program can ask.
type asker func(t *testing.T, addr string)

func newAnswer(status int, header http.Header, body []byte) webAnswer {
	a := webAnswer{Status: status, Header: make(map[string]string), Length: len(body), Sum: sum(body), Text: textOf(body)}
	for name, values := range header {
		a.Header[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return a
}

// askOnce performs a request with Go's client.
func askOnce(ctx context.Context, client *http.Client, addr string, r *webRequest) (webAnswer, error) {
	body := io.Reader(strings.NewReader(r.Text))
	if r.Size > 0 {
		body = bytes.NewReader(webBody(r.Size))
	}
	if r.Chunked {
		body = io.MultiReader(body) // of a kind whose length the client does not know
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, "http://"+addr+r.Path, body)
	if err != nil {
		return webAnswer{}, err
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return webAnswer{}, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return webAnswer{}, err
	}
	a := newAnswer(response.StatusCode, response.Header, got)
	return a, nil
}

func askGo(t *testing.T, addr string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, c := range webCases {
		a, err := askOnce(t.Context(), client, addr, &c.webRequest)
		if err == nil {
			err = c.judge(a)
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func askCurl(t *testing.T, addr string) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("no curl; apt-get install curl: ", err)
	}
	dir := t.TempDir()
	sent, head, got := filepath.Join(dir, "sent"), filepath.Join(dir, "head"), filepath.Join(dir, "got")
	for _, c := range webCases {
		args := []string{"--silent", "--show-error", "--http1.1", "--noproxy", "*", "--dump-header", head, "--output", got, "--header", "Content-Type:"}
		if c.Method == http.MethodHead {
			args = append(args, "--head")
		} else {
			args = append(args, "--request", c.Method)
		}
		for name, value := range c.Header {
			args = append(args, "--header", name+": "+value)
		}
		if body := append([]byte(c.Text), webBody(c.Size)...); len(body) > 0 {
			if err := os.WriteFile(sent, body, 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, "--data-binary", "@"+sent)
		}
		if c.Chunked {
			args = append(args, "--header", "Transfer-Encoding: chunked")
		}
		_ = os.Remove(got) // it is not written where there is no body
		if out, err := exec.CommandContext(t.Context(), "curl", append(args, "http://"+addr+c.Path)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", c.name, err, out)
			continue
		}
		if c.Method == http.MethodHead {
			_ = os.Remove(got) // it has the fields
		}
		a, err := curlAnswer(head, got)
		if err == nil {
			err = c.judge(a)
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// curlAnswer reads what curl has written; before the answer may stand a 100.
func curlAnswer(head, got string) (webAnswer, error) {
	text, err := os.ReadFile(head)
	if err != nil {
		return webAnswer{}, err
	}
	body, err := os.ReadFile(got)
	if err != nil && !os.IsNotExist(err) {
		return webAnswer{}, err
	}
	for r := bufio.NewReader(bytes.NewReader(text)); ; {
		response, err := http.ReadResponse(r, &http.Request{Method: http.MethodHead}) // the body is elsewhere
		if err != nil {
			return webAnswer{}, err
		}
		if response.StatusCode != http.StatusContinue {
			return newAnswer(response.StatusCode, response.Header, body), nil
		}
	}
}

// webRequests are those of webCases, as JSON, without those that need chunks if the
// program has none.
func webRequests(t *testing.T, chunks bool) (list []webCase, text []byte) {
	t.Helper()
	var requests []webRequest
	for _, c := range webCases {
		if !c.Chunked || chunks {
			list, requests = append(list, c), append(requests, c.webRequest)
		}
	}
	text, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	return list, text
}

// judgeAll judges the answers to a list, in JSON.
func judgeAll(t *testing.T, list []webCase, text []byte) {
	t.Helper()
	var answers []webAnswer
	if err := json.Unmarshal(text, &answers); err != nil || len(answers) != len(list) {
		t.Fatalf("%v: %d answers to %d requests: %.300s", err, len(answers), len(list), text)
	}
	for i, c := range list {
		if err := c.judge(answers[i]); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// askNode asks with one of Node's two clients.
func askNode(kind string) asker {
	return func(t *testing.T, addr string) {
		if _, err := exec.LookPath("node"); err != nil {
			t.Fatal("no node; apt-get install nodejs: ", err)
		}
		list, requests := webRequests(t, true)
		node := exec.CommandContext(t.Context(), "node", "testdata/ask.mjs", kind, "http://"+addr)
		node.Stdin, node.Stderr = bytes.NewReader(requests), os.Stderr
		text, err := node.Output()
		if err != nil {
			t.Fatal(err)
		}
		judgeAll(t, list, text)
	}
}

// pageAsk is the program of a page that asks a list, and becomes the answers as JSON.
const pageAsk = `(async (base, list) => {
	const answers = [];
	for (const { Method, Path, Header, Size, Text } of list) {
		const body = Size ? Uint8Array.from({ length: Size }, (_, i) => i * 7) : Text || undefined;
		const answer = await fetch(base + Path, { method: Method, headers: Header ?? {}, body, cache: "no-store" });
		const got = await answer.arrayBuffer();
		const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", got));
		answers.push({
			Status: answer.status, Header: Object.fromEntries(answer.headers), Length: got.byteLength,
			Sum: Array.from(sum, (b) => b.toString(16).padStart(2, "0")).join(""), Text: new TextDecoder().decode(got.slice(0, 400)),
		});
	}
	return JSON.stringify(answers);
})`

// askChromium asks from a page that a service serves.
func askChromium(t *testing.T, addr string) {
	tab := startTab(t)
	open(t, tab, "http://"+addr+"/v1/web/page")
	list, requests := webRequests(t, false) // chunks need HTTP/2 there
	judgeAll(t, list, []byte(run[string](t, tab, pageAsk+`("", `+string(requests)+`)`)))
}

// askFromPages: a page whose origin may connect gets answers, after what its browser asks
// before, and a WebSocket; another gets nothing.
func askFromPages(t *testing.T, addr, mine string) {
	tab := startTab(t)
	open(t, tab, mine)
	var list []webCase
	var requests []webRequest
	for _, c := range webCases {
		switch c.name {
		case "JSON", "JSON body", "large", "no path", "nobody", "message":
			list, requests = append(list, c), append(requests, c.webRequest)
		}
	}
	text, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	judgeAll(t, list, []byte(run[string](t, tab, pageAsk+`("http://`+addr+`", `+string(text)+`)`)))
	const put = `fetch("http://%s/v1/web/body", { method: "PUT", credentials: "include", headers: { "content-type": "application/json", authorization: "Bearer x" }, body: "[1]" }).then((a) => a.text(), () => "refused")`
	if got := run[string](t, tab, fmt.Sprintf(put, addr)); got != "[1]" {
		t.Errorf("with credentials: %q", got)
	}
	const socket = `new Promise((resolve) => {
		const ws = new WebSocket("ws://%s/");
		ws.onmessage = (m) => { resolve(JSON.parse(m.data).typ); ws.close(); };
		ws.onclose = (e) => resolve("closed " + e.code);
	})`
	if got := run[string](t, tab, fmt.Sprintf(socket, addr)); got != "connection" {
		t.Errorf("a WebSocket: %q", got)
	}
	stranger := httptest.NewServer(http.HandlerFunc(emptyPage))
	defer stranger.Close()
	open(t, tab, stranger.URL)
	if got := run[string](t, tab, fmt.Sprintf(put, addr)); got != "refused" {
		t.Errorf("a page that may not connect: %q", got)
	}
	if got := run[string](t, tab, fmt.Sprintf(socket, addr)); got != "closed 1006" {
		t.Errorf("a WebSocket of a page that may not connect: %q", got)
	}
}

// startTab starts Chromium.
func startTab(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("no chromium; apt-get install chromium: ", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(2*time.Minute), // of its start
		chromedp.NoSandbox, // containers seldom have what it needs, and the only pages are the test's
		chromedp.Flag("proxy-server", "direct://"))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	return tab
}

func open(t *testing.T, tab context.Context, url string) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
}

// run is what a promise of the page becomes.
func run[T any](t *testing.T, tab context.Context, expression string) T {
	t.Helper()
	value, err := chromedp.Run(tab, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%.200s: %v", expression, err)
	}
	return value
}
