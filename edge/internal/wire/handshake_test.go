package wire

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestUpgrade(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		type seen struct {
			uri, host, origin string
			protocols         []string
			remote            string
		}
		requests := make(chan seen, 1)
		h.upgrade = func(r *Request) (Accept, error) {
			requests <- seen{r.URI(), r.Host(), r.Header("origin"), r.Protocols(), r.RemoteAddr().Addr().String()}
			return Accept{Protocol: "b", Data: "data"}, nil
		}
		h.open = func(c *Conn) { c.Send([]byte("welcome")) }
		s := serve(t, o, h, nil)
		p := dialRaw(t, s)
		p.send([]byte(upgradeRequest("Origin: https://o.example", "sec-websocket-protocol: a, b", "Sec-WebSocket-Protocol: c",
			"Sec-WebSocket-Extensions: permessage-deflate")))
		r := p.wantUpgraded()
		if got := r.Header["Sec-Websocket-Protocol"]; !slices.Equal(got, []string{"b"}) {
			t.Errorf("protocol %q", got)
		}
		if r.Header["Sec-Websocket-Extensions"] != nil {
			t.Error("an extension was agreed without being offered by us")
		}
		p.want(text, "welcome")
		got := <-requests
		want := seen{"/chat?x=1", "example.org", "https://o.example", []string{"a", "b", "c"}, "127.0.0.1"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("request %v, want %v", got, want)
		}
		c := h.conn()
		on(t, c, func() {
			if c.Data() != "data" || !c.Open() {
				t.Errorf("%v %v", c.Data(), c.Open())
			}
			if a := c.RemoteAddr(); a.String() != p.LocalAddr().String() {
				t.Errorf("remote %v, want %v", a, p.LocalAddr())
			}
		})
	})
}

// TestUpgradePieces: an upgrade succeeds however the request is cut, and with frames
// in the same segment.
func TestUpgradePieces(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		all := join([]byte(upgradeRequest()), clientFrame(text, "early"), clientFrame(ping, "p"), bye)
		cuts := [][]int{{}, {1}, {len(all) - 9}, {100}, {len(upgradeRequest()) - 1}, {len(upgradeRequest()) - 2, len(upgradeRequest()) + 3}}
		byByte := make([]int, len(all)-1)
		for i := range byByte {
			byByte[i] = i + 1
		}
		for _, cut := range append(cuts, byByte) {
			p := dialRaw(t, s)
			at := 0
			for _, n := range append(cut, len(all)) {
				p.send(all[at:n])
				at = n
			}
			p.wantUpgraded()
			p.want(text, "early")
			p.want(pong, "p")
			p.wantClose(1000)
			h.wantClosed(DropPeer, 1000)
		}
	})
}

