package access

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestLoadKey: a key that would let anybody sign a token is refused.
func TestLoadKey(t *testing.T) {
	public, _ := publicKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		text, algorithms string
		want             error
	}{
		{"a secret of thirty-two characters\n", "HS256", nil},
		{"k", "HS256", ErrShortSecret},
		{"thirty-one characters, no more.\n", "HS256,HS512", ErrShortSecret},
		{public, "EdDSA", nil},
		{public, "EdDSA,RS256", nil},
		{"", "HS256", ErrEmptySecret},
		{"\r\n", "HS256,HS512", ErrEmptySecret},
		{"a secret", "HS256,RS256", ErrMixedAlgorithms},
		{public, "HS256,EdDSA", ErrMixedAlgorithms},
		{"a secret", "RS256", ErrNoKey},
		{public, "RS256,ES256", ErrUnfitKey},
		{publicText(t, &weak.PublicKey), "RS256", ErrUnfitKey},
		{publicText(t, &curve.PublicKey), "ES384,RS256", nil},
		{publicText(t, &curve.PublicKey), "EdDSA,ES256,RS256", ErrUnfitKey},
		{publicText(t, ed25519.PublicKey(make([]byte, ed25519.PublicKeySize))), "EdDSA", ErrUnfitKey},
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
func publicKey(t testing.TB) (string, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return publicText(t, public), private
}

// publicText is a public key as PEM.
func publicText(t testing.TB, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
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
	tokens := NewTokens(one(key), TokenOptions{Algorithms: []string{"EdDSA"}, Issuer: "issuer", Audience: "us"})
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

// forge makes a token of two texts, whatever is in them.
func forge(t testing.TB, private ed25519.PrivateKey, header, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwt.SigningMethodEdDSA.Sign(text, private)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestTokenIsReadToTheLetter: claims have the names that they have, and what a token
// asks to be understood is.
func TestTokenIsReadToTheLetter(t *testing.T) {
	public, private := publicKey(t)
	key, err := parseKey([]byte(public), []string{"EdDSA"})
	if err != nil {
		t.Fatal(err)
	}
	const header = `{"alg":"EdDSA","typ":"JWT"}`
	strict := NewTokens(one(key), TokenOptions{Algorithms: []string{"EdDSA"}})
	endless := NewTokens(one(key), TokenOptions{Algorithms: []string{"EdDSA"}, Endless: true})
	ours := NewTokens(one(key), TokenOptions{Algorithms: []string{"EdDSA"}, Issuer: "i", Audience: "us"})
	far := time.Unix(maxMoment, 0)
	for _, test := range []struct {
		tokens         *Tokens
		header, claims string
		name           string // "": refused
		expires        time.Time
	}{
		{strict, header, `{"sub":"ann","exp":4000000000}`, "ann", time.Unix(4_000_000_000, 0)},
		{strict, header, `{"sub":"ann","Sub":"root","SUB":"root","exp":4000000000,"EXP":1,"Exp":1}`, "ann", time.Unix(4_000_000_000, 0)},
		{strict, header, `{"sub":"ann","exp":1,"EXP":4000000000}`, "", time.Time{}},
		{strict, header, `{"sub":"ann","EXP":4000000000}`, "", time.Time{}},
		{strict, header, `{"Sub":"root","exp":4000000000}`, "", time.Time{}},
		{strict, header, `{"sub":"ann","exp":4000000000,"nbf":3900000000}`, "", time.Time{}},
		{strict, header, `{"sub":"ann","exp":4000000000,"NBF":3900000000}`, "ann", time.Unix(4_000_000_000, 0)},
		// Far away is not past.
		{strict, header, `{"sub":"ann","exp":4000000000000}`, "ann", far}, // milliseconds
		{strict, header, `{"sub":"ann","exp":99999999999}`, "ann", far},
		{strict, header, `{"sub":"ann","exp":9223372036854775807}`, "ann", far},
		{strict, header, `{"sub":"ann","exp":9.3e18}`, "ann", far},
		{strict, header, `{"sub":"ann","exp":1e400}`, "ann", far},
		{strict, header, `{"sub":"ann","exp":4000000000,"nbf":1e400}`, "", time.Time{}},
		{strict, header, `{"sub":"ann","exp":4000000000,"nbf":99999999999999999999}`, "", time.Time{}},
		{strict, header, `{"sub":"ann","exp":-1e400}`, "", time.Time{}},
		{strict, header, `{"sub":"ann","exp":0}`, "", time.Time{}},
		// Without an end, and without a time where one should be.
		{strict, header, `{"sub":"ann"}`, "", time.Time{}},
		{endless, header, `{"sub":"ann"}`, "ann", time.Time{}},
		{endless, header, `{"sub":"ann","exp":1}`, "", time.Time{}},
		{endless, header, `{"sub":"ann","exp":null}`, "", time.Time{}},
		{endless, header, `{"sub":"ann","exp":"4000000000"}`, "", time.Time{}},
		{endless, header, `{"sub":"ann","exp":[4000000000]}`, "", time.Time{}},
		{endless, header, `{"sub":"ann","nbf":"soon"}`, "", time.Time{}},
		// Critical extensions, known and unknown.
		{strict, `{"alg":"EdDSA","crit":["exp"],"exp":1}`, `{"sub":"ann","exp":4000000000}`, "", time.Time{}},
		{strict, `{"alg":"EdDSA","crit":["b64"],"b64":true}`, `{"sub":"ann","exp":4000000000}`, "", time.Time{}},
		{strict, `{"alg":"EdDSA","crit":[]}`, `{"sub":"ann","exp":4000000000}`, "", time.Time{}},
		{strict, `{"alg":"EdDSA","crit":null}`, `{"sub":"ann","exp":4000000000}`, "", time.Time{}},
		{strict, `{"alg":"EdDSA","CRIT":["x"]}`, `{"sub":"ann","exp":4000000000}`, "ann", time.Unix(4_000_000_000, 0)},
		// Names that are none.
		{strict, header, `{"sub":7,"exp":4000000000}`, "", time.Time{}},
		{strict, header, `{"sub":" ann","exp":4000000000}`, "", time.Time{}},
		{strict, header, `{"sub":"ann\n","exp":4000000000}`, "", time.Time{}},
		{strict, header, `{"sub":"a\ud800","exp":4000000000}`, "", time.Time{}},
		{strict, header, `{"sub":["ann"],"exp":4000000000}`, "", time.Time{}},
		{strict, header, `[{"sub":"ann","exp":4000000000}]`, "", time.Time{}},
		// For whom, and by whom.
		{ours, header, `{"sub":"ann","exp":4000000000,"iss":"i","aud":"us"}`, "ann", time.Unix(4_000_000_000, 0)},
		{ours, header, `{"sub":"ann","exp":4000000000,"iss":"i","aud":["them","us"]}`, "ann", time.Unix(4_000_000_000, 0)},
		{ours, header, `{"sub":"ann","exp":4000000000,"iss":"i","AUD":"us"}`, "", time.Time{}},
		{ours, header, `{"sub":"ann","exp":4000000000,"Iss":"i","aud":"us"}`, "", time.Time{}},
		{ours, header, `{"sub":"ann","exp":4000000000,"iss":"i","aud":[null,"us"]}`, "", time.Time{}},
		{ours, header, `{"sub":"ann","exp":4000000000,"iss":["i"],"aud":"us"}`, "", time.Time{}},
		{ours, header, `{"sub":"ann","exp":4000000000,"iss":"i","aud":{"us":1}}`, "", time.Time{}},
	} {
		id, err := test.tokens.Check(forge(t, private, test.header, test.claims))
		if (err == nil) != (test.name != "") || id.Name != test.name || !id.Expires.Equal(test.expires) {
			t.Errorf("%s %s: %+v, %v", test.header, test.claims, id, err)
		}
		if errors.Is(err, ErrUnchecked) {
			t.Errorf("%s %s is told as a fault of ours", test.header, test.claims)
		}
	}
}

// TestTokenHasOneSpelling: what is no base64url without padding (RFC 7515 §2) is no
// token, also where it would be read as one.
func TestTokenHasOneSpelling(t *testing.T) {
	public, private := publicKey(t)
	key, err := parseKey([]byte(public), []string{"EdDSA"})
	if err != nil {
		t.Fatal(err)
	}
	tokens := NewTokens(one(key), TokenOptions{Algorithms: []string{"EdDSA"}})
	good := forge(t, private, `{"alg":"EdDSA"}`, `{"sub":"ann","exp":4000000000}`)
	if _, err := tokens.Check(good); err != nil {
		t.Fatal(err)
	}
	last := good[len(good)-1] // of 86 characters: its last four bits stand for nothing
	for _, token := range []string{
		good + "\n", good + "\r", good[:len(good)-3] + "\n" + good[len(good)-3:], good[:len(good)-3] + "\r\n" + good[len(good)-3:],
		good + "=", good + "==", good + " ", " " + good, good + ".", good + "\x00", good + "\t", good[:len(good)-1] + string(last+1),
		strings.ReplaceAll(strings.ReplaceAll(good, "-", "+"), "_", "/") + "+",
	} {
		if id, err := tokens.Check(token); err == nil || id != (Identity{}) {
			t.Errorf("%q is taken for %+v", token, id)
		}
	}
}

// FuzzClaims: whoever is let in is named by sub, and not for longer than exp says, as
// a strict reader finds them.
func FuzzClaims(f *testing.F) {
	public, private := publicKey(f)
	key, err := parseKey([]byte(public), []string{"EdDSA"})
	if err != nil {
		f.Fatal(err)
	}
	tokens := NewTokens(one(key), TokenOptions{Algorithms: []string{"EdDSA"}})
	for _, text := range []string{
		`{"sub":"ann","exp":4000000000}`, `{"sub":"ann","Sub":"root","exp":1e400}`, `{"sub":"ann","exp":4000000000,"nbf":-1,"aud":["x"]}`,
		`{"s\u0075b":"ann","exp":4000000000.5}`, `{"sub":"ann","sub":"bob","exp":4e9}`,
	} {
		f.Add(`{"alg":"EdDSA"}`, text)
	}
	f.Add(`{"alg":"EdDSA","crit":["x"]}`, `{"sub":"ann","exp":4000000000}`)
	f.Add(`{"alg":"none"}`, `{"sub":"ann","exp":4000000000}`)
	f.Fuzz(func(t *testing.T, header, text string) {
		id, err := tokens.Check(forge(t, private, header, text))
		if err != nil {
			if id != (Identity{}) {
				t.Errorf("%q is refused, and %+v", text, id)
			}
			return
		}
		var said, head map[string]json.RawMessage
		var name string
		var exp json.Number
		if err := errors.Join(json.Unmarshal([]byte(text), &said), json.Unmarshal([]byte(header), &head), json.Unmarshal(said["sub"], &name), json.Unmarshal(said["exp"], &exp)); err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		if _, critical := head["crit"]; critical || string(head["alg"]) == `"none"` {
			t.Errorf("%q is taken", header)
		}
		if name != id.Name || !carried(name) || !id.Expires.After(time.Now()) {
			t.Errorf("%q is taken for %+v", text, id)
		}
	})
}

// FuzzToken: a token that nobody signed is taken for none, and ends nothing.
func FuzzToken(f *testing.F) {
	public, _ := publicKey(f)
	_, other := publicKey(f)
	key, err := parseKey([]byte(public), []string{"EdDSA"})
	if err != nil {
		f.Fatal(err)
	}
	tokens := NewTokens(one(key), TokenOptions{Algorithms: []string{"EdDSA"}, Endless: true})
	f.Add("")
	f.Add("a.b.c")
	f.Add("..")
	f.Add(forge(f, other, `{"alg":"EdDSA"}`, `{"sub":"ann"}`))
	f.Add(strings.TrimRight(forge(f, other, `{"alg":"none"}`, `{"sub":"ann"}`), "="))
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := tokens.Check(token); err == nil || id != (Identity{}) {
			t.Errorf("%q is taken for %+v", token, id)
		}
	})
}
