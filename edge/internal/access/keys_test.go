package access

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// rsaKey makes the keys of these tests once: to make one takes its time.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// fill puts the numbers of the test's key into a set, whose members are as the
// provider has them.
func fill(set string) string {
	k := rsaKey()
	return strings.NewReplacer("{n}", base64URL(k.N.Bytes()), "{e}", base64URL(big.NewInt(int64(k.E)).Bytes()),
		"{x5c}", base64.StdEncoding.EncodeToString([]byte("a certificate")), "{x5t}", base64URL([]byte("twenty bytes of hash"))).Replace(set)
}

// signed is a token of the test's key.
func signed(t *testing.T, kid, algorithm string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), jwt.MapClaims{"sub": "ann", "exp": 4_000_000_000})
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// setOf is a key set that was read.
func setOf(t *testing.T, text string) *KeySet {
	t.Helper()
	s := NewKeySet(KeySetOptions{Failed: func(error) {}, Skipped: func(string, error) {}, Read: func([]byte, time.Time) {}})
	if err := s.take([]byte(text), time.Now()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKeySetsOfProviders: each has its own members, and keys for others than us. Good
// tokens count, and those of keys that are for something else do not.
func TestKeySetsOfProviders(t *testing.T) {
	files, err := filepath.Glob("testdata/keysets/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d sets, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set := setOf(t, fill(string(text)))
		tokens := NewTokens(set.Find, TokenOptions{Algorithms: []string{"RS256", "ES256", "EdDSA"}})
		for kid, good := range map[string]bool{"signs": true, "signs-next": true, "encrypts": false, "none-of-them": false, "": false} {
			id, err := tokens.Check(signed(t, kid, "RS256"))
			if (err == nil) != good || good && id.Name != "ann" {
				t.Errorf("%s, key %q: %+v, %v", file, kid, id, err)
			}
		}
	}
}

// TestOddKeys: a key that cannot be used harms no other one.
func TestOddKeys(t *testing.T) {
	const good = `{"kty":"RSA","use":"sig","kid":"good","alg":"RS256","n":"{n}","e":"{e}"}`
	for _, odd := range []string{
		`{}`, `null`, `7`, `"key"`, `[]`, `{"kid":"odd"}`, `{"kty":"RSA","kid":"odd"}`, `{"kty":"RSA","kid":"odd","e":"AQAB"}`, `{"kty":"RSA","kid":"odd","n":"{n}"}`,
		`{"kty":"RSA","kid":"odd","n":"!","e":"AQAB"}`, `{"kty":"RSA","kid":"odd","n":"{n}","e":"AQ"}`, `{"kty":"RSA","kid":"odd","n":"{n}","e":7}`, `{"kty":7,"kid":"odd","n":"{n}","e":"{e}"}`,
		`{"kty":"RSA","kid":"odd","N":"{n}","E":"{e}"}`, `{"KTY":"RSA","kid":"odd","n":"{n}","e":"{e}"}`, `{"kty":"rsa","kid":"odd","n":"{n}","e":"{e}"}`, `{"kty":"NEW","kid":"odd","n":"{n}","e":"{e}"}`,
		`{"kty":"RSA","kid":"odd","use":"enc","n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"odd","use":"other","n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"odd","use":7,"n":"{n}","e":"{e}"}`,
		`{"kty":"RSA","kid":"odd","use":null,"n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"odd","key_ops":["encrypt"],"n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"odd","key_ops":"verify","n":"{n}","e":"{e}"}`,
		`{"kty":"RSA","kid":"odd","key_ops":[],"n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"odd","alg":"RSA-OAEP","n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"odd","alg":"HS256","n":"{n}","e":"{e}"}`,
		`{"kty":"RSA","kid":"odd","alg":"none","n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"odd","alg":"","n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"odd","alg":256,"n":"{n}","e":"{e}"}`,
		`{"kty":"RSA","kid":"odd","n":"` + base64URL(make([]byte, 128)) + `","e":"AQAB"}`, `{"kty":"RSA","kid":"odd","n":"` + base64URL(append([]byte{1}, make([]byte, 2048)...)) + `","e":"AQAB"}`,
		`{"kty":"oct","kid":"odd","k":"c2VjcmV0"}`, `{"kty":"EC","crv":"P-256","kid":"odd","x":"AQ","y":"AQ"}`, `{"kty":"EC","crv":"secp256k1","kid":"odd","x":"AQ","y":"AQ"}`,
		`{"kty":"OKP","crv":"X25519","kid":"odd","x":"` + base64URL(make([]byte, 32)) + `"}`, `{"kty":"OKP","crv":"Ed25519","kid":"odd","x":"AQ"}`, `{"kty":"RSA","kid":["odd"],"n":"{n}","e":"{e}"}`,
	} {
		for _, list := range []string{odd + "," + good, good + "," + odd} {
			set := setOf(t, fill(`{"keys":[`+list+`]}`))
			tokens := NewTokens(set.Find, TokenOptions{Algorithms: []string{"RS256", "HS256", "ES256", "EdDSA"}})
			if _, err := tokens.Check(signed(t, "good", "RS256")); err != nil {
				t.Errorf("beside %s: %v", odd, err)
			}
			if _, err := tokens.Check(signed(t, "odd", "RS256")); err == nil {
				t.Errorf("%s verifies", odd)
			}
			secret := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "root", "exp": 4_000_000_000})
			secret.Header["kid"] = "odd"
			text, err := secret.SignedString([]byte("secret"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tokens.Check(text); err == nil {
				t.Errorf("the secret in %s verifies", odd)
			}
		}
	}
}

// TestSmallPoints: under a key whose point has a small order everybody could sign.
func TestSmallPoints(t *testing.T) {
	point := func(first, middle, last byte) ed25519.PublicKey {
		p := bytes.Repeat([]byte{middle}, ed25519.PublicKeySize)
		p[0], p[len(p)-1] = first, last
		return p
	}
	eighth, err := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	if err != nil {
		t.Fatal(err)
	}
	small := []ed25519.PublicKey{point(0, 0, 0), point(0, 0, 0x80), point(1, 0, 0), point(0xec, 0xff, 0x7f), point(0xed, 0xff, 0x7f), point(0xee, 0xff, 0x7f), eighth}
	for _, public := range small {
		set := []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + base64URL(public) + `"}]}`)
		if keys, passed, err := parseSet(set); err != nil || len(keys) != 0 || len(passed) != 1 || !errors.Is(passed[0].why, errSmall) {
			t.Errorf("%x: %v, %v, %v", public, keys, passed, err)
		}
	}
	for range 20 {
		if public, _, err := ed25519.GenerateKey(nil); err != nil || isSmall(public) {
			t.Errorf("%x: %v", public, err)
		}
	}
}

// TestCertificatesAreNotLookedAt: thumbprints have many spellings, and addresses are
// nothing that a node goes to.
func TestCertificatesAreNotLookedAt(t *testing.T) {
	for _, more := range []string{
		`"x5t":"0A1B2C3D4E5F60718293A4B5C6D7E8F901234567"`, `"x5t":"not base64 at all!"`, `"x5t#S256":""`, `"x5u":"http://192.0.2.1/cert"`, `"x5u":":"`,
		`"x5c":[]`, `"x5c":["bm8gY2VydGlmaWNhdGU="]`, `"x5c":"one"`, `"x5c":[7]`, `"issuer":"https://login.example/{tenantid}/v2.0"`, `"exp":1`, `"key_ops":["verify"]`, `"ext":true`,
	} {
		set := setOf(t, fill(`{"keys":[{"kty":"RSA","use":"sig","kid":"k","n":"{n}","e":"{e}",`+more+`}],"more":1}`))
		if _, err := NewTokens(set.Find, TokenOptions{Algorithms: []string{"RS256"}}).Check(signed(t, "k", "RS256")); err != nil {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// TestKeyAndAlgorithm: a key is for its own algorithms, and for one if it says which.
func TestKeyAndAlgorithm(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		key  key
		want string
	}{
		{key{public: &rsaKey().PublicKey}, "RS256 RS384 RS512 PS256 PS384 PS512"},
		{key{public: &rsaKey().PublicKey, algorithm: "PS256"}, "PS256"},
		{key{public: &rsaKey().PublicKey, algorithm: "ES256"}, ""},
		{key{public: &curve.PublicKey}, "ES384"},
		{key{public: edwards}, "EdDSA"},
		{key{public: []byte("secret")}, ""},
		{key{}, ""},
	} {
		var got []string
		for _, algorithm := range append([]string{"HS256", "none", ""}, verifying...) {
			if test.key.suits(algorithm) {
				got = append(got, algorithm)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%T for %q is for %v, want %s", test.key.public, test.key.algorithm, got, test.want)
		}
	}
}

// TestNoSet: what is no set replaces none.
func TestNoSet(t *testing.T) {
	for _, text := range []string{``, `no`, `<html>`, `[]`, `{}`, `{"keys":null}`, `{"keys":{}}`, `{"Keys":[]}`, `{"keys":"[]"}`, `{"keys":[]} ` + "\x00", `{"keys":[` + strings.Repeat(`{},`, 1000) + `{}]}`} {
		if _, _, err := parseSet([]byte(text)); !errors.Is(err, ErrNoSet) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// TestTokenWithoutKid: it needs no name where there is no choice.
func TestTokenWithoutKid(t *testing.T) {
	const one, other = `{"kty":"RSA","n":"{n}","e":"{e}"}`, `{"kty":"RSA","kid":"k","n":"{n}","e":"{e}"}`
	for list, good := range map[string]bool{one: true, other: true, one + "," + other: false} {
		set := setOf(t, fill(`{"keys":[`+list+`]}`))
		if _, err := NewTokens(set.Find, TokenOptions{Algorithms: []string{"RS256"}}).Check(signed(t, "", "RS256")); (err == nil) != good {
			t.Errorf("%s: %v", list, err)
		}
	}
}

// FuzzKeySet: whatever a set holds, the keys that are taken from it are public ones
// of a usable size, for signatures, and tell their own kid.
func FuzzKeySet(f *testing.F) {
	files, err := filepath.Glob("testdata/keysets/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(fill(string(text))))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"OKP","crv":"Ed25519","x":"` + base64URL(make([]byte, 32)) + `"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, passed, err := parseSet(text)
		if err != nil {
			if len(keys)+len(passed) > 0 {
				t.Errorf("%q is no set, and has %d keys", text, len(keys)+len(passed))
			}
			return
		}
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(text, &set); err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		for _, k := range keys {
			switch public := k.public.(type) {
			case *rsa.PublicKey:
				if n := public.N.BitLen(); n < minModulus || n > maxModulus {
					t.Errorf("%q: a key of %d bits", text, n)
				}
			case *ecdsa.PublicKey:
				if _, err := public.ECDH(); err != nil {
					t.Errorf("%q: a key off its curve", text)
				}
			case ed25519.PublicKey:
				if len(public) != ed25519.PublicKeySize {
					t.Errorf("%q: a key of %d bytes", text, len(public))
				}
			default:
				t.Errorf("%q: a key of type %T", text, k.public)
			}
			if k.algorithm == "none" || strings.HasPrefix(k.algorithm, "HS") {
				t.Errorf("%q: a key for %q", text, k.algorithm)
			}
		}
		_ = fmt.Sprint(passed) // their reasons have a text
	})
}
