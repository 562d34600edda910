package access

import "testing"

// TestOrigins: pages of the same host and of listed origins may connect, and
// programs, which send none.
func TestOrigins(t *testing.T) {
	listed := Origins{"https://app.example", "http://dev.example:8080"}
	for _, test := range []struct {
		origins      Origins
		origin, host string
		want         bool
	}{
		{nil, "", "edge.example", true},
		{nil, "https://edge.example", "edge.example", true},
		{nil, "https://EDGE.example", "edge.EXAMPLE", true},
		{nil, "https://edge.example:8443", "edge.example:8443", true},
		{nil, "https://edge.example:8443", "edge.example", false},
		{nil, "https://evil.example", "edge.example", false},
		{nil, "https://edge.example.evil.example", "edge.example", false},
		{nil, "null", "edge.example", false},
		{nil, "null", "", false},
		{nil, "edge.example", "edge.example", false},
		{nil, "https://", "", false},
		{nil, "://edge.example", "edge.example", false},
		{listed, "https://app.example", "edge.example", true},
		{listed, "HTTPS://App.Example", "edge.example", true},
		{listed, "http://app.example", "edge.example", false},
		{listed, "https://app.example:444", "edge.example", false},
		{listed, "http://dev.example:8080", "edge.example", true},
		{listed, "https://edge.example", "edge.example", true},
		{Origins{"*"}, "null", "edge.example", true},
	} {
		if got := test.origins.Allow(test.origin, test.host); got != test.want {
			t.Errorf("%v: %q to %q: %v", test.origins, test.origin, test.host, got)
		}
	}
}

// FuzzOrigins: an origin that is not listed belongs to one host at most.
func FuzzOrigins(f *testing.F) {
	f.Add("https://edge.example", "edge.example")
	f.Add("https://user@edge.example:80/path", "EDGE.example:80")
	f.Fuzz(func(t *testing.T, origin, host string) {
		allowed := Origins(nil).Allow(origin, host)
		if origin == "" || !allowed {
			return
		}
		if host == "" || Origins(nil).Allow(origin, "x"+host) {
			t.Errorf("%q is of %q and of others", origin, host)
		}
	})
}
