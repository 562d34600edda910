package api

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
)

// userTokens are the check of tokens of a new key, and one of ann's.
func userTokens(t *testing.T) (*access.Tokens, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := access.LoadKey(file, []string{"EdDSA"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	return access.NewTokens(keys, access.TokenOptions{Algorithms: []string{"EdDSA"}}), token
}

// everything is what the clients' port has beside health: each request does something
// or tells something.
var everything = []string{
	"GET version", "GET health", "GET stats", "GET list/nodes", "GET list/services", "GET list/routes", "GET list/wsdir", "GET log", "GET refresh", "GET clear", "GET nothing",
	"POST send", "POST queue", "POST message",
}

// try sends one of everything, with a message that a service gets.
func try(t *testing.T, a *API, what string, header http.Header) reply {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	body := ""
	if method == http.MethodPost {
		body = toService
	}
	return ask(t, a.Public(), method, prefix+path, body, header)
}

// forAdmins reports whether an entry of everything is answered to administrators only,
// or to nobody, and as if it were not there.
func forAdmins(what string) bool {
	switch what {
	case "GET list/wsdir", "GET log", "GET refresh", "GET clear", "GET nothing":
		return true
	}
	return false
}

// TestCredentials: over HTTP a client has to show what it has to show over a
// WebSocket, whatever it asks for.
func TestCredentials(t *testing.T) {
	tokens, token := userTokens(t)
	const origin = "http://example.com" // httptest's own host
	for _, test := range []struct {
		name   string
		header http.Header
		query  string
		want   int // of what clients may do
		admin  bool
	}{
		{"nothing", nil, "", 401, false},
		{"no token", http.Header{"Authorization": {"Bearer "}}, "", 401, false},
		{"another token", http.Header{"Authorization": {"Bearer x.y.z"}}, "", 401, false},
		{"two tokens, the first of them good", http.Header{"Authorization": {"Bearer " + token, "Bearer x.y.z"}}, "", 401, false},
		{"two tokens, the second of them good", http.Header{"Authorization": {"Bearer x.y.z", "Bearer " + token}}, "", 401, false},
		{"a token", http.Header{"Authorization": {"Bearer " + token}}, "", 200, false},
		{"a token in the address", nil, "?access_token=" + token, 200, false},
		{"a subprotocol", http.Header{"Sec-Websocket-Protocol": {"umf.auth." + token}}, "", 401, false},
		{"a cookie without an origin", http.Header{"Cookie": {"access_token=" + token}}, "", 401, false},
		{"a cookie of a page's own host", http.Header{"Cookie": {"access_token=" + token}, "Origin": {origin}}, "", 200, false},
		{"a cookie of a foreign page", http.Header{"Cookie": {"access_token=" + token}, "Origin": {"https://evil.example"}}, "", 403, false},
		{"a cookie of an opaque page", http.Header{"Cookie": {"access_token=" + token}, "Origin": {"null"}}, "", 403, false},
		{"a token of a foreign page", http.Header{"Authorization": {"Bearer " + token}, "Origin": {"https://evil.example"}}, "", 403, false},
		{"a foreign page that posts text", http.Header{"Cookie": {"access_token=" + token}, "Origin": {"https://evil.example"}, "Content-Type": {"text/plain"}}, "", 403, false},
		{"an administrator", bearer(testToken), "", 200, true},
		{"an administrator on a foreign page", http.Header{"Authorization": {"Bearer " + testToken}, "Origin": {"https://evil.example"}}, "", 403, false},
	} {
		for _, what := range everything {
			n, a := newNode(t, func(n *fakeNode) {
				n.Config.Auth, n.Config.AdminToken, n.Tokens = config.AuthJWT, testToken, tokens
			})
			got := try(t, a, what+test.query, test.header)
			want := test.want
			switch {
			case want == 200 && what == "GET nothing":
				want = http.StatusNotFound
			case want == 200 && forAdmins(what) && !test.admin:
				want = http.StatusUnauthorized
			case want == 200 && what == "GET clear":
				want = http.StatusFound
			}
			if got.status != want {
				t.Errorf("%s, %s: %d %s, want %d", test.name, what, got.status, got.body, want)
			}
			if posts := strings.HasPrefix(what, "POST"); (len(n.nats.sent) == 1) != (posts && want == 200) {
				t.Errorf("%s, %s: sent %v", test.name, what, n.nats.sent)
			} else if posts && want == 200 && (n.nats.sent[0].user == "ann") == test.admin {
				t.Errorf("%s, %s: sent as %q", test.name, what, n.nats.sent[0].user)
			}
			if test.want == http.StatusUnauthorized && (got.header.Get("WWW-Authenticate") != "Bearer" || got.description != "Authorization needed") {
				t.Errorf("%s, %s: %v %s", test.name, what, got.header, got.body)
			}
		}
	}
}

// TestHealthWithoutCredentials: a balancer has none.
func TestHealthWithoutCredentials(t *testing.T) {
	for _, mode := range []config.HTTPAPI{config.HTTPAPIOpen, config.HTTPAPIKey, config.HTTPAPIOff} {
		_, a := newNode(t, func(n *fakeNode) { n.Config.Auth, n.Config.HttpApi = config.AuthJWT, mode })
		for _, path := range []string{"/healthz", "/readyz"} {
			if got := ask(t, a.Public(), "GET", path, "", nil); got.status != http.StatusOK {
				t.Errorf("%s: %d", path, got.status)
			}
		}
	}
}

// TestCredentialsByService: the service is asked as about a client that connects, and
// only its yes counts.
func TestCredentialsByService(t *testing.T) {
	for _, test := range []struct {
		answer string
		header nats.Header
		err    error
		want   int
		user   string
	}{
		{`{"result":{"identity":"ann"}}`, nil, nil, 200, "ann"},
		{`{"to":"a:/","frm":"b:/","bdy":{"anonymous":true}}`, nil, nil, 200, ""},
		{``, nil, nil, 401, ""},
		{`{}`, nil, nil, 401, ""},
		{`{"result":{}}`, nil, nil, 401, ""},
		{`{"result":{"identity":"ann"}}`, nats.Header{"Nats-Service-Error": {"no"}}, nil, 401, ""},
		{``, nats.Header{"Nats-Service-Error": {"down"}, "Nats-Service-Error-Code": {"500"}}, nil, 503, ""},
		{``, nil, nats.ErrNoResponders, 503, ""},
		{``, nil, errors.New("wrapped"), 503, ""},
	} {
		for _, what := range []string{"GET stats", "POST send", "POST queue", "POST message"} {
			n, a := newNode(t, func(n *fakeNode) {
				n.Config.Auth = config.AuthService
				n.nats.auth = func() (*nats.Msg, error) {
					return &nats.Msg{Data: []byte(test.answer), Header: test.header}, test.err
				}
			})
			got := try(t, a, what, http.Header{"Authorization": {"Bearer t"}, "Origin": {"http://example.com"}})
			if got.status != test.want || (got.header.Get("Retry-After") == "1") != (test.want == 503) {
				t.Errorf("%s %v %v: %s: %d %v %s, want %d", test.answer, test.header, test.err, what, got.status, got.header, got.body, test.want)
			}
			if posted := what != "GET stats" && test.want == 200; (len(n.nats.sent) == 1) != posted || posted && n.nats.sent[0].user != test.user {
				t.Errorf("%s: %s: sent %v", test.answer, what, n.nats.sent)
			}
			if len(n.nats.asked) != 1 || !strings.Contains(n.nats.asked[0], `"bdy":{"ip":"192.0.2.1","origin":"http://example.com","token":"t","url":"/v1/router/`) {
				t.Errorf("asked %v", n.nats.asked)
			}
		}
	}
	for _, change := range []func(*fakeNode){func(n *fakeNode) { n.serving = false }, func(n *fakeNode) { n.connected = false }, func(n *fakeNode) { n.short = true }} {
		n, a := newNode(t, func(n *fakeNode) { n.Config.Auth = config.AuthService; change(n) })
		if got := try(t, a, "GET stats", bearer("t")); got.status != http.StatusServiceUnavailable || len(n.nats.sent) > 0 {
			t.Errorf("%d %s, sent %v", got.status, got.body, n.nats.sent)
		}
	}
}

// TestHTTPAPIKey: a key is needed for everything, and nothing else will do.
func TestHTTPAPIKey(t *testing.T) {
	tokens, token := userTokens(t)
	const key = "0123456789abcdef"
	for authorization, want := range map[string]int{
		"":                       401,
		"Bearer ":                401,
		"Bearer shop":            401,
		"Bearer 0123456789abcde": 401,
		"Bearer " + token:        401,
		"Bearer " + key:          200,
		"bearer " + key:          200,
		"Basic " + key:           401,
		"Bearer " + testToken:    200,
	} {
		for _, auth := range []config.Auth{config.AuthNone, config.AuthJWT} {
			for _, what := range []string{"GET version", "GET list/nodes", "POST send", "POST queue", "POST message"} {
				_, a := newNode(t, func(n *fakeNode) {
					n.Config.Auth, n.Config.AdminToken, n.Tokens = auth, testToken, tokens
					n.Config.HttpApi, n.Config.HttpKeys = config.HTTPAPIKey, []config.HTTPKey{{Name: "shop", Key: key, Rules: `{"services":["svc"],"queues":["svc"]}`}}
				})
				if got := try(t, a, what, http.Header{"Authorization": {authorization}}); got.status != want {
					t.Errorf("%q, %s: %d %s, want %d", authorization, what, got.status, got.body, want)
				}
			}
		}
	}
	_, a := newNode(t, func(n *fakeNode) {
		n.Config.HttpApi, n.Config.HttpKeys = config.HTTPAPIKey, []config.HTTPKey{{Name: "shop", Key: key, Rules: "{}"}}
	})
	for what, want := range map[string]int{"GET version": 200, "POST send": 403, "POST queue": 403, "POST message": 403} {
		if got := try(t, a, what, bearer(key)); got.status != want {
			t.Errorf("a key that may nothing, %s: %d %s, want %d", what, got.status, got.body, want)
		}
	}
	if got := try(t, a, "GET log", bearer(key)); got.status != http.StatusUnauthorized {
		t.Errorf("a key is answered what is for administrators: %d", got.status)
	}
	if found := a.keys.Find("Bearer " + key); found == nil || found.Name != "shop" || found.Rules != "{}" {
		t.Errorf("the key is %+v", found)
	}
}

// TestHTTPAPIOff: nothing is there, for anybody.
func TestHTTPAPIOff(t *testing.T) {
	for _, what := range everything {
		n, a := newNode(t, func(n *fakeNode) { n.Config.AdminToken, n.Config.HttpApi = testToken, config.HTTPAPIOff })
		for _, header := range []http.Header{nil, bearer(testToken)} {
			if got := try(t, a, what, header); got.status != http.StatusNotFound || got.description != "Resource not found" || len(n.nats.sent) > 0 {
				t.Errorf("%s: %d %s, sent %v", what, got.status, got.body, n.nats.sent)
			}
		}
		if method, path, _ := strings.Cut(what, " "); method == "GET" && path == "version" {
			if got := ask(t, atHome(a), method, prefix+path, "", bearer(testToken)); got.status != http.StatusOK {
				t.Errorf("administrators get %d", got.status)
			}
		}
	}
}

// TestForeignPagesRead: nothing of the API is for foreign pages, without credentials
// neither.
func TestForeignPagesRead(t *testing.T) {
	_, a := newNode(t, nil)
	for origin, want := range map[string]int{"": 200, "http://example.com": 200, "https://evil.example": 403, "http://example.com:81": 403, "null": 403} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		if got := try(t, a, "GET stats", header); got.status != want {
			t.Errorf("%q: %d, want %d", origin, got.status, want)
		}
	}
	// What the balancer says of the scheme counts; that it may say so is for the
	// connection layer to see to.
	for forwarded, want := range map[string]int{"": 200, "http": 200, "https": 403} {
		header := http.Header{"Origin": {"http://example.com"}}
		if forwarded != "" {
			header.Set("X-Forwarded-Proto", forwarded)
		}
		if got := try(t, a, "GET stats", header); got.status != want {
			t.Errorf("under %q: %d, want %d", forwarded, got.status, want)
		}
	}
}
