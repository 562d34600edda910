package config

import (
	"strings"
	"testing"
)

// TestOriginDecode: an entry works or is refused.
func TestOriginDecode(t *testing.T) {
	for _, text := range []string{
		"*", "loopback", "https://app.example", "HTTPS://App.Example:443", "http://localhost:3000", "http://[::1]:8080", "https://*.example", "https://*.app.example:8443",
		"https://bücher.example", "https://xn--bcher-kva.example", "https://*.bücher.example", "capacitor://localhost", "chrome-extension://abcdef", "http://a_b.example", "http://a_b.xn--bcher-kva.example", "https://app.example.", " https://app.example",
	} {
		if err := new(Origin).Decode(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "null", "app.example", "*.example", "https://", "https://*", "https://*.", "https://app.*", "https://*app.example", "https://a.*.example", "https://**.example", "http://*:3000",
		"https://app.example/", "https://app.example/path", "https://app.example?x", "https://app.example#x", "https://user@app.example", "https://app.example:", "https://app.example:0",
		"https://app.example:65536", "https://app.example:+443", "https://app.example:*", "https://app.example:443:443", "//app.example", "://app.example", "1https://app.example",
		"https://[::1", "https://[::1%25eth0]", "https://[::1]x", "https://[127.0.0.1]", "https://*.127.0.0.1", "https://*.[::1]", "https://a b.example", "https://a\\.example", "https://%61pp.example", "https", "Loopback",
		"https://.example", "https://app..example", "https://xn--a", "https://a_b.xn--a.example", "https://*.xn--a", "https://.", "https://*..example",
	} {
		if err := new(Origin).Decode(text); err == nil || !strings.Contains(err.Error(), "is no origin") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzOriginDecode: what is taken for an entry is nothing that a page's address could
// hide in.
func FuzzOriginDecode(f *testing.F) {
	for _, text := range []string{"*", "loopback", "https://*.bücher.example:8443", "http://[::1]:80", "a://b", "https://user@a/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var o Origin
		if o.Decode(text) != nil || o.all || o.loopback {
			return
		}
		if strings.ContainsAny(o.host, "/?#@\\ *%") || o.host == "" || o.scheme == "" || o.host != strings.ToLower(o.host) {
			t.Errorf("%q is taken for %+v", text, o)
		}
		page, ok := ParseOrigin(o.scheme + "://" + o.host)
		if page.port = o.port; !ok || o.Matches(page) == o.below {
			t.Errorf("%q is taken for %+v, which does not match %+v", text, o, page)
		}
	})
}
