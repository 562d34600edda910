package access

import (
	"strings"
	"testing"

	"hydrant/edge/internal/config"
)

// origins reads entries as the setting has them.
func origins(t testing.TB, list ...string) Origins {
	t.Helper()
	var all Origins
	for _, text := range list {
		var o config.Origin
		if err := o.Decode(text); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// TestOrigins: pages of the same host and of listed origins may connect, and
// programs, which send none.
func TestOrigins(t *testing.T) {
	const edge = "edge.example"
	listed := []string{"https://app.example", "http://dev.example:8080"}
	for _, test := range []struct {
		origins      []string
		origin, host string
		want         bool
	}{
		{nil, "", edge, true},
		{nil, "https://edge.example", edge, true},
		{nil, "https://EDGE.example", "edge.EXAMPLE", true},
		{nil, "https://edge.example:8443", "edge.example:8443", true},
		{nil, "https://edge.example", "edge.example:443", true},
		{nil, "https://edge.example:443", edge, true},
		{nil, "http://edge.example", "edge.example:80", true},
		{nil, "http://edge.example", "edge.example:443", false},
		{nil, "http://[::1]:8080", "[::1]:8080", true},
		{nil, "https://edge.example:8443", edge, false},
		{nil, "https://edge.example", "edge.example:8443", false},
		{nil, "https://evil.example", edge, false},
		{nil, "https://edge.example.evil.example", edge, false},
		{nil, "https://edge.example@evil.example", edge, false},
		{nil, "https://evil.example@edge.example", edge, false},
		{nil, "https://evil.example/edge.example", edge, false},
		{nil, "https://edge.example/", edge, false},
		{nil, "https://edge.example https://evil.example", edge, false},
		{nil, "null", edge, false},
		{nil, "null", "", false},
		{nil, "null", "null", false},
		{nil, "edge.example", edge, false},
		{nil, "https://", "", false},
		{nil, "://edge.example", edge, false},
		{nil, "file://edge.example", edge, false},
		{nil, "ftp://edge.example:5353", edge + ":5353", false},
		{nil, "chrome-extension://edge.example:5353", edge + ":5353", false},
		{nil, "ws://edge.example", edge, false},
		{nil, "https://edge.example, https://evil.example", edge, false},
		{nil, ", https://edge.example", edge, false},
		{nil, ", ", edge, false},
		{listed, "https://app.example", edge, true},
		{listed, "HTTPS://App.Example", edge, true},
		{listed, "https://app.example:443", edge, true},
		{listed, "http://app.example", edge, false},
		{listed, "http://app.example:443", edge, false},
		{listed, "https://app.example:444", edge, false},
		{listed, "https://app.example.", edge, false},
		{listed, "https://x.app.example", edge, false},
		{listed, "https://app.example.evil.example", edge, false},
		{listed, "http://dev.example:8080", edge, true},
		{listed, "http://dev.example", edge, false},
		{listed, "https://edge.example", edge, true},
		{[]string{"https://app.example:443"}, "https://app.example", edge, true},
		{[]string{"https://*.app.example"}, "https://a.app.example", edge, true},
		{[]string{"https://*.app.example"}, "https://a.b.app.example", edge, true},
		{[]string{"https://*.app.example"}, "https://app.example", edge, false},
		{[]string{"https://*.app.example"}, "https://evilapp.example", edge, false},
		{[]string{"https://*.app.example"}, "http://a.app.example", edge, false},
		{[]string{"https://*.app.example"}, "https://a.app.example:444", edge, false},
		{[]string{"https://*.app.example"}, "https://.app.example", edge, true},
		{[]string{"https://*.app.example"}, "https://a.app.example.evil.example", edge, false},
		{[]string{"https://bücher.example"}, "https://xn--bcher-kva.example", edge, true},
		{[]string{"https://BÜCHER.example"}, "https://xn--bcher-kva.example", edge, true},
		{[]string{"https://*.bücher.example"}, "https://a.xn--bcher-kva.example", edge, true},
		{[]string{"http://[0:0:0:0:0:0:0:1]:80"}, "http://[::1]", edge, true},
		{[]string{"capacitor://localhost"}, "capacitor://localhost", edge, true},
		{[]string{"capacitor://localhost"}, "http://localhost", edge, false},
		{[]string{"loopback"}, "http://localhost:3000", edge, true},
		{[]string{"loopback"}, "https://127.0.0.1:8443", edge, true},
		{[]string{"loopback"}, "http://127.9.9.9", edge, true},
		{[]string{"loopback"}, "http://[::1]:5173", edge, true},
		{[]string{"loopback"}, "http://app.localhost", edge, true},
		{[]string{"loopback"}, "http://localhost.evil.example", edge, false},
		{[]string{"loopback"}, "http://127.0.0.1.evil.example", edge, false},
		{[]string{"loopback"}, "http://notlocalhost", edge, false},
		{[]string{"loopback"}, "http://10.0.0.1", edge, false},
		{[]string{"loopback"}, "null", edge, false},
		{[]string{"*"}, "null", edge, true},
		{[]string{"*"}, "anything at all", edge, true},
	} {
		if got := origins(t, test.origins...).Allow(test.origin, Site{Host: test.host}); got != test.want {
			t.Errorf("%v: %q to %q: %v", test.origins, test.origin, test.host, got)
		}
	}
}

// TestOwnScheme: a page of the same host counts under another scheme only where none
// is known.
func TestOwnScheme(t *testing.T) {
	for _, test := range []struct {
		forwarded string
		origin    string
		want      bool
	}{
		{"", "https://edge.example", true},
		{"", "http://edge.example", true},
		{"https", "https://edge.example", true},
		{"https", "http://edge.example", false},
		{"http", "https://edge.example", false},
		{"HTTPS", "https://edge.example", true},
		{"wss", "https://edge.example", true},
		{"wss", "http://edge.example", false},
		{"ws", "http://edge.example", true},
		{"https, https", "http://edge.example", false},
		{"https,http", "https://edge.example", true},
		{"gopher", "https://edge.example", true},
		{"https", "https://edge.example:8443", false},
		{"https", "http://edge.example:443", false},
	} {
		if got := (Origins)(nil).Allow(test.origin, Site{"edge.example", ForwardedScheme(test.forwarded)}); got != test.want {
			t.Errorf("%q, %q: %v", test.forwarded, test.origin, got)
		}
	}
}

// FuzzOrigins: an origin that is not listed belongs to one host at most.
func FuzzOrigins(f *testing.F) {
	f.Add("https://edge.example", "edge.example", "https")
	f.Add("https://user@edge.example:80/path", "EDGE.example:80", "")
	f.Add("http://[::1]:80", "[::1]", "ws,ws")
	f.Fuzz(func(t *testing.T, origin, host, forwarded string) {
		scheme := ForwardedScheme(forwarded)
		if scheme != "" && scheme != "http" && scheme != "https" {
			t.Errorf("%q is the scheme %q", forwarded, scheme)
		}
		allowed := Origins(nil).Allow(origin, Site{host, scheme})
		if origin == "" || !allowed {
			return
		}
		if host == "" || Origins(nil).Allow(origin, Site{"x" + host, scheme}) {
			t.Errorf("%q is of %q and of others", origin, host)
		}
		if scheme != "" && !strings.EqualFold(origin[:len(scheme)], scheme) {
			t.Errorf("%q is of a host under %s", origin, scheme)
		}
	})
}
