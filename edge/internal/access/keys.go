package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"

	"hydrant/umf"
)

// key is a public key that verifies tokens.
type key struct {
	id        string // kid; "": it has none
	algorithm string // the only one that it is for; "": any that suits
	public    crypto.PublicKey
}

// suits reports whether the key is for an algorithm (RFC 7518 §3.1, RFC 8037).
func (k *key) suits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[public.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// Bounds of a key set: what a provider has is far below.
const (
	maxSet     = 1 << 20 // bytes
	maxSetKeys = 1000
	minModulus = 2048 // bits of RSA (RFC 7518 §3.3)
	maxModulus = 8192 // to verify with a larger one would hold up a loop
)

// ErrNoSet: a text is no JSON Web Key Set.
var ErrNoSet = errors.New("access: no JSON Web Key Set")

// Errors about one key of a set.
var (
	errNoKey     = errors.New("no key")
	errUse       = errors.New("not for signatures")
	errSymmetric = errors.New("a secret, which no set may tell")
	errWeak      = fmt.Errorf("its modulus is not between %d and %d bits", minModulus, maxModulus)
	errOddKey    = errors.New("of an unknown kind")
	errSmall     = errors.New("a point for which anybody can sign")
)

// skipped is a key of a set that is not used.
type skipped struct {
	id  string
	why error
}

// parseSet reads a key set (RFC 7517). Keys that cannot be used are passed over
// (§5): a set has keys for others too.
func parseSet(text []byte) (keys []key, passed []skipped, err error) {
	var e umf.Envelope
	var list []json.RawMessage
	if err := umf.Scan(text, &e); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNoSet, err)
	}
	raw := umf.Member(text, "keys")
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil || len(list) > maxSetKeys {
		return nil, nil, fmt.Errorf("%w: keys is no array, or one of more than %d", ErrNoSet, maxSetKeys)
	}
	for _, raw := range list {
		k, err := parseKeyOfSet(raw)
		if err != nil {
			passed = append(passed, skipped{k.id, err})
			continue
		}
		keys = append(keys, k)
	}
	return keys, passed, nil
}

// parseKeyOfSet reads one key. Only the members that make it are looked at, by
// their exact names. Its certificates are not: neither is a chain checked, nor
// fetched, and providers write thumbprints in ways of their own.
func parseKeyOfSet(raw []byte) (key, error) {
	member := func(name string) string {
		text, _ := umf.MemberText(raw, name)
		return text
	}
	k := key{id: member("kid")}
	switch kty := umf.Member(raw, "kty"); {
	case kty == nil:
		return k, errNoKey
	case member("kty") == string(jwkset.KtyOct):
		return k, errSymmetric
	case !forSignatures(raw):
		return k, errUse
	case !absent(umf.Member(raw, "kid")) && k.id == "":
		return k, errNoKey // its name is no text, and no token can have it
	}
	if algorithm := umf.Member(raw, "alg"); algorithm != nil {
		if k.algorithm = member("alg"); k.algorithm == "" {
			return k, errUse
		}
	}
	parsed, err := jwkset.NewJWKFromMarshal(jwkset.JWKMarshal{
		KTY: jwkset.KTY(member("kty")), CRV: jwkset.CRV(member("crv")), X: member("x"), Y: member("y"), N: member("n"), E: member("e"),
	}, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipMetadata: true})
	if err != nil {
		return k, err
	}
	k.public = parsed.Key()
	return k, k.check()
}

// forSignatures reports whether the use of a key and its operations (RFC 7517 §4.2,
// §4.3), where it tells them, let it verify signatures.
func forSignatures(raw []byte) bool {
	if umf.Member(raw, "use") != nil {
		if use, _ := umf.MemberText(raw, "use"); use != string(jwkset.UseSig) {
			return false
		}
	}
	operations := umf.Member(raw, "key_ops")
	if operations == nil {
		return true
	}
	var list []string
	return json.Unmarshal(operations, &list) == nil && slices.Contains(list, string(jwkset.KeyOpsVerify))
}

// check finds out whether the key is of use to anybody.
func (k *key) check() error {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < minModulus || n > maxModulus {
			return errWeak
		}
	case ed25519.PublicKey:
		if len(public) == ed25519.PublicKeySize && isSmall(public) {
			return errSmall
		}
	}
	if !slices.ContainsFunc(verifying, k.suits) {
		return errOddKey
	}
	return nil
}

// isSmall reports whether a key is one of the few points of an order up to 8 (RFC 8032
// §5.1.7 does not ask for that). Under such a key a signature that is made of nothing
// is right for one message in eight, and under any other key for none.
func isSmall(public ed25519.PublicKey) bool {
	nothing := make([]byte, ed25519.SignatureSize)
	nothing[0] = 1 // the neutral point, and 0
	for i := range byte(128) {
		if ed25519.Verify(public, []byte{i}, nothing) {
			return true
		}
	}
	return false
}

// verifying are the algorithms that a public key can be for.
var verifying = []string{"EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
