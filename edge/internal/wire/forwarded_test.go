package wire

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzForwarded: the client's address is the last one in the chain that is no trusted
// proxy's, and nothing that stands before one of a stranger, or before what is no
// address, is believed.
func FuzzForwarded(f *testing.F) {
	f.Add("198.51.100.1, 203.0.113.7", "10.0.0.2")
	f.Add("10.0.0.1, unknown", "10.0.0.2,10.0.0.3")
	f.Add("::ffff:10.0.0.1", "[2001:db8::1]:443, fe80::1%eth0")
	f.Add("", ",,")
	network := netip.MustParsePrefix("10.0.0.0/8")
	trusted := func(a netip.Addr) bool { return network.Contains(a) }
	f.Fuzz(func(t *testing.T, first, second string) {
		if strings.ContainsAny(first+second, "\r\n\x00") {
			return
		}
		h, ok := parseHead([]byte("GET / HTTP/1.1\r\nX-Forwarded-For: " + first + "\r\nx-forwarded-for: " + second + "\r\n\r\n"))
		if !ok {
			return
		}
		got, found := h.forwarded(trusted)
		var want netip.AddrPort
		valid, seen := false, 0
		hops := strings.FieldsFunc(first+","+second, func(r rune) bool { return r == ',' })
		for i := len(hops) - 1; i >= 0 && seen < 16; i-- {
			hop := strings.Trim(hops[i], " \t")
			if hop == "" {
				continue
			}
			a, ok := parseHop([]byte(hop))
			if !ok {
				break
			}
			want, valid = a, true
			if seen++; !trusted(a.Addr()) {
				break
			}
		}
		if found != valid || got != want {
			t.Errorf("%q and %q: %v %v, want %v %v", first, second, got, found, want, valid)
		}
	})
}
