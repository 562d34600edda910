// Package page is the page of `hydrant demo`: two clients side by side, what goes over
// their lines, and buttons that drop a line or kill a node. It is handed to the demo's
// nodes ([Handlers]); a node that is served has no page.
//
// The page takes the client from /hydrant.js, as any other would. Lines are dropped in
// the browser, where they end; a node is killed by the demo, which is asked over
//
//	POST /demo/kill?node=5354    {"killed":true}, or {"killed":false,"why":"…"}
//
// # Who may ask
//
// Whoever can make a browser send that could kill the nodes of a developer who looks at
// another page meanwhile. So the answer is 403 unless the peer is this machine, the
// Host is a name of it (a name that a stranger's DNS points here is none), the Origin is
// that very Host, and the browser, where it says so, calls it the same origin. There is
// no CORS on any of the paths. The demo does the rest: it kills one of its nodes at a
// time, and none before the other is back.
//
// # What the page may do
//
// Its policy (CSP) lets it have its own script, style and icon, and connections to the
// demo's nodes. Nothing is inline, and nothing comes from elsewhere.
package page

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed index.html page.css icon.svg *.js
var files embed.FS

// Killer is what the demo does for the page.
type Killer interface {
	// Kill says why the node on a port is not killed now; "": it will be, once done is
	// called. The node may be the one that asks, which has to answer first.
	Kill(port string) (why string, done func())
}

// kinds are the files that are served as they are.
var kinds = map[string]string{
	"page.css": "text/css; charset=utf-8",
	"page.js":  "text/javascript; charset=utf-8",
	"line.js":  "text/javascript; charset=utf-8",
	"tally.js": "text/javascript; charset=utf-8",
	"icon.svg": "image/svg+xml",
}

// Handlers are those of the page by path, on each node of a demo. ports are those of all
// nodes.
func Handlers(ports []string, killer Killer) map[string]http.Handler {
	all := map[string]http.Handler{
		"/":          reading(&index{template.Must(template.ParseFS(files, "index.html")), ports}),
		"/demo/kill": &kill{ports, killer},
	}
	for name, kind := range kinds {
		body, err := files.ReadFile(name)
		if err != nil {
			panic("page: " + err.Error()) // it is embedded
		}
		all["/demo/"+name] = reading(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		}))
	}
	return all
}

// reading lets requests through that only read.
func reading(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		guard(w.Header())
		h.ServeHTTP(w, r)
	})
}

// guard sets what every answer has.
func guard(h http.Header) {
	h.Set("Cache-Control", "no-store") // the next demo may be another version
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// index is the page itself.
type index struct {
	text  *template.Template
	ports []string
}

// ServeHTTP implements [http.Handler].
func (i *index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy(r.Host, i.ports))
	h.Set("Content-Type", "text/html; charset=utf-8")
	_ = i.text.Execute(w, map[string]any{"Ports": strings.Join(i.ports, " ")}) // fails when the peer is gone
}

// policy is what the page may load and reach (CSP Level 3). The nodes have the name that
// the page was asked for under. 'self' does not cover WebSockets in all browsers.
func policy(host string, ports []string) string {
	p := []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"}
	connect := "connect-src 'self'"
	if name := hostname(host); name != "" && !strings.ContainsAny(name, " ;,'\"*") {
		for _, port := range ports {
			connect += " ws://" + bracketed(name) + ":" + port
		}
	}
	return strings.Join(append(p, connect), "; ")
}

// hostname is a Host without its port, and without the brackets of an IPv6 address.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// bracketed is a name as it stands in a URL.
func bracketed(name string) string {
	host := net.JoinHostPort(name, "")
	return host[:len(host)-1]
}

// kill is the page's one request that changes something.
type kill struct {
	ports  []string
	killer Killer
}

// killed is its answer. Not to kill a node now is no error, which browsers would log.
type killed struct {
	Killed bool   `json:"killed"`
	Why    string `json:"why,omitempty"`
}

// ServeHTTP implements [http.Handler].
func (k *kill) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guard(w.Header())
	port := r.URL.Query().Get("node")
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST", http.StatusMethodNotAllowed)
		return
	case !ownPage(r):
		http.Error(w, "only the demo's own page on this machine may", http.StatusForbidden)
		return
	case r.ContentLength != 0:
		http.Error(w, "there is nothing to say in a body", http.StatusRequestEntityTooLarge)
		return
	case !slices.Contains(k.ports, port):
		http.Error(w, "no such node", http.StatusNotFound)
		return
	}
	why, done := k.killer.Kill(port)
	answer, err := json.Marshal(killed{why == "", why})
	if err != nil {
		panic("page: " + err.Error()) // a bool and a text
	}
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Content-Length", strconv.Itoa(len(answer))) // complete, once it is flushed
	h.Set("Content-Type", "application/json")
	if _, err := w.Write(answer); err == nil {
		_ = http.NewResponseController(w).Flush() // the kernel sends what it has, whatever becomes of the process
	}
	if done != nil {
		done()
	}
}

// ownPage reports whether the page of this demo asks, in a browser on this machine.
func ownPage(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	if name := hostname(r.Host); !strings.EqualFold(name, "localhost") {
		if address, err := netip.ParseAddr(name); err != nil || !address.IsLoopback() {
			return false
		}
	}
	origins := r.Header.Values("Origin")
	if len(origins) != 1 || !strings.EqualFold(origins[0], "http://"+r.Host) {
		return false
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin"
}
