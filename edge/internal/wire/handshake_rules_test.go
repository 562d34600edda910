package wire

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// without drops a line of an upgrade request, and adds others.
func without(line string, others ...string) string {
	return strings.Replace(upgradeRequest(others...), line+"\r\n", "", 1)
}

// instead puts another text into an upgrade request.
func instead(of, text string) string { return strings.Replace(upgradeRequest(), of, text, 1) }

// TestUpgradeSpellings: all that RFC 9110 and RFC 6455 leave to a client is an upgrade:
// a list may stand in several lines, with empty elements and white space of both kinds.
func TestUpgradeSpellings(t *testing.T) {
	const connection, upgrade = "Connection: Upgrade", "Upgrade: websocket"
	cases := map[string]string{
		"two lines":              without(connection, "Connection: keep-alive", connection),
		"two lines, other order": without(connection, connection, "Connection: keep-alive"),
		"three lines":            without(connection, "Connection: x", "connection: uPGRADE", "CONNECTION: y"),
		"tabs":                   without(connection, "Connection: keep-alive\t,\tUpgrade"),
		"tabs around":            without(connection, "Connection:\tUpgrade\t"),
		"no space":               without(connection, "Connection:keep-alive,Upgrade"),
		"empty elements":         without(connection, "Connection: ,, Upgrade, ,"),
		"an empty line of it":    without(connection, "Connection:", connection),
		"another protocol":       without(upgrade, "Upgrade: websocket, h2c"),
		"another before":         without(upgrade, "Upgrade: h2c , WebSocket"),
		"another in a line":      without(upgrade, "Upgrade: h2c", "Upgrade: websocket"),
		"another version":        without(upgrade, "Upgrade: websocket/9, websocket"),
		"empty protocols":        without(upgrade, "Upgrade: ,websocket,"),
		"no extension":           upgradeRequest("Sec-WebSocket-Extensions:"),
		"empty extensions":       upgradeRequest("Sec-WebSocket-Extensions: , permessage-deflate,, x-y ,"),
		"tabs in extensions":     upgradeRequest("Sec-WebSocket-Extensions:\t,\tpermessage-deflate\t;\tclient_max_window_bits\t,"),
		"extensions in lines":    upgradeRequest("Sec-WebSocket-Extensions: x-y", "Sec-WebSocket-Extensions:", "Sec-WebSocket-Extensions: permessage-deflate"),
		"empty subprotocols":     upgradeRequest("Sec-WebSocket-Protocol: , a,,b ,"),
		"no subprotocol":         upgradeRequest("Sec-WebSocket-Protocol:"),
		"a body of no bytes":     upgradeRequest("Content-Length: 0"),
		"an empty line before":   "\r\n" + upgradeRequest(),
		"empty lines before":     "\r\n\r\n\r\n" + upgradeRequest(),
		"a URL":                  instead("/chat?x=1", "http://example.org/chat?x=1"),
		"a URL without a path":   instead("/chat?x=1", "HTTPS://example.org"),
		"a URL and a query":      instead("/chat?x=1", "ws://example.org:80?x"),
		"a host and a port":      instead("example.org", "example.org:65535"),
		"a host and no port":     instead("example.org", "example.org:"),
		"IPv4":                   instead("example.org", "192.0.2.1:80"),
		"IPv6":                   instead("example.org", "[2001:db8::1]:80"),
		"IPv6 without a port":    instead("example.org", "[::1]"),
		"a host with escapes":    instead("example.org", "ex%41mple_x.org"),
		"other names":            upgradeRequest("X-Content-Length: abc", "Transfer-Encodings: chunked"),
		"16 KiB":                 upgradeRequest("Cookie: " + strings.Repeat("c", 16<<10-len(upgradeRequest("Cookie: ")))),
	}
	transports(t, func(t *testing.T, o Options) {
		o.Compression = true
		s := serve(t, o, newRecorder(t), nil)
		for name, request := range cases {
			t.Run(name, func(t *testing.T) {
				p := dialRaw(t, s)
				p.send(join([]byte(request), hello))
				r := p.wantUpgraded()
				p.want(text, "Hello")
				if got := r.Header.Get("Sec-WebSocket-Extensions") != ""; got != strings.Contains(request, "permessage-deflate") {
					t.Errorf("agreed to %q", r.Header)
				}
			})
		}
		p := dialRaw(t, s) // in pieces
		for _, piece := range []string{"\r", "\n\r", "\n", "G", "ET"} {
			p.send([]byte(piece))
		}
		p.send([]byte(upgradeRequest()[3:]))
		p.wantUpgraded()
	})
}

// TestTargets: what a handler learns of the target.
func TestTargets(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		got := make(chan string, 1)
		h.upgrade = func(r *Request) (Accept, error) {
			got <- r.Host() + " " + r.URI()
			return Accept{}, nil
		}
		s := serve(t, o, h, nil)
		for target, want := range map[string]string{
			"/": "example.org /", "/a//b?c=%20": "example.org /a//b?c=%20", "/://x": "example.org /://x", "/%41%c3%b6?100%": "example.org /%41%c3%b6?100%",
			"http://other.org/a?b": "other.org /a?b", "https://other.org:1": "other.org:1 /", "wss://[::1]?b": "[::1] /?b",
		} {
			p := dialRaw(t, s)
			p.send([]byte(instead("/chat?x=1", target)))
			p.wantUpgraded()
			if is := receive(t, got, "no call"); is != want {
				t.Errorf("%s: %q, want %q", target, is, want)
			}
		}
	})
}