func TestUpgradeRefused(t *testing.T) {
	without := func(line string) string { return strings.Replace(upgradeRequest(), line+"\r\n", "", 1) }
	replace := func(old, new string) string { return strings.Replace(upgradeRequest(), old, new, 1) }
	cases := []struct {
		name, request string
		status        int
	}{
		{"no key", without("Sec-WebSocket-Key: " + testKey), 400},
		{"short key", replace(testKey, "abc"), 400},
		{"key of 24 characters that is no base64", replace(testKey, "????????????????????????"), 400},
		{"key of 18 bytes", replace(testKey, base64.StdEncoding.EncodeToString(make([]byte, 18))), 400},
		{"two keys", upgradeRequest("Sec-WebSocket-Key: " + testKey), 400},
		{"no version", without("Sec-WebSocket-Version: 13"), 400},
		{"version 8", replace("Version: 13", "Version: 8"), 426},
		{"version 25", replace("Version: 13", "Version: 25"), 426},
		{"no connection", without("Connection: Upgrade"), 400},
		{"other connection", replace("Connection: Upgrade", "Connection: close"), 400},
		{"no host", without("Host: example.org"), 400},
		{"two hosts", upgradeRequest("Host: example.com"), 400},
		{"POST", replace("GET ", "POST "), 405},
		{"HTTP/1.0", replace("HTTP/1.1", "HTTP/1.0"), 505},
		{"HTTP/2.0", replace("HTTP/1.1", "HTTP/2.0"), 505},
		{"bare LF in a field", upgradeRequest("X: a\nY: b"), 400},
		{"bare LFs at the end", strings.ReplaceAll(upgradeRequest(), "\r\n", "\n") + "\r\n\r\n", 400},
		{"CR in a field", upgradeRequest("X: a\rb"), 400},
		{"NUL in a field", upgradeRequest("X: a\x00b"), 400},
		{"folded line", upgradeRequest("X: a", " b"), 400},
		{"space before the colon", upgradeRequest("X : a"), 400},
		{"no colon", upgradeRequest("nonsense"), 400},
		{"empty name", upgradeRequest(": x"), 400},
		{"space in the target", replace("/chat?x=1", "/chat x"), 400},
		{"no target", replace("GET /chat?x=1 ", "GET "), 400},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		{"another protocol", "SSH-2.0-OpenSSH_9.6\r\n", 400},
		{"an endless method", strings.Repeat("A", 100), 400},
		{"bad extension syntax", upgradeRequest("Sec-WebSocket-Extensions: permessage-deflate; ="), 400},
	}
	transports(t, func(t *testing.T, o Options) {
		o.Compression = true
		s := serve(t, o, newRecorder(t), nil)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				p := dialRaw(t, s)
				p.send([]byte(c.request))
				r := p.wantStatus(c.status)
				if c.status == 426 && r.Header.Get("Sec-WebSocket-Version") != "13" { // RFC 6455 §4.4
					t.Errorf("no version offered: %v", r.Header)
				}
			})
		}
		s.wantDrop(t, DropHandshakeInvalid, uint64(len(cases)))
	})
}

func TestUpgradeRejected(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		h.upgrade = func(r *Request) (Accept, error) {
			if r.Header("X-Fail") != "" {
				return Accept{}, io.ErrUnexpectedEOF
			}
			return Accept{}, &Rejection{Status: 403, Reason: "origin not allowed", Header: http.Header{"X-Why": {"origin"}}}
		}
		s := serve(t, o, h, nil)
		p := dialRaw(t, s)
		p.send([]byte(upgradeRequest()))
		r := p.response()
		body, _ := io.ReadAll(r.Body)
		if r.StatusCode != 403 || string(body) != "origin not allowed" || r.Header.Get("X-Why") != "origin" {
			t.Errorf("%v %q %v", r.Status, body, r.Header)
		}
		p.wantEnd()
		s.wantDrop(t, DropHandshakeRejected, 1)

		// An error of another kind says nothing to the client.
		p = dialRaw(t, s)
		p.send([]byte(upgradeRequest("X-Fail: 1")))
		r = p.response()
		body, _ = io.ReadAll(r.Body)
		if r.StatusCode != 500 || strings.Contains(string(body), "EOF") {
			t.Errorf("%v %q", r.Status, body)
		}
		s.wantDrop(t, DropHandshakeRejected, 2)
	})
}

// TestHandshakeTooBig: a request head over its bound is refused, wherever the bytes
// are.
func TestHandshakeTooBig(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		s := serve(t, o, newRecorder(t), nil)
		for i, request := range []string{
			"GET /" + strings.Repeat("x", 20<<10),
			"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 20<<10),
			"GET / HTTP/1.1\r\n" + strings.Repeat("X: x\r\n", 4<<10),
			upgradeRequest("X: " + strings.Repeat("x", 16<<10)),
		} {
			p := dialRaw(t, s)
			p.send([]byte(request))
			p.wantStatus(http.StatusRequestHeaderFieldsTooLarge)
			s.wantDrop(t, DropHandshakeTooBig, uint64(i)+1)
		}
		// A byte less is fine.
		size := 16<<10 - len(upgradeRequest("X: "))
		dial(t, s, "X: "+strings.Repeat("x", size))
	})
}

