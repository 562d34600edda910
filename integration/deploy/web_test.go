//go:build haproxy || nginx

package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// webRequest is what a program is to ask. Its body is [webBody] of a size.
type webRequest struct {
	Method, Path string
	Header       map[string]string
	Size         int
	Chunked      bool   // the length of the body is not told before
	Text         string // the body, if it is text
}

// webAnswer is what it got.
type webAnswer struct {
	Status int
	Header map[string]string // names in lower case
	Length int               // of the body
	Sum    string            // SHA-256 of the body, in hex
	Text   string            // its beginning
}

// webCase is a request and what has to come back, whoever asks and whatever lies between.
type webCase struct {
	name string
	webRequest
	status int
	header map[string]string // some of it
	text   string            // a part of the body
	back   bool              // the body comes back
}

// webBody is a body that is no text.
func webBody(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

const large = 512 << 10

var webCases = []webCase{
	{"JSON", webRequest{Method: "GET", Path: "/v1/web/7?q=a%20b"}, 200, map[string]string{"content-type": "application/json"}, `"result":{"for":"127.0.0.1","id":"7","q":"a b"}`, false},
	{"name in front", webRequest{Method: "GET", Path: "/web/v1/web/8"}, 200, nil, `"id":"8"`, false},
	{"HEAD", webRequest{Method: "HEAD", Path: "/v1/web/file"}, 200, map[string]string{"etag": `"v1"`, "content-length": "5"}, "", false},
	{"OPTIONS", webRequest{Method: "OPTIONS", Path: "/v1/web/file"}, 204, map[string]string{"allow": "GET, HEAD, OPTIONS"}, "", false},
	{"file", webRequest{Method: "GET", Path: "/v1/web/file"}, 200, map[string]string{"etag": `"v1"`, "content-type": "text/x-own"}, "hello", false},
	{"condition", webRequest{Method: "GET", Path: "/v1/web/file", Header: map[string]string{"If-None-Match": `"v1"`}}, 304, map[string]string{"etag": `"v1"`}, "", false},
	{"range", webRequest{Method: "GET", Path: "/v1/web/file", Header: map[string]string{"Range": "bytes=1-2"}}, 206, map[string]string{"content-range": "bytes 1-2/5"}, "el", false},
	{"JSON body", webRequest{Method: "PUT", Path: "/v1/web/body", Text: `{"n": 12345678901234567890}`, Header: map[string]string{"Content-Type": "application/json"}}, 200,
		map[string]string{"content-type": "application/json"}, `{"n": 12345678901234567890}`, false},
	{"large", webRequest{Method: "PUT", Path: "/v1/web/body", Size: large, Header: map[string]string{"Content-Type": "image/x-own"}}, 200, map[string]string{"content-type": "image/x-own"}, "", true},
	{"large in chunks", webRequest{Method: "PUT", Path: "/v1/web/body", Size: large, Chunked: true, Header: map[string]string{"Content-Type": "image/x-own"}}, 200, nil, "", true},
	{"largest", webRequest{Method: "PUT", Path: "/v1/web/body", Size: 1 << 20}, 200, map[string]string{"content-type": "application/octet-stream"}, "", true},
	{"too large", webRequest{Method: "PUT", Path: "/v1/web/body", Size: 1<<20 + 1}, 413, nil, "Message is too large", false},
	{"too large in chunks", webRequest{Method: "PUT", Path: "/v1/web/body", Size: 1<<20 + 1, Chunked: true}, 413, nil, "Message is too large", false},
	{"no path", webRequest{Method: "GET", Path: "/v1/nothing"}, 404, nil, "Resource not found", false},
	{"no method", webRequest{Method: "DELETE", Path: "/v1/web/file"}, 405, map[string]string{"allow": "GET, HEAD, OPTIONS"}, "The methods of this path are GET, HEAD, OPTIONS", false},
	{"nobody", webRequest{Method: "GET", Path: "/v1/gone"}, 503, nil, "Unavailable gone instances", false},
	{"silence", webRequest{Method: "GET", Path: "/v1/web/silent"}, 504, nil, "No answer in time", false},
	{"router", webRequest{Method: "GET", Path: "/v1/router/version"}, 200, nil, `"statusMessage":"OK"`, false},
	{"message", webRequest{Method: "POST", Path: "/v1/router/message", Text: `{"to":"web:[GET]/v1/web/9","frm":"client:/","bdy":{}}`}, 200, nil, `"id":"9"`, false},
	{"no message", webRequest{Method: "POST", Path: "/v1/router/send", Text: `{"bdy":1}`}, 400, nil, "Invalid UMF message", false},
}

// judge says what is wrong with an answer.
func (c *webCase) judge(a webAnswer) error {
	if a.Status != c.status {
		return fmt.Errorf("status %d, want %d: %s", a.Status, c.status, a.Text)
	}
	for name, want := range c.header {
		if got := a.Header[name]; got != want {
			return fmt.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(a.Text, c.text) || c.text == "" && !c.back && a.Length != 0 {
		return fmt.Errorf("the body is %q", a.Text)
	}
	if c.back {
		if want := sum(webBody(c.Size)); a.Length != c.Size || a.Sum != want {
			return fmt.Errorf("%d bytes %s, want %d %s", a.Length, a.Sum, c.Size, want)
		}
	}
	return nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// textOf is the beginning of a body, for people.
func textOf(b []byte) string { return string(b[:min(len(b), 400)]) }

// startWeb runs the services that webCases ask: web, and gone, which leaves.
func startWeb(t *testing.T, servers *harness.NATS, nodes []*harness.Node) {
	t.Helper()
	start := func(name string, register func(s *bus.Service) error) *bus.Service {
		nc, err := servers.Connect(name)
		if err != nil {
			t.Fatal(err)
		}
		return kitService(t, nc, name, register)
	}
	ignore := func(context.Context, *bus.Request) error { return nil }
	start("web", func(s *bus.Service) error {
		return errors.Join(s.HandleMethod("GET", "/v1/web/file", webFile), s.HandleMethod("GET", "/v1/web/page", webPage), s.HandleMethod("GET", "/v1/web/silent", ignore),
			s.HandleMethod("GET", "/v1/web/{id}", webID), s.HandleMethod("PUT", "/v1/web/body", webEcho))
	})
	gone := start("gone", func(s *bus.Service) error { return s.HandleMethod("GET", "/v1/gone", ignore) })
	for _, node := range nodes { // each has to hear of it while it is there
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+node.Admin+"/v1/router/refresh", nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer, _, err := harness.Do(request); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("refresh: %+v, %v", answer, err)
		}
		if err := harness.Until(t.Context(), func() error {
			routes, err := harness.Get("http://" + node.Admin + "/v1/router/list/routes")
			if err == nil && !strings.Contains(string(routes), "/v1/gone") {
				err = errors.New("the service is not known")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := gone.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func webID(ctx context.Context, r *bus.Request) error {
	return r.Reply(ctx, map[string]string{"id": r.PathValue("id"), "q": r.Query().Get("q"), "for": r.HeaderValue("x-forwarded-for")})
}

func webPage(ctx context.Context, r *bus.Request) error {
	return r.Respond(ctx, bus.Response{ContentType: "text/html; charset=utf-8", Body: []byte("<!doctype html><title>page</title>")})
}

// webFile answers as a server of files does.
func webFile(ctx context.Context, r *bus.Request) error {
	a := bus.Response{ContentType: "text/x-own", Header: map[string]string{"ETag": `"v1"`}, Body: []byte("hello")}
	switch {
	case r.HeaderValue("if-none-match") == `"v1"`:
		a.Status, a.Body = http.StatusNotModified, nil
	case r.HeaderValue("range") == "bytes=1-2":
		a.Status, a.Body = http.StatusPartialContent, a.Body[1:3]
		a.Header["Content-Range"] = "bytes 1-2/5"
	}
	return r.Respond(ctx, a)
}

func webEcho(ctx context.Context, r *bus.Request) error {
	kind, body, err := r.Content()
	if err != nil {
		return err
	}
	return r.Respond(ctx, bus.Response{ContentType: kind, Body: body})
}

// testWeb asks all of webCases by curl, by Chromium's and Node's fetch, by Node's and Go's
// HTTP clients, and opens WebSockets between them. between starts what is under test in
// front of two nodes; most is how many connections it may make for [keptRequests].
func testWeb(t *testing.T, env map[string]string, most int, between func(nodes []*harness.Node) (addr string)) {
	servers, err := harness.StartNATS(t.Context(), harness.NATSOptions{MaxPayload: 2 << 20}) // as deploy/nats has it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	mine := httptest.NewServer(http.HandlerFunc(emptyPage)) // a page that may connect
	t.Cleanup(mine.Close)
	env["EDGE_TRUSTED_PROXIES"], env["EDGE_REQUEST_TIMEOUT"], env["EDGE_ALLOWED_ORIGINS"] = "127.0.0.1", "10s", mine.URL
	var nodes []*harness.Node
	for i := range 2 {
		node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: fmt.Sprint("edge", i+1), NATS: servers.URL(), Env: env})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	addr := between(nodes)
	startWeb(t, servers, nodes)
	if _, err := harness.StartEcho(servers.URL(), "echo"); err != nil {
		t.Fatal(err)
	}
	waitEcho(t, "ws://"+addr+"/")
	t.Run("clients", func(t *testing.T) {
		for name, ask := range map[string]asker{"go": askGo, "curl": askCurl, "node fetch": askNode("fetch"), "node http": askNode("http"), "chromium": askChromium} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ask(t, addr)
			})
		}
		t.Run("pages", func(t *testing.T) {
			t.Parallel()
			askFromPages(t, addr, mine.URL)
		})
	})
	wantKept(t, addr, nodes, most)
	askEcho(t.Context(), t, "ws://"+addr+"/")
}

func emptyPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, "<!doctype html><title>page</title>")
}

const keptRequests = 64

// wantKept: what lies between comes to need at most so many connections for many
// requests.
func wantKept(t *testing.T, addr string, nodes []*harness.Node, most int) {
	t.Helper()
	accepted := func() (n int) {
		for _, node := range nodes {
			page, err := harness.Get(node.AdminHTTP("/metrics"))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(page)) {
				if value, is := strings.CutPrefix(line, "hydrant_accepts_total "); is {
					f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
					if err != nil {
						t.Fatal(err)
					}
					n += int(f)
				}
			}
		}
		return n
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	// What has just carried a crowd may close connections for a while.
	if err := harness.Until(ctx, func() error {
		before := accepted()
		if before == 0 {
			return errors.New("no connection is counted")
		}
		for range keptRequests {
			if a, err := askOnce(ctx, client, addr, &webRequest{Method: "GET", Path: "/v1/web/7"}); err != nil || a.Status != http.StatusOK {
				return fmt.Errorf("%v %w", a, err)
			}
		}
		if n := accepted() - before; n > most {
			return fmt.Errorf("%d connections for %d requests", n, keptRequests)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
