package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// FuzzParseHead: net/http reads every request head that we accept in the same way.
func FuzzParseHead(f *testing.F) {
	f.Add([]byte(upgradeRequest()))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c, WebSocket\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := headEnd(b)
		if n == 0 {
			return
		}
		h, ok := parseHead(b[:n])
		if !ok {
			return
		}
		if !plausible(b) && len(h.method) < 32 {
			t.Fatal("accepted, but not plausible")
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:n])))
		if err != nil {
			return // net/http knows more rules, and answers by them
		}
		if r.Method != string(h.method) {
			t.Fatalf("method %q, net/http %q", h.method, r.Method)
		}
		for name, values := range r.Header {
			var ours []string
			for v := range h.all(name) {
				ours = append(ours, string(v))
			}
			if strings.Join(ours, "|") != strings.Join(values, "|") && name != "Pragma" && name != "Cache-Control" {
				t.Fatalf("%s: %q, net/http %q", name, ours, values)
			}
		}
	})
}

func TestForwarded(t *testing.T) {
	trusted := func(a netip.Addr) bool { return netip.MustParsePrefix("10.0.0.0/8").Contains(a) }
	many := strings.Repeat("203.0.113.9, ", 40)
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"203.0.113.7"}, "203.0.113.7:0"},
		{[]string{"203.0.113.7:4711"}, "203.0.113.7:4711"},
		{[]string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{[]string{"[2001:db8::1]:4711"}, "[2001:db8::1]:4711"},
		{[]string{"[2001:db8::1]"}, "[2001:db8::1]:0"},
		{[]string{"::ffff:203.0.113.7"}, "203.0.113.7:0"},
		{[]string{"fe80::1%eth0"}, "[fe80::1]:0"},
		{[]string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7:0"}, // the first is a claim
		{[]string{"198.51.100.1, 203.0.113.7, 10.0.0.2"}, "203.0.113.7:0"},
		{[]string{"198.51.100.1", "203.0.113.7, 10.0.0.2", "10.0.0.3"}, "203.0.113.7:0"},
		{[]string{"10.0.0.1, 10.0.0.2"}, "10.0.0.1:0"},
		{[]string{"203.0.113.7, unknown"}, ""},
		{[]string{"198.51.100.1, unknown, 203.0.113.7"}, "203.0.113.7:0"},
		{[]string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2:0"},
		{[]string{many + "203.0.113.7, 10.0.0.1"}, "203.0.113.7:0"},
		{[]string{", ,"}, ""},
		{[]string{strings.Repeat("1", 100)}, ""},
	} {
		b := "GET / HTTP/1.1\r\n"
		for _, l := range c.lines {
			b += "X-Forwarded-For: " + l + "\r\n"
		}
		h, ok := parseHead([]byte(b + "\r\n"))
		if !ok {
			t.Fatal(c.lines)
		}
		got := ""
		if a, ok := h.forwarded(trusted); ok {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.lines, got, c.want)
		}
	}
}

func TestNegotiate(t *testing.T) {
	for _, c := range []struct {
		offer string
		ok    bool
		bits  int // -1: not agreed
	}{
		{"", true, -1},
		{", ,permessage-deflate", true, 0},
		{"permessage-deflate", true, 0},
		{"Permessage-Deflate", true, 0},
		{"x-other", true, -1},
		{"x-other; a=b; c=\"d\", permessage-deflate", true, 0},
		{"permessage-deflate; client_max_window_bits", true, 0},
		{"permessage-deflate; client_max_window_bits=9", true, 0},
		{"permessage-deflate; client_max_window_bits=\"15\"", true, 0},
		{"permessage-deflate; client_max_window_bits=7", true, -1},
		{"permessage-deflate; client_max_window_bits=16", true, -1},
		{"permessage-deflate; client_max_window_bits=09", true, -1},
		{"permessage-deflate; server_max_window_bits=9", true, 9},
		{"permessage-deflate; server_max_window_bits = 8", true, 8},
		{"permessage-deflate; server_max_window_bits", true, -1},
		{"permessage-deflate; server_max_window_bits=x", true, -1},
		{"permessage-deflate; server_no_context_takeover; client_no_context_takeover", true, 0},
		{"permessage-deflate; server_no_context_takeover=1", true, -1},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover", true, -1},
		{"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", true, -1},
		{"permessage-deflate; unknown", true, -1},
		{"permessage-deflate; unknown, permessage-deflate", true, 0},
		{"permessage-deflate; server_max_window_bits=20, permessage-deflate; server_max_window_bits=10, permessage-deflate", true, 10},
		{"permessage-deflate;", false, -1},
		{"permessage-deflate; =", false, -1},
		{"permessage-deflate; a=", false, -1},
		{"permessage-deflate; a=\"", false, -1},
		{"permessage-deflate; a=\"b c\"", false, -1},
		{"permessage-deflate,", true, 0},
		{"permessage-deflate x", false, -1},
	} {
		p, ok := negotiate([]byte(c.offer))
		bits := -1
		if p.agreed {
			bits = int(p.serverBits)
		}
		if ok != c.ok || bits != c.bits {
			t.Errorf("%q: %v %d, want %v %d", c.offer, ok, bits, c.ok, c.bits)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add([]byte("x-a; b=c, permessage-deflate; server_max_window_bits=\"10\"; client_max_window_bits"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := negotiate(b)
		if !ok && p.agreed {
			t.Fatal("agreed to a malformed offer")
		}
		if p.serverBits != 0 && (p.serverBits < 8 || p.serverBits > 15) {
			t.Fatalf("%d bits", p.serverBits)
		}
	})
}