// malformed are requests that are refused, each with its status.
var malformed = []struct {
	name, request string
	status        int
}{
	{"length abc", upgradeRequest("Content-Length: abc"), 400},
	{"length -1", upgradeRequest("Content-Length: -1"), 400},
	{"length +0", upgradeRequest("Content-Length: +0"), 400},
	{"length 0x0", upgradeRequest("Content-Length: 0x0"), 400},
	{"length 0, 0", upgradeRequest("Content-Length: 0, 0"), 400},
	{"no length", upgradeRequest("Content-Length:"), 400},
	{"two lengths", upgradeRequest("Content-Length: 0", "Content-Length: 0"), 400},
	{"two other lengths", upgradeRequest("Content-Length: 0", "content-length: 5"), 400},
	{"a body", upgradeRequest("Content-Length: 5"), 400},
	{"chunks", upgradeRequest("Transfer-Encoding: chunked"), 400},
	{"chunks and a length", upgradeRequest("Content-Length: 0", "Transfer-Encoding: chunked"), 400},
	{"chunks in disguise", upgradeRequest("transfer-encoding: \tidentity, chunked"), 400},
	{"host with a space", instead("example.org", "a b"), 400},
	{"host with a user", instead("example.org", "u@h"), 400},
	{"host with a user and password", instead("example.org", "u:p@h"), 400},
	{"host with a path", instead("example.org", "h/x"), 400},
	{"host with a query", instead("example.org", "h?x"), 400},
	{"hosts in a list", instead("example.org", "a, b"), 400},
	{"host with a bad port", instead("example.org", "h:8o"), 400},
	{"host with a port too large", instead("example.org", "h:65536"), 400},
	{"host that is a port", instead("example.org", ":80"), 400},
	{"host with brackets", instead("example.org", "[h]"), 400},
	{"host with half a bracket", instead("example.org", "[::1"), 400},
	{"host in IPv6 without brackets", instead("example.org", "2001:db8::1"), 400},
	{"host in quotes", instead("example.org", `"h"`), 400},
	{"host with a bad escape", instead("example.org", "h%4"), 400},
	{"host beyond ASCII", instead("example.org", "h\xc3\xb6"), 400},
	{"empty host", instead(" example.org", ""), 400},
	{"target chat", instead("/chat?x=1", "chat"), 400},
	{"target *", instead("/chat?x=1", "*"), 400},
	{"target with a fragment", instead("/chat?x=1", "/chat#x"), 400},
	{"target example.org:80", instead("/chat?x=1", "example.org:80"), 400},
	{"target of another scheme", instead("/chat?x=1", "ftp://example.org/"), 400},
	{"target without a host", instead("/chat?x=1", "http:///chat"), 400},
	{"target with a user", instead("/chat?x=1", "http://u@example.org/chat"), 400},
	{"target with a bad escape", instead("/chat?x=1", "/chat/%zz?x=1"), 400},
	{"target that ends in an escape", instead("/chat?x=1", "/chat%4"), 400},
	{"target of a URL with a bad escape", instead("/chat?x=1", "ws://example.org/%"), 400},
	{"target ?", instead("/chat?x=1", "?x"), 400},
	{"subprotocol with a slash", upgradeRequest("Sec-WebSocket-Protocol: a/b"), 400},
	{"subprotocol with a space", upgradeRequest("Sec-WebSocket-Protocol: a b"), 400},
	{"subprotocol in quotes", upgradeRequest(`Sec-WebSocket-Protocol: "a"`), 400},
	{"subprotocol with a parameter", upgradeRequest("Sec-WebSocket-Protocol: a;b"), 400},
	{"subprotocol beyond ASCII", upgradeRequest("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: \xc3\xb6"), 400},
	{"a comma in a parameter", upgradeRequest("Sec-WebSocket-Extensions: x; a=\"b,c\""), 400},
	{"two versions", upgradeRequest("Sec-WebSocket-Version: 13"), 400},
	{"versions in a list", instead("Version: 13", "Version: 13, 13"), 426},
	{"a key that is longer", instead(testKey, testKey+"x"), 400},
	{"upgrade in another word", without("Connection: Upgrade", "Connection: upgraded, no-upgrade, up grade"), 400},
	{"a bare LF before", "\n" + upgradeRequest(), 400},
	{"a bare CR before", "\r" + upgradeRequest(), 400},
	{"white space before", " " + upgradeRequest(), 400},
	{"HEAD", instead("GET ", "HEAD "), 405},
	{"PUT", instead("GET ", "PUT "), 405},
	{"OPTIONS", instead("GET ", "OPTIONS "), 405},
	{"a key and no upgrade", without("Upgrade: websocket"), 426},
	{"a key behind a proxy", without("Upgrade: websocket\r\nConnection: Upgrade", "Connection: close"), 426},
	{"a key and another upgrade", without("Upgrade: websocket", "Upgrade: h2c"), 426},
	{"17 KiB", upgradeRequest("Cookie: " + strings.Repeat("c", 17<<10)), 431},
}

