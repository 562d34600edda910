package wire

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func proxyHeader(t testing.TB, version byte, src string, local bool) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version,
		net.TCPAddrFromAddrPort(netip.MustParseAddrPort(src)), &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443})
	if netip.MustParseAddrPort(src).Addr().Is6() {
		h = proxyproto.HeaderProxyFromAddrs(version,
			net.TCPAddrFromAddrPort(netip.MustParseAddrPort(src)), &net.TCPAddr{IP: net.ParseIP("2001:db8::2"), Port: 443})
	}
	if local {
		h.Command = proxyproto.LOCAL
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dialProxied connects as a proxy does that speaks the PROXY protocol, in
// front of TLS.
func dialProxied(t testing.TB, s *testServer, header []byte, cut int) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	for _, b := range [][]byte{header[:cut], header[cut:]} {
		if _, err := nc.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	return wrap(t, s, nc)
}

func TestProxyProtocol(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies, o.ProxyProtocol = loopback, true
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		for _, c := range []struct {
			header []byte
			fields []string
			want   string
		}{
			{proxyHeader(t, 1, "203.0.113.7:4711", false), nil, "203.0.113.7:4711"},
			{proxyHeader(t, 1, "[2001:db8::1]:4711", false), nil, "[2001:db8::1]:4711"},
			{proxyHeader(t, 2, "203.0.113.7:4711", false), nil, "203.0.113.7:4711"},
			{proxyHeader(t, 2, "[2001:db8::1]:4711", false), nil, "[2001:db8::1]:4711"},
			// The client behind the proxy is not trusted, whatever it says.
			{proxyHeader(t, 2, "203.0.113.7:4711", false), []string{"X-Forwarded-For: 198.51.100.1"}, "203.0.113.7:4711"},
			// A second trusted proxy behind the first is.
			{proxyHeader(t, 2, "127.0.0.9:4711", false), []string{"X-Forwarded-For: 198.51.100.1"}, "198.51.100.1:0"},
		} {
			for _, cut := range []int{0, 3, len(c.header) - 1} {
				p := dialProxied(t, s, c.header, cut)
				p.send([]byte(upgradeRequest(c.fields...)))
				p.wantUpgraded()
				conn := h.conn()
				on(t, conn, func() {
					if got := conn.RemoteAddr().String(); got != c.want {
						t.Errorf("%q: address %s, want %s", c.header, got, c.want)
					}
				})
			}
		}
		// The proxy for itself: its own address stands.
		for _, header := range [][]byte{proxyHeader(t, 2, "203.0.113.7:4711", true), []byte("PROXY UNKNOWN\r\n")} {
			p := dialProxied(t, s, header, 0)
			p.send([]byte(upgradeRequest()))
			p.wantUpgraded()
			conn := h.conn()
			on(t, conn, func() {
				if got := conn.RemoteAddr().String(); got != p.LocalAddr().String() {
					t.Errorf("%q: address %s", header, got)
				}
			})
		}
	})
}

func TestProxyProtocolInvalid(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies, o.ProxyProtocol = loopback, true
		s := serve(t, o, newRecorder(t), nil)
		v2 := proxyHeader(t, 2, "203.0.113.7:4711", false)
		long := bytes.Clone(v2)
		long[14] = 0xff
		for i, header := range [][]byte{
			[]byte(upgradeRequest()),
			[]byte("PROXY TCP4 203.0.113.7\r\n"),
			[]byte("PROXY TCP4 nonsense 192.0.2.1 1 2\r\n"),
			append([]byte("PROXY TCP4 "), bytes.Repeat([]byte("x"), 200)...),
			append(bytes.Clone(v2[:12]), 0x31, 0x11, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
			long,
		} {
			nc, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := nc.Write(header); err != nil {
				t.Fatal(err)
			}
			s.wantDrop(t, DropProxyHeader, uint64(i)+1)
		}
	})
}

// TestUntrustedProxy: a peer that is not trusted cannot claim another address.
func TestUntrustedProxy(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		o.ProxyProtocol = true
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		p := dial(t, s, "X-Forwarded-For: 203.0.113.7")
		conn := h.conn()
		on(t, conn, func() {
			if got := conn.RemoteAddr().String(); got != p.LocalAddr().String() {
				t.Errorf("address %s", got)
			}
		})
		if o.TLS == nil {
			p = dialRaw(t, s)
			p.send(proxyHeader(t, 1, "203.0.113.7:4711", false))
			p.send([]byte(upgradeRequest()))
			p.wantStatus(http.StatusBadRequest)
		}
	})
}

