package page

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// killer keeps which nodes were killed.
type killer struct {
	busy   string
	killed []string
}

func (k *killer) Kill(port string) (why string, done func()) {
	return k.busy, func() { k.killed = append(k.killed, port) }
}

// ask sends a request to a node of the demo on this machine.
func ask(k *killer, method, target string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host, r.RemoteAddr = "localhost:5353", "127.0.0.1:40000"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h := Handlers([]string{"5353", "5354"}, k)[r.URL.Path]
	if h == nil {
		http.NotFound(w, r)
		return w
	}
	h.ServeHTTP(w, r)
	return w
}

// own makes a request one of the page's own.
func own(r *http.Request) {
	r.Header.Set("Origin", "http://"+r.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
}

// A node is killed for the demo's own page on this machine, and for nobody else.
func TestKill(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, target string
		change         func(*http.Request)
		status         int
	}{
		"own page":             {"POST", "/demo/kill?node=5354", own, 200},
		"IPv6":                 {"POST", "/demo/kill?node=5354", func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:5353", "[::1]:40000"; own(r) }, 200},
		"IPv4 in IPv6":         {"POST", "/demo/kill?node=5353", func(r *http.Request) { r.Host, r.RemoteAddr = "127.0.0.1:5353", "[::ffff:127.0.0.1]:40000"; own(r) }, 200},
		"no Sec-Fetch":         {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.Header.Del("Sec-Fetch-Site") }, 200},
		"GET":                  {"GET", "/demo/kill?node=5354", own, 405},
		"no origin":            {"POST", "/demo/kill?node=5354", nil, 403},
		"another port":         {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.Header.Set("Origin", "http://localhost:8000") }, 403},
		"the other node":       {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.Header.Set("Origin", "http://localhost:5354") }, 403},
		"another site":         {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.Header.Set("Origin", "https://evil.example") }, 403},
		"no site":              {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.Header.Set("Origin", "null") }, 403},
		"two origins":          {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.Header.Add("Origin", "https://evil.example") }, 403},
		"cross-site":           {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"same-site":            {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		"another name for it":  {"POST", "/demo/kill?node=5354", func(r *http.Request) { r.Host = "evil.example:5353"; own(r) }, 403},
		"name that looks like": {"POST", "/demo/kill?node=5354", func(r *http.Request) { r.Host = "localhost.evil.example:5353"; own(r) }, 403},
		"another machine":      {"POST", "/demo/kill?node=5354", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:40000"; own(r) }, 403},
		"another address":      {"POST", "/demo/kill?node=5354", func(r *http.Request) { r.Host, r.RemoteAddr = "192.0.2.1:5353", "192.0.2.1:40000"; own(r) }, 403},
		"a body":               {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.ContentLength = 1 }, 413},
		"a body of any length": {"POST", "/demo/kill?node=5354", func(r *http.Request) { own(r); r.ContentLength = -1 }, 413},
		"no node of the demo":  {"POST", "/demo/kill?node=22", own, 404},
		"no node":              {"POST", "/demo/kill", own, 404},
	} {
		k := &killer{}
		got := ask(k, test.method, test.target, test.change)
		if got.Code != test.status || (len(k.killed) > 0) != (test.status == 200) {
			t.Errorf("%s: %d %s; killed %v", name, got.Code, got.Body, k.killed)
		}
		if got.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: others may read the answer", name)
		}
	}
}

// What the page is told is complete before the node is killed.
func TestKillAnswersFirst(t *testing.T) {
	t.Parallel()
	unread := make(chan bool, 1)
	server := httptest.NewServer(Handlers([]string{"5353"}, answersFirst(func() { <-unread }))["/demo/kill"])
	defer server.Close()
	r, err := http.NewRequest("POST", server.URL+"/demo/kill?node=5353", nil)
	if err != nil {
		t.Fatal(err)
	}
	own(r)
	r.Header.Set("Origin", server.URL)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || string(text) != `{"killed":true}` {
		t.Errorf("%q, %v", text, err)
	}
	unread <- true
}

// answersFirst is a killer that needs its time.
type answersFirst func()

func (f answersFirst) Kill(string) (string, func()) { return "", f }

// A node that is not killed now is no fault of the page's.
func TestKillBusy(t *testing.T) {
	t.Parallel()
	got := ask(&killer{busy: "later"}, "POST", "/demo/kill?node=5354", own)
	if got.Code != 200 || got.Body.String() != `{"killed":false,"why":"later"}` {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// The page may have its own files and its nodes, under whatever name it was asked for.
func TestPolicy(t *testing.T) {
	t.Parallel()
	for host, connect := range map[string]string{
		"localhost:5353":       "connect-src 'self' ws://localhost:5353 ws://localhost:5354",
		"127.0.0.1:5353":       "connect-src 'self' ws://127.0.0.1:5353 ws://127.0.0.1:5354",
		"[::1]:5353":           "connect-src 'self' ws://[::1]:5353 ws://[::1]:5354",
		"x; script-src *":      "connect-src 'self'",
		"evil.example,*:5353":  "connect-src 'self'",
		"":                     "connect-src 'self'",
		"demo.example.com:443": "connect-src 'self' ws://demo.example.com:5353 ws://demo.example.com:5354",
	} {
		got := ask(&killer{}, "GET", "/", func(r *http.Request) { r.Host = host })
		policy := got.Header().Get("Content-Security-Policy")
		if got.Code != 200 || !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.HasSuffix(policy, "; "+connect) || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %d, policy %s", host, got.Code, policy)
		}
	}
}

// Every file that the page names is served, and has nothing inline.
func TestFiles(t *testing.T) {
	t.Parallel()
	html := ask(&killer{}, "GET", "/", nil).Body.String()
	if regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\son\w+=|\sstyle=|javascript:`).MatchString(html) {
		t.Errorf("something is inline in:\n%s", html)
	}
	for _, name := range regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(html, -1) {
		if got := ask(&killer{}, "GET", name[1], nil); got.Code != 200 || got.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d", name[1], got.Code)
		}
		if got := ask(&killer{}, "POST", name[1], nil); got.Code != 405 {
			t.Errorf("POST %s: %d", name[1], got.Code)
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasSuffix(name, ".go") && name != "index.html" && kinds[name] == "" {
			t.Errorf("%s is not served", name)
		}
	}
}