// TestMalformed: a request that is none is refused with the status that the RFCs have
// for it, one line that says why, and the fields that belong to the status.
func TestMalformed(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Compression = true
		h := newRecorder(t)
		h.upgrade = func(r *Request) (Accept, error) { return Accept{Protocol: strings.Join(r.Protocols(), "")}, nil }
		s := serve(t, o, h, http.NotFoundHandler())
		for _, c := range malformed {
			t.Run(c.name, func(t *testing.T) {
				p := dialRaw(t, s)
				p.send([]byte(c.request))
				head := strings.HasPrefix(c.request, "HEAD ")
				r := p.refusal(head)
				if r.StatusCode != c.status {
					t.Fatalf("%v, want %d", r.Status, c.status)
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Fatal(err)
				}
				p.wantEnd()
				if line := string(body); !head && (len(line) < 5 || strings.ContainsAny(line, "\r\n")) || head && line != "" {
					t.Errorf("body %q", line)
				}
				if !r.Close || r.Header.Get("Date") == "" || r.Header.Get("Content-Type") == "" {
					t.Errorf("%v", r.Header)
				}
				if allow := r.Header.Get("Allow"); (allow == "GET") != (c.status == 405) {
					t.Errorf("Allow %q", allow)
				}
				if upgrade := r.Header.Get("Upgrade"); (upgrade == "websocket") != (c.status == 426) {
					t.Errorf("Upgrade %q", upgrade)
				}
				if c.status == 426 && r.Header.Get("Sec-WebSocket-Version") != "13" {
					t.Errorf("no version: %v", r.Header)
				}
			})
		}
	})
}

// refusal reads an answer that closes the connection, of which net/http hides the field.
func (p *peer) refusal(head bool) *http.Response {
	p.t.Helper()
	method := http.MethodGet
	if head {
		method = http.MethodHead
	}
	r, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("no response: %v", err)
	}
	return r
}

// TestPlainRefused: what is wrong with the target or the Host of a plain request is
// refused, too, as is what comes without a handler.
func TestPlainRefused(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		served := serve(t, o, newRecorder(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
		bare := serve(t, o, newRecorder(t), nil)
		for request, status := range map[string]int{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                         204,
			"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n":                 204,
			"GET / HTTP/1.0\r\n\r\n":                                    204,
			"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                     200, // net/http's own
			"GET http://x/ HTTP/1.1\r\nHost: y\r\n\r\n":                 204,
			"GET / HTTP/1.1\r\nHost: a b\r\n\r\n":                       400,
			"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n":                       400,
			"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n":              400,
			"GET / HTTP/1.1\r\n\r\n":                                    400,
			"GET * HTTP/1.1\r\nHost: x\r\n\r\n":                         400,
			"GET x HTTP/1.1\r\nHost: x\r\n\r\n":                         400,
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n": 400,
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n":  400,
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n":                                  501,
			"HEAD / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: " + testKey + "\r\n\r\n":                       204, // asks for no page that could fail
		} {
			p := dialRaw(t, served)
			p.send([]byte(request))
			if r := p.response(); r.StatusCode != status {
				t.Errorf("%q: %v, want %d", request, r.Status, status)
			}
		}
		p := dialRaw(t, bare)
		p.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		r := p.wantStatus(426)
		if !slices.Equal(r.Header["Upgrade"], []string{"websocket"}) {
			t.Errorf("%v", r.Header)
		}
		p = dialRaw(t, bare)
		p.send([]byte("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"))
		all, err := io.ReadAll(bufio.NewReader(p.r))
		if text := string(all); err != nil || !strings.HasPrefix(text, "HTTP/1.1 426 ") || !strings.HasSuffix(text, "\r\n\r\n") ||
			!strings.Contains(text, "\r\nConnection: close, Upgrade\r\n") {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// TestHandshakeTimeout: a peer that has begun a request is told that its time is over.
func TestHandshakeTimeout(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.HandshakeTimeout, o.StallLimit = time.Hour, unstalled
		s := serve(t, o, newRecorder(t), http.NotFoundHandler())
		for i, part := range []string{"GET / HTT", "\r\n", upgradeRequest()[:len(upgradeRequest())-2]} {
			p := dialRaw(t, s)
			before := s.Stats().BytesIn
			p.send([]byte(part))
			eventually(t, "it has come", func() bool { return s.Stats().BytesIn == before+uint64(len(part)) })
			s.pass(t, o.HandshakeTimeout+time.Minute) // once: the answer has its own time
			eventually(t, "its time is over", func() bool { return s.Stats().Drops[DropHandshakeTimeout] == uint64(i)+1 })
			p.wantStatus(http.StatusRequestTimeout)
			_ = p.Close()
		}
	})
}
