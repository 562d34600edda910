package access

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hydrant/integration/harness"
)

// TestLoadKey: a key that would let anybody sign a token is refused.
func TestLoadKey(t *testing.T) {
	public, _ := publicKey(t)
	for _, test := range []struct {
		text, algorithms string
		want             error
	}{
		{"a secret\n", "HS256", nil},
		{public, "EdDSA", nil},
		{public, "EdDSA,RS256", nil},
		{"", "HS256", ErrEmptySecret},
		{"\r\n", "HS256,HS512", ErrEmptySecret},
		{"a secret", "HS256,RS256", ErrMixedAlgorithms},
		{public, "HS256,EdDSA", ErrMixedAlgorithms},
		{"a secret", "RS256", ErrNoKey},
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(file, strings.Split(test.algorithms, ",")); !errors.Is(err, test.want) {
			t.Errorf("%q for %s: error %v, want %v", test.text, test.algorithms, err, test.want)
		}
	}
	if _, err := LoadKey(filepath.Join(t.TempDir(), "none"), []string{"EdDSA"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// publicKey is a new key of Ed25519, as PEM, and its private part.
func publicKey(t *testing.T) (string, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), private
}

// TestTokens: a token counts if one of the allowed algorithms has signed it, it is
// for this node, now, and says whose it is.
func TestTokens(t *testing.T) {
	public, private := publicKey(t)
	_, other := publicKey(t)
	key, err := parseKey([]byte(public), []string{"EdDSA"})
	if err != nil {
		t.Fatal(err)
	}
	tokens := NewTokens(func(*jwt.Token) (any, error) { return key, nil }, []string{"EdDSA"}, "issuer", "us")
	hour := time.Now().Add(time.Hour).Truncate(time.Second)
	claims := func(change func(*jwt.RegisteredClaims)) jwt.RegisteredClaims {
		c := jwt.RegisteredClaims{Subject: "ann", Issuer: "issuer", Audience: jwt.ClaimStrings{"us"}, ExpiresAt: jwt.NewNumericDate(hour)}
		change(&c)
		return c
	}
	good := claims(func(*jwt.RegisteredClaims) {})
	for _, test := range []struct {
		name   string
		claims jwt.RegisteredClaims
		method jwt.SigningMethod
		key    any
		want   error
	}{
		{"good", good, jwt.SigningMethodEdDSA, private, nil},
		{"expired", claims(func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute)) }), jwt.SigningMethodEdDSA, private, jwt.ErrTokenExpired},
		{"not yet", claims(func(c *jwt.RegisteredClaims) { c.NotBefore = jwt.NewNumericDate(hour) }), jwt.SigningMethodEdDSA, private, jwt.ErrTokenNotValidYet},
		{"another issuer", claims(func(c *jwt.RegisteredClaims) { c.Issuer = "x" }), jwt.SigningMethodEdDSA, private, jwt.ErrTokenInvalidIssuer},
		{"another audience", claims(func(c *jwt.RegisteredClaims) { c.Audience = nil }), jwt.SigningMethodEdDSA, private, jwt.ErrTokenRequiredClaimMissing},
		{"no subject", claims(func(c *jwt.RegisteredClaims) { c.Subject = "" }), jwt.SigningMethodEdDSA, private, ErrNoSubject},
		{"another key", good, jwt.SigningMethodEdDSA, other, jwt.ErrTokenSignatureInvalid},
		{"signed with the public key", good, jwt.SigningMethodHS256, []byte(public), jwt.ErrTokenSignatureInvalid},
		{"not signed", good, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.ErrTokenSignatureInvalid},
	} {
		text, err := jwt.NewWithClaims(test.method, test.claims).SignedString(test.key)
		if err != nil {
			t.Fatal(err)
		}
		id, err := tokens.Check(text)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		if want := (Identity{Name: "ann", Expires: hour}); test.want == nil && (id.Name != want.Name || !id.Expires.Equal(want.Expires)) || test.want != nil && id != (Identity{}) {
			t.Errorf("%s: identity %+v", test.name, id)
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

// watch checks tokens with the keys of the set.
func (s *keySet) watch(t *testing.T, every time.Duration) *Tokens {
	t.Helper()
	keys, err := WatchKeys(t.Context(), s.URL, every, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	return NewTokens(keys, []string{"EdDSA"}, "", "")
}

// TestUnknownKey: loops check tokens, so no client may make a check wait for the
// server of the keys by naming one that is not there.
func TestUnknownKey(t *testing.T) {
	keys := newKeySet(t)
	known := keys.add(t, "a")
	tokens := keys.watch(t, time.Minute)
	stranger := newKeySet(t).add(t, "b")
	keys.mu.Lock()
	keys.silent = true
	keys.mu.Unlock()
	for _, token := range []string{stranger, stranger, known} {
		checked := make(chan error, 1)
		go func() {
			_, err := tokens.Check(token)
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
	tokens := keys.watch(t, time.Millisecond)
	token := keys.add(t, "b")
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error { _, err := tokens.Check(token); return err }); err != nil {
		t.Error(err)
	}
}
