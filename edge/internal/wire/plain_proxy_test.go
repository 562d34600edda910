package wire

import (
	"fmt"
	"net/http"
	"testing"
)

// whoPages answers with the address of the client, and whether it is known.
func whoPages() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr, " ", SharedAddress(r.Context()), " ", r.Header.Get("X-Forwarded-Proto"))
	})
}

// forwardedRequest is a request that a proxy sends for a client.
func forwardedRequest(client string) []byte {
	field := ""
	if client != "" {
		field = "X-Forwarded-For: " + client + "\r\nX-Forwarded-Proto: https\r\n"
	}
	return []byte("GET / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n")
}

// TestProxyKept: a proxy's connection serves the requests of many clients, each with the
// address of its own, and then a WebSocket of yet another.
func TestProxyKept(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies = loopback
		h := newRecorder(t)
		s := serve(t, o, h, whoPages())
		p := dialRaw(t, s)
		for _, test := range [][2]string{
			{"203.0.113.7", "203.0.113.7:0 false https"}, {"198.51.100.1", "198.51.100.1:0 false https"}, {"[2001:db8::1]:443", "[2001:db8::1]:443 false https"},
			{"203.0.113.9, 127.0.0.2", "203.0.113.9:0 false https"}, {"127.0.0.2", "127.0.0.2:0 true https"}, {"", p.LocalAddr().String() + " true "},
			{"203.0.113.9, none", p.LocalAddr().String() + " true https"}, {"203.0.113.7", "203.0.113.7:0 false https"},
		} {
			p.send(forwardedRequest(test[0]))
			if status, body, closes := p.whole(); status != 200 || body != test[1] || closes {
				t.Errorf("for %q: %d %q, ends: %v", test[0], status, body, closes)
			}
		}
		p.send([]byte(upgradeRequest("X-Forwarded-For: 198.51.100.2")))
		p.send(hello)
		p.wantUpgraded()
		p.want(text, "Hello")
		c := h.conn()
		on(t, c, func() {
			if c.RemoteAddr().String() != "198.51.100.2:0" || o.Transport == TransportEpoll && c.nc != nil {
				t.Errorf("%v, read by a goroutine: %v", c.RemoteAddr(), c.nc != nil)
			}
		})
		eventually(t, "one connection is accepted", func() bool { return s.Stats().Accepted == 1 })
	})
}

// TestProxyProtocolKept: so does one that says its client in a PROXY header, which is in
// front of the first request only, also of an upgrade.
func TestProxyProtocolKept(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies, o.ProxyProtocol = loopback, true
		h := newRecorder(t)
		s := serve(t, o, h, whoPages())
		for said, want := range map[string]string{"203.0.113.7:5000": "203.0.113.7:5000", "127.0.0.9:5000": "198.51.100.2:0"} {
			p := dialProxied(t, s, proxyHeader(t, 2, said, false), 5)
			for range 3 {
				p.send(forwardedRequest("198.51.100.2")) // which is believed from a proxy only
				if status, body, closes := p.whole(); status != 200 || body != want+" false https" || closes {
					t.Errorf("%s: %d %q, ends: %v", said, status, body, closes)
				}
			}
			p.send([]byte(upgradeRequest("X-Forwarded-For: 198.51.100.2")))
			p.wantUpgraded()
			c := h.conn()
			on(t, c, func() {
				if c.RemoteAddr().String() != want {
					t.Errorf("%s: a WebSocket of %v", said, c.RemoteAddr())
				}
			})
		}
	})
}

// TestProxyKeptCounts: a proxy's connection counts for the client whose request it serves,
// and while it waits for none.
func TestProxyKeptCounts(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies, o.MaxConnectionsPerAddress = loopback, 1
		entered, leave := make(chan struct{}), make(chan struct{})
		s := serve(t, o, newRecorder(t), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				entered <- struct{}{}
				<-leave
			}
		}))
		first, second := dialRaw(t, s), dialRaw(t, s)
		status := func(p *peer, client string) int {
			p.send(forwardedRequest(client))
			got, _, _ := p.whole()
			return got
		}
		for _, p := range []*peer{first, second, first} {
			if got := status(p, "203.0.113.7"); got != 200 {
				t.Errorf("one after the other: %d", got)
			}
		}
		first.send([]byte("PUT / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n"))
		receive(t, entered, "no request")
		if got := status(second, "203.0.113.7"); got != http.StatusTooManyRequests {
			t.Errorf("two at once: %d", got)
		}
		if got := status(second, "203.0.113.8"); got != 200 {
			t.Errorf("another client: %d", got)
		}
		if got := s.Stats().Drops[DropAddressFull]; got != 1 {
			t.Errorf("%d are counted", got)
		}
		close(leave)
		first.whole()
		if got := status(second, "203.0.113.7"); got != 200 {
			t.Errorf("afterwards: %d", got)
		}
		_, _ = first.Close(), second.Close()
		eventually(t, "all are gone", func() bool { return s.Stats().Connections == 0 })
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.addresses) != 0 {
			t.Errorf("counted are %v", s.addresses)
		}
	})
}
