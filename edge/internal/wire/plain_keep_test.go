package wire

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

// whole reads an answer with its body.
func (p *peer) whole() (status int, body string, closes bool) {
	p.t.Helper()
	r := p.response()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return r.StatusCode, string(text), r.Close
}

func numberedPages() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})
}

// TestKeepAlive: a client's connection serves its next request, and an upgrade that
// comes as one.
func TestKeepAlive(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		h.upgrade = func(r *Request) (Accept, error) { return Accept{Data: r.URI() + r.Header("X-Own") + r.Host()}, nil }
		s := serve(t, o, h, numberedPages())
		p := dialRaw(t, s)
		for i := range 3 {
			p.send(fmt.Appendf(nil, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d", i, i))
			if status, body, closes := p.whole(); status != 200 || body != fmt.Sprintf("/%d %d", i, i) || closes {
				t.Fatalf("%d %q %v", status, body, closes)
			}
		}
		p.send([]byte("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n" + upgradeRequest("X-Own: y")))
		p.send(hello)
		for _, want := range []string{"/a ", "/b "} {
			if _, body, _ := p.whole(); body != want {
				t.Errorf("%q, want %q", body, want)
			}
		}
		p.wantUpgraded()
		p.want(text, "Hello")
		c := h.conn()
		on(t, c, func() {
			if c.Data() != "/chat?x=1yexample.org" || c.RemoteAddr().String() != p.LocalAddr().String() {
				t.Errorf("%v of %v", c.Data(), c.RemoteAddr())
			}
		})
		if st := s.Stats(); st.Plain != 0 || st.Connections != 1 {
			t.Errorf("%+v", st)
		}
		p.send(bye)
		p.wantClose(1000)
		_ = p.Close()

		for request, status := range map[string]int{
			upgradeRequest("Content-Length: 5"): 400, upgradeRequest("Transfer-Encoding: chunked"): 400,
			upgradeRequest("Sec-WebSocket-Protocol: a/b"): 400, instead("GET ", "POST "): 405,
			"GET * HTTP/1.1\r\nHost: x\r\n\r\n": 400, "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n": 400, "GET /a HTTP/1.1\r\nHost: [h]\r\n\r\n": 400, "GET /a HTTP/1.1\r\nHost: h:8o\r\n\r\n": 400,
			"GET http://h/a?100% HTTP/1.1\r\nHost: x\r\n\r\n": 200, "GET /a HTTP/1.0\r\n\r\n": 200,
			without("Upgrade: websocket"): 426, without("Connection: Upgrade", "Connection: keep-alive", "Connection: Upgrade"): 101,
		} {
			p := dialRaw(t, s)
			p.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
			p.whole()
			p.send([]byte(request))
			if r := p.response(); r.StatusCode != status {
				t.Errorf("%q: %v, want %d", request, r.Status, status)
			}
			_ = p.Close()
		}
		eventually(t, "all are gone", func() bool {
			st := s.Stats()
			return st.Plain == 0 && st.Connections == 0
		})
	})
}

// TestNotKeptAlive: a connection ends where its client says so, where places are few, and
// where the server accepts no more.
func TestNotKeptAlive(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.MaxPlain = 3
		s := serve(t, o, newRecorder(t), numberedPages())
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.0\r\n\r\n",
		} {
			p := dialRaw(t, s)
			p.send([]byte(request))
			if status, _, _ := p.whole(); status != 200 {
				t.Errorf("status %d", status)
			}
			p.wantEnd()
			_ = p.Close()
		}
		eventually(t, "they are gone", func() bool { return s.Stats().Plain == 0 })
		get := []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		first, second := dialRaw(t, s), dialRaw(t, s)
		first.send(get)
		if _, _, closes := first.whole(); closes {
			t.Error("the first is not kept")
		}
		second.send(get)
		if _, _, closes := second.whole(); !closes {
			t.Error("the second is kept, of three places")
		}
		second.wantEnd()

		for request, want := range map[string]int{string(get): 200, upgradeRequest(): 503} {
			s := serve(t, o, newRecorder(t), numberedPages())
			p := dialRaw(t, s)
			p.send(get)
			p.whole()
			s.StopAccepting()
			p.send([]byte(request))
			if status, _, closes := p.whole(); status != want || !closes {
				t.Errorf("it accepts no more: %d, the connection ends: %v", status, closes)
			}
			p.wantEnd()
		}
	})
}
