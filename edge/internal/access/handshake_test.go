package access

import (
	"slices"
	"strings"
	"testing"

	"hydrant/edge/internal/protocol"
)

// handshake is one of the test's making.
type handshake struct {
	header    map[string]string
	protocols []string
	uri       string
}

func (h *handshake) Header(name string) string { return h.header[name] }
func (h *handshake) Protocols() []string       { return h.protocols }
func (h *handshake) URI() string               { return h.uri }

// TestFindToken: the header wins over the subprotocol, that over the cookie, and
// the query comes last.
func TestFindToken(t *testing.T) {
	for _, test := range []struct {
		authorization, protocols, cookie, uri string
		want                                  string
	}{
		{"", "", "", "/", ""},
		{"Bearer a", "umf.auth.b", "tok=c", "/?access_token=d", "a"},
		{"bearer  a ", "", "", "/", "a"},
		{"Bearer ", "umf.auth.b", "", "/", ""},
		{"Basic a", "umf.auth.b", "tok=c", "/?access_token=d", "b"},
		{"Bearer", "umf.auth.b", "", "/", "b"},
		{"", "umf.ack.v1,umf.auth.b,umf.auth.x", "tok=c", "/", "b"},
		{"", "umf.ack.v1", "tok=c", "/?access_token=d", "c"},
		{"", "", "other=c", "/?access_token=d", "d"},
		{"", "", "tok=", "/path?x=y&access_token=d%2Be&access_token=f", "d+e"},
		{"", "", "", "?access_token=d", ""}, // no request target
		{"", "", "", "http://host/?access_token=d", "d"},
	} {
		h := &handshake{header: map[string]string{"Authorization": test.authorization, "Cookie": test.cookie}, uri: test.uri}
		if test.protocols != "" {
			h.protocols = strings.Split(test.protocols, ",")
		}
		if got := FindToken(h, "tok"); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// FuzzFindToken: whatever a client sends, its token is one that it has sent, and
// no other place is looked at where the header has one.
func FuzzFindToken(f *testing.F) {
	f.Add("Bearer a", "umf.auth.b", "access_token=c", "/?access_token=d")
	f.Add("Basic YTpi", "umf.ack.v1,umf.auth.b", `prefs={"x":1}; access_token="c"`, "/%zz?access_token=%64")
	f.Fuzz(func(t *testing.T, authorization, protocols, cookie, uri string) {
		h := &handshake{header: map[string]string{"Authorization": authorization, "Cookie": cookie}, protocols: strings.Split(protocols, ","), uri: uri}
		got := FindToken(h, "access_token")
		if token, ok := bearer(authorization); ok {
			if got != strings.TrimSpace(token) {
				t.Errorf("%q, with Authorization %q", got, authorization)
			}
			return
		}
		sent := slices.Contains(h.protocols, protocol.SubprotocolAuth+got) || strings.Contains(cookie, got) || strings.Contains(uri, "access_token") || strings.Contains(uri, "%")
		if got != "" && !sent {
			t.Errorf("token %q comes from nowhere in %+v", got, h)
		}
	})
}

// FuzzCookieValue: a cookie is found under its name only.
func FuzzCookieValue(f *testing.F) {
	f.Add("a=b; access_token=t; access_token=u")
	f.Add(`prefs={"x":1}; access_token="t"`)
	f.Fuzz(func(t *testing.T, header string) {
		got := cookieValue(header, "access_token")
		if got == "" {
			return
		}
		for part := range strings.SplitSeq(header, ";") {
			name, value, _ := strings.Cut(part, "=")
			if strings.TrimSpace(name) == "access_token" && strings.Contains(value, got) {
				return
			}
		}
		t.Errorf("%q of %q", got, header)
	})
}

// TestCookieValue: cookies of others do not hide the one with the token.
func TestCookieValue(t *testing.T) {
	for header, want := range map[string]string{
		"":                                    "",
		"access_token=t":                      "t",
		"a=b; access_token=t; access_token=u": "t",
		`prefs={"x":1}; access_token=t`:       "t",
		"flag; access_token=t":                "t",
		"Access_Token=t":                      "",
	} {
		if got := cookieValue(header, "access_token"); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
