package edge

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/config"
	"hydrant/integration/harness"
)

// TestTokenKey: what would let anybody sign a token is no key.
func TestTokenKey(t *testing.T) {
	for _, test := range []struct{ text, algorithms, want string }{
		{"a secret\n", "HS256", ""},
		{"", "HS256", "empty"},
		{"\r\n", "HS256,HS512", "empty"},
		{"a secret", "HS256,RS256", "together"},
		{"a secret", "RS256", "no PEM public key"},
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadTokenKey(&Config{AuthKeyFile: file, AuthAlgorithms: strings.Split(test.algorithms, ",")})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q for %s: error %v, want %q", test.text, test.algorithms, err, test.want)
		}
	}
}

// TestAuthServiceRefuses: only an answer that is no refusal in any of the forms
// that services have lets a client in.
func TestAuthServiceRefuses(t *testing.T) {
	var mu sync.Mutex
	var text string
	r := run(t, func(cfg *Config) { cfg.Auth = config.AuthService })
	subject, err := bus.ServiceSubject(r.cfg.AuthService)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.nc.Subscribe(subject, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		_ = m.Respond([]byte(text))
	}); err != nil {
		t.Fatal(err)
	}
	const message = `{"to":"a:/","frm":"b:/","mid":"1","bdy":`
	for answer, admitted := range map[string]bool{
		`{"result":{"identity":"ann"}}`:                  true,
		`{"statusCode":200,"result":{"identity":"ann"}}`: true,
		message + `{"identity":"ann"}}`:                  true,
		message + `{"statusCode":200}}`:                  true,
		`{"result":{"error":"no"}}`:                      false,
		`{"result":"no"}`:                                false,
		`no`:                                             false,
		`{"result":{"identity":7}}`:                      false,
		`{"statusCode":401,"result":{}}`:                 false,
		`{"statusCode":"403","result":{}}`:               false,
		`{"statusCode":null,"result":{}}`:                false,
		message + `{"statusCode":401}}`:                  false,
	} {
		mu.Lock()
		text = answer
		mu.Unlock()
		c, err := harness.Dial(t.Context(), r.url, harness.DialOptions{})
		if (err == nil) != admitted {
			t.Errorf("%s: %v, want admitted: %v", answer, err, admitted)
		}
		if err == nil {
			c.Drop()
		} else if !strings.Contains(err.Error(), "4401") {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// keySet serves JSON Web Keys of Ed25519, and holds requests up when told to.
type keySet struct {
	*httptest.Server
	mu      sync.Mutex
	keys    map[string]ed25519.PrivateKey // by kid
	silent  bool
	waiting chan struct{} // a request is being held up
	end     chan struct{}
}

func newKeySet(t *testing.T) *keySet {
	s := &keySet{keys: make(map[string]ed25519.PrivateKey), waiting: make(chan struct{}, 100), end: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		silent, text := s.silent, `{"keys":[`
		for kid, key := range s.keys {
			x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
			text += fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":%q,"x":%q},`, kid, x)
		}
		s.mu.Unlock()
		if silent {
			s.waiting <- struct{}{}
			<-s.end
		}
		_, _ = io.WriteString(w, strings.TrimSuffix(text, ",")+"]}")
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(s.end) })
	return s
}

// add makes a key and returns a token that it has signed.
func (s *keySet) add(t *testing.T, kid string) (token string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.keys[kid] = key
	s.mu.Unlock()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.RegisteredClaims{Subject: "ann"})
	unsigned.Header["kid"] = kid
	if token, err = unsigned.SignedString(key); err != nil {
		t.Fatal(err)
	}
	return token
}

// TestUnknownKey: tokens are checked on the loops, so nobody may make a check
// wait for the server of the keys by naming one that is not there.
func TestUnknownKey(t *testing.T) {
	keys := newKeySet(t)
	known := keys.add(t, "a")
	cfg := &Config{Auth: config.AuthJWT, AuthAlgorithms: []string{"EdDSA"}, AuthJwksUrl: keys.URL}
	checker, err := newTokenChecker(t.Context(), cfg, slog.New(slog.DiscardHandler), keysEvery)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newKeySet(t).add(t, "b")
	keys.mu.Lock()
	keys.silent = true
	keys.mu.Unlock()
	for _, token := range []string{stranger, stranger, known} {
		checked := make(chan error, 1)
		go func() {
			_, _, err := checker.check(token)
			checked <- err
		}()
		select {
		case err := <-checked:
			if (err == nil) != (token == known) {
				t.Errorf("token %.30s…: %v", token, err)
			}
		case <-keys.waiting:
			t.Fatal("a check asks for the keys")
		case <-time.After(harness.Patience):
			t.Fatal("a check waits")
		}
	}
}

// TestNewKey: a key that is added is known soon.
func TestNewKey(t *testing.T) {
	keys := newKeySet(t)
	keys.add(t, "a")
	cfg := &Config{Auth: config.AuthJWT, AuthAlgorithms: []string{"EdDSA"}, AuthJwksUrl: keys.URL}
	checker, err := newTokenChecker(t.Context(), cfg, slog.New(slog.DiscardHandler), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	token := keys.add(t, "b")
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error { _, _, err := checker.check(token); return err }); err != nil {
		t.Error(err)
	}
}

// TestCookieOf: cookies of others do not hide the one with the token.
func TestCookieOf(t *testing.T) {
	for header, want := range map[string]string{
		"":                                    "",
		"access_token=t":                      "t",
		"a=b; access_token=t; access_token=u": "t",
		`prefs={"x":1}; access_token=t`:       "t",
		"flag; access_token=t":                "t",
		"Access_Token=t":                      "",
	} {
		if got := cookieOf(header, "access_token"); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