// TestSlowHandshakes: neither a silent peer nor one that sends a byte now and then
// keeps its socket, and others are served meanwhile.
func TestSlowHandshakes(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.HandshakeTimeout, o.StallLimit = time.Hour, unstalled
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		const slow = 60
		var peers []net.Conn
		for i := range slow {
			nc, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			peers = append(peers, nc)
			if i%2 == 0 {
				go func() {
					drip := time.NewTicker(30 * time.Millisecond)
					defer drip.Stop()
					next := []byte("GET / HTTP/1.1\r\nX: ")
					for {
						if _, err := nc.Write(next[:1]); err != nil {
							return
						}
						if next = next[1:]; len(next) == 0 {
							next = []byte("x") // the field has no end
						}
						<-drip.C
					}
				}()
			}
		}
		p := dial(t, s)
		p.send(join(hello, bye))
		p.want(text, "Hello")
		p.wantClose(1000)
		_ = p.Close()
		eventually(t, "all are accepted", func() bool { return s.Stats().Accepted == slow+1 })
		s.pass(t, o.HandshakeTimeout+time.Minute)
		for _, nc := range peers {
			_ = nc.SetReadDeadline(time.Now().Add(patience))
			answer, err := io.ReadAll(nc)
			if err != nil && strings.Contains(err.Error(), "timeout") {
				t.Fatal("a slow handshake goes on")
			}
			if text := string(answer); o.TLS == nil && (err != nil || !strings.HasPrefix(text, "HTTP/1.1 408 ") || !strings.Contains(text, "\r\nConnection: close\r\n")) {
				t.Errorf("it ends with %q, %v", text, err)
			}
			_ = nc.Close()
		}
		eventually(t, "all gone", func() bool { return s.Stats().Connections == 0 })
		// A loop publishes its counts at the end of an iteration.
		eventually(t, "all timeouts are counted", func() bool {
			st := s.Stats()
			return st.Drops[DropHandshakeTimeout]+st.Drops[DropTLS] == slow
		})
	})
}

func TestHandshakeGone(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		s := serve(t, o, newRecorder(t), nil)
		p := dialRaw(t, s)
		p.send([]byte("GET / HTTP/1.1\r\n"))
		_ = p.Close()
		s.wantDrop(t, DropHandshakeGone, 1)
	})
}

func TestPlain(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		plain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL.Path, r.RemoteAddr, body)
		})
		s := serve(t, o, newRecorder(t), plain)
		for _, pieces := range [][]string{
			{"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"},
			{"POST /health HTTP/1.1\r\nHost: x\r\nConte", "nt-Length: 4\r\n\r\nb", "ody"},
		} {
			p := dialRaw(t, s)
			for _, b := range pieces {
				p.send([]byte(b))
			}
			r := p.response()
			body, err := io.ReadAll(r.Body)
			if want := "POST /health " + p.LocalAddr().String() + " body"; err != nil || r.StatusCode != 200 || string(body) != want {
				t.Fatalf("%v %q %v, want %q", r.Status, body, err, want)
			}
			_ = p.Close()
		}
		eventually(t, "plain connections gone", func() bool {
			st := s.Stats()
			return st.Plain == 0 && st.Connections == 0
		})
	})
}

func TestPlainWithoutHandler(t *testing.T) {
	s := serve(t, Options{}, newRecorder(t), nil)
	p := dialRaw(t, s)
	p.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	p.wantStatus(http.StatusUpgradeRequired)
}

func TestPlainFull(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.MaxPlain = 1
		entered, leave := make(chan struct{}), make(chan struct{})
		s := serve(t, o, newRecorder(t), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- struct{}{}
			<-leave
		}))
		get := []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		first := dialRaw(t, s)
		first.send(get)
		receive(t, entered, "the handler is not called")
		second := dialRaw(t, s)
		second.send(get)
		second.wantStatus(http.StatusServiceUnavailable)
		s.wantDrop(t, DropPlainFull, 1)
		close(leave)
		if r := first.response(); r.StatusCode != 200 {
			t.Errorf("first: %v", r.Status)
		}
	})
}