func TestForwardedFor(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies = loopback
		h := newRecorder(t)
		plain := make(chan string, 1)
		s := serve(t, o, h, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { plain <- r.RemoteAddr }))
		dial(t, s, "X-Forwarded-For: 198.51.100.1, 203.0.113.7")
		conn := h.conn()
		on(t, conn, func() {
			if got := conn.RemoteAddr().String(); got != "203.0.113.7:0" {
				t.Errorf("address %s", got)
			}
		})
		p := dialRaw(t, s)
		p.send([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.8\r\n\r\n"))
		if got := receive(t, plain, "no request"); got != "203.0.113.8:0" {
			t.Errorf("plain: address %s", got)
		}
	})
}

// TestProxyHeaderSilent: a peer that does not complete its header is dropped in time.
func TestProxyHeaderSilent(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies, o.ProxyProtocol = loopback, true
		o.HandshakeTimeout = 50 * time.Millisecond
		s := serve(t, o, newRecorder(t), nil)
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_, _ = nc.Write([]byte("PROXY TCP4 ")) // its time may be over already
		eventually(t, "dropped", func() bool {
			st := s.Stats()
			return st.Drops[DropHandshakeTimeout]+st.Drops[DropProxyHeader] == 1 && st.Connections == 0
		})
	})
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\nGET"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(proxyHeader(f, 2, "203.0.113.7:4711", false))
	f.Add(proxyHeader(f, 2, "[2001:db8::1]:4711", true))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := proxyHeaderLen(b)
		if err != nil {
			return
		}
		if n > len(b) || n > proxyMax {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if n == 0 {
			if len(b) >= proxyMax {
				t.Fatal("not bounded")
			}
			return
		}
		if client, local, err := parseProxy(b[:n]); err == nil && !local && !client.IsValid() {
			t.Fatal("accepted without an address")
		}
	})
}

// TestProxiedAddressFull: the PROXY header tells the address, so it counts from
// there on, before a request is complete.
func TestProxiedAddressFull(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies, o.ProxyProtocol = loopback, true
		o.MaxConnectionsPerAddress = 1
		s := serve(t, o, newRecorder(t), nil)
		header := proxyHeader(t, 2, "203.0.113.1:4711", false)
		first := dialProxied(t, s, header, len(header))
		first.send([]byte("GET / HT"))
		eventually(t, "the first is counted", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.addresses) == 1
		})
		dialProxied(t, s, header, len(header)).wantGone()
		s.wantDrop(t, DropAddressFull, 1)
		header = proxyHeader(t, 2, "203.0.113.2:4711", false)
		p := dialProxied(t, s, header, len(header))
		p.send([]byte(upgradeRequest()))
		p.wantUpgraded()
	})
}

// TestForwardedProto: the scheme is what a trusted proxy says, over whatever way it
// says whom it speaks for, and nothing that anybody else says.
func TestForwardedProto(t *testing.T) {
	for _, test := range []struct {
		name     string
		trusted  []netip.Prefix
		protocol bool // PROXY
		fields   []string
		want     string
	}{
		{"a trusted proxy", loopback, false, []string{"X-Forwarded-Proto: https"}, "https"},
		{"with the client's address", loopback, false, []string{"X-Forwarded-For: 203.0.113.7", "x-forwarded-proto: https"}, "https"},
		{"several", loopback, false, []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, "https,http"},
		{"none", loopback, false, nil, ""},
		{"with a PROXY line", loopback, true, []string{"X-Forwarded-Proto: wss"}, "wss"},
		{"a stranger", nil, false, []string{"X-Forwarded-Proto: https"}, ""},
		{"not this one", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, false, []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			transports(t, func(t *testing.T, o Options) {
				o.TrustedProxies, o.ProxyProtocol = test.trusted, test.protocol
				h := newRecorder(t)
				upgraded, plain := make(chan string, 1), make(chan string, 1)
				h.upgrade = func(q *Request) (Accept, error) {
					upgraded <- q.ForwardedProto()
					return Accept{}, nil
				}
				s := serve(t, o, h, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					plain <- strings.Join(r.Header.Values("X-Forwarded-Proto"), ",")
				}))
				connect := func() *peer {
					if test.protocol {
						return dialProxied(t, s, proxyHeader(t, 2, "203.0.113.7:4711", false), 0)
					}
					return dialRaw(t, s)
				}
				connect().send([]byte(upgradeRequest(test.fields...)))
				if got := receive(t, upgraded, "no request"); got != test.want {
					t.Errorf("%q", got)
				}
				connect().send([]byte("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(test.fields, "X-End: 1"), "\r\n") + "\r\n\r\n"))
				if got := receive(t, plain, "no request"); got != test.want {
					t.Errorf("plain: %q", got)
				}
			})
		})
	}
}
