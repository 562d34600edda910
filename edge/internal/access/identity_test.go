package access

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestCarried(t *testing.T) {
	for name, want := range map[string]bool{
		"admin": true, "ann@example.com": true, "auth0|5f7c8ec7c33c6c004bbafe82": true, "Jörg Müller": true, "用户": true, "a: b": true, `"x"`: true,

		" admin": false, "admin ": false, "\tadmin": false, "admin\n": false, "admin\r\n": false, "\radmin": false,
		"ad\nmin": false, "ad\r\nUmf-Identity: root": false, "admin\x00": false, "\x7fadmin": false, "ad\x1fmin": false,
		"\u00a0admin": false, "admin\ufeff": false, "\u2003admin": false, "admin\u200b": false, "\u0085admin": false, "ad\u2028min": false,
		"\u3164admin": false, "admin\u034f": false, "\U000e0001admin": false, "admin\u115f": false, "\u2764\ufe0f": true,
		"admin\ufffd": false, "\xffadmin": false, " ": false, "\n": false, "": false,
	} {
		if got := carried(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

// FuzzCarried: what is carried is read by services as it is, also where they cut
// off more than NATS does.
func FuzzCarried(f *testing.F) {
	for _, name := range []string{"admin", " admin", "admin\n", "a\r\nb: c", "Jörg", "\u00a0x", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !carried(name) {
			return
		}
		header, err := nats.DecodeHeadersMsg([]byte("NATS/1.0\r\nUmf-Identity: " + name + "\r\n\r\n"))
		if err != nil || len(header) != 1 || header.Get("Umf-Identity") != name || strings.TrimSpace(name) != name {
			t.Errorf("%q is read as %v, %v", name, header, err)
		}
	})
}