// TestProbe: a health check is answered however busy plain HTTP is.
func TestProbe(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.MaxPlain = 1
		o.Probe = func(path string) (int, []byte, bool) {
			return http.StatusServiceUnavailable, []byte("{}"), path == "/readyz"
		}
		h := newRecorder(t)
		s := serve(t, o, h, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.ReadAll(r.Body)
		}))
		slow := dialRaw(t, s)
		slow.send([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nb"))
		eventually(t, "the request is there", func() bool { return s.Stats().Plain == 1 })
		for _, c := range []struct{ request, body string }{
			{"GET /readyz HTTP/1.1", "{}"}, {"GET /readyz?x=1 HTTP/1.0", "{}"}, {"HEAD /readyz HTTP/1.1", ""},
		} {
			p := dialRaw(t, s)
			p.send([]byte(c.request + "\r\nHost: x\r\n\r\n"))
			answer, err := io.ReadAll(p.r)
			head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
			if err != nil || !strings.HasPrefix(head, "HTTP/1.1 503 ") || !strings.Contains(head, "\r\nContent-Type: application/json\r\nContent-Length: 2") || body != c.body {
				t.Errorf("%s: %q, %v", c.request, answer, err)
			}
		}
		if n := s.Stats().Drops[DropPlainFull]; n != 0 {
			t.Errorf("%d were refused", n)
		}
		slow.send([]byte("ody"))
		slow.wantStatus(http.StatusTeapot)
	})
}

// TestProbeIsARequest: what is wrong with a request is wrong with a health check.
func TestProbeIsARequest(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Probe = func(path string) (int, []byte, bool) { return http.StatusOK, []byte("{}"), path == "/healthz" }
		s := serve(t, o, newRecorder(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			w.WriteHeader(http.StatusTeapot)
		}))
		for request, status := range map[string]int{
			"GET /healthz HTTP/1.1\r\nHost: x":                                        200,
			"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0":                   200,
			"GET http://x/healthz HTTP/1.1\r\nHost: y":                                200,
			"GET /healthz HTTP/1.0":                                                   200,
			"GET /healthz HTTP/1.1":                                                   400,
			"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x":                             400,
			"GET /healthz HTTP/1.1\r\nHost: a b":                                      400,
			"HEAD /healthz HTTP/1.1\r\nHost: u@h":                                     400,
			"GET /healthz#x HTTP/1.1\r\nHost: x":                                      400,
			"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: abc":                 400,
			"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1":                  400,
			"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2":                400,
			"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip":             501,
			"GET /healthz HTTP/2.0\r\nHost: x":                                        505,
			"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0": 418,
		} {
			p := dialRaw(t, s)
			p.send([]byte(request + "\r\n\r\n"))
			if r := p.response(); r.StatusCode != status {
				t.Errorf("%q: %v, want %d", request, r.Status, status)
			}
		}
	})
}

// TestPlainNeverReads: a client that does not read the answer to its request does not
// keep its place for ever.
func TestPlainNeverReads(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.WriteTimeout = 200 * time.Millisecond
		ended := make(chan error, 1)
		s := serve(t, o, newRecorder(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for b := make([]byte, 1<<20); err == nil; {
				_, err = w.Write(b)
			}
			ended <- err
		}))
		p := dialRaw(t, s)
		p.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		receive(t, ended, "the handler still writes")
		eventually(t, "the connection is closed", func() bool { return s.Stats().Plain == 0 })
	})
}

// TestShutdownWithPlain: a request that its client never completes does not keep the
// server from shutting down.
func TestShutdownWithPlain(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.WriteTimeout, o.CloseTimeout = time.Hour, 50*time.Millisecond
		entered := make(chan struct{})
		s := serve(t, o, newRecorder(t), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			_, _ = io.ReadAll(r.Body)
		}))
		p := dialRaw(t, s)
		p.send([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbod"))
		receive(t, entered, "the handler is not called")
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		if err := receive(t, ended, "the server does not end"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
	})
}
