package access

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"hydrant/umf"
)

// Errors about the key of the tokens, or about a token.
var (
	// ErrEmptySecret: the file of the HMAC secret has none in it.
	ErrEmptySecret = errors.New("the HMAC secret is empty: anybody could sign")
	// ErrShortSecret: the HMAC secret is shorter than the least hash (RFC 7518 §3.2).
	ErrShortSecret = errors.New("the HMAC secret is shorter than 32 bytes")
	// ErrMixedAlgorithms: both HMAC and public-key algorithms are allowed, so that
	// whoever has the public key, which is no secret, could sign with it.
	ErrMixedAlgorithms = errors.New("HMAC and public-key algorithms cannot be allowed together")
	// ErrNoKey: the file holds no public key in PEM.
	ErrNoKey = errors.New("no PEM public key (Ed25519, ECDSA, RSA)")
	// ErrUnfitKey: no token can be verified with the public key, or everybody's.
	ErrUnfitKey = errors.New("the public key cannot be used")
	// ErrNoSubject: a valid token does not say who its bearer is, in text that a header
	// can carry unchanged.
	ErrNoSubject = errors.New("token without sub")
	// ErrSpelling: a token is spelt in another way than it was when it was made.
	ErrSpelling = errors.New("token with line ends")
	// ErrCritical: a token has a critical extension.
	ErrCritical = errors.New("token with crit")
)

// Keys finds the key that a token was signed with. Safe for concurrent use.
type Keys jwt.Keyfunc

// LoadKey reads a public key or, where only HMAC algorithms are allowed, a secret:
// a public key must never serve as one. It fails with [ErrEmptySecret],
// [ErrShortSecret], [ErrMixedAlgorithms], [ErrNoKey], [ErrUnfitKey], or the error of the
// file.
func LoadKey(file string, algorithms []string) (Keys, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text, algorithms)
	if err != nil {
		return nil, err
	}
	return one(key), nil
}

// one is the keys of a node that has one.
func one(of any) Keys {
	if secret, ok := of.([]byte); ok {
		return func(*jwt.Token) (any, error) { return secret, nil }
	}
	k := key{public: of}
	return func(t *jwt.Token) (any, error) {
		if !k.suits(t.Method.Alg()) {
			return nil, ErrUnknownKey
		}
		return k.public, nil
	}
}

// leastSecret is the length of the least hash (bytes).
const leastSecret = 32

func parseKey(text []byte, algorithms []string) (any, error) {
	secrets := 0
	for _, a := range algorithms {
		if strings.HasPrefix(a, "HS") {
			secrets++
		}
	}
	switch {
	case secrets == len(algorithms):
		secret := strings.TrimRight(string(text), "\r\n")
		if secret == "" {
			return nil, ErrEmptySecret
		}
		if len(secret) < leastSecret {
			return nil, ErrShortSecret
		}
		return []byte(secret), nil
	case secrets > 0:
		return nil, ErrMixedAlgorithms
	}
	parsers := []func([]byte) (crypto.PublicKey, error){
		func(b []byte) (crypto.PublicKey, error) { return jwt.ParseEdPublicKeyFromPEM(b) },
		func(b []byte) (crypto.PublicKey, error) { return jwt.ParseECPublicKeyFromPEM(b) },
		func(b []byte) (crypto.PublicKey, error) { return jwt.ParseRSAPublicKeyFromPEM(b) },
	}
	for _, parse := range parsers {
		public, err := parse(text)
		if err != nil {
			continue
		}
		k := key{public: public}
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnfitKey, err)
		}
		if !slices.ContainsFunc(algorithms, k.suits) {
			return nil, fmt.Errorf("%w: it is for none of %s", ErrUnfitKey, strings.Join(algorithms, ", "))
		}
		return public, nil
	}
	return nil, ErrNoKey
}

// Tokens verifies JSON Web Tokens (RFC 7519). Immutable, and safe for concurrent
// use.
type Tokens struct {
	parser *jwt.Parser
	keys   Keys
}

// TokenOptions say which tokens count.
type TokenOptions struct {
	Algorithms []string // one of them must have signed it
	Issuer     string   // required; "": any
	Audience   string   // required; "": any
	Endless    bool     // also tokens without exp
}

// NewTokens takes tokens that one of the keys has signed.
func NewTokens(keys Keys, o TokenOptions) *Tokens {
	options := []jwt.ParserOption{jwt.WithValidMethods(o.Algorithms), jwt.WithStrictDecoding()}
	if !o.Endless {
		options = append(options, jwt.WithExpirationRequired())
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	return &Tokens{parser: jwt.NewParser(options...), keys: keys}
}

// Check returns the subject and the expiry of a valid token. It fails with
// [ErrUnchecked] if it cannot say now whether the token is valid; else the token is
// not, for [ErrNoSubject] or a reason of package jwt's.
func (t *Tokens) Check(token string) (Identity, error) {
	if strings.ContainsAny(token, "\r\n") { // which the decoding passes over
		return Identity{}, ErrSpelling
	}
	said := claims{}
	if _, err := t.parser.ParseWithClaims(token, &said, t.find); err != nil {
		return Identity{}, err
	}
	name, err := said.GetSubject()
	if err != nil || !carried(name) {
		return Identity{}, ErrNoSubject
	}
	id := Identity{Name: name, Rules: string(umf.Member(said.text, "umf"))}
	if expires, err := said.GetExpirationTime(); err != nil {
		return Identity{}, err
	} else if expires != nil {
		id.Expires = expires.Time
	}
	return id, nil
}

// find looks for the key of a token. What a token declares critical must be
// understood (RFC 7515 §4.1.11), and nothing of that is here.
func (t *Tokens) find(token *jwt.Token) (any, error) {
	if _, there := token.Header["crit"]; there {
		return nil, ErrCritical
	}
	return t.keys(token)
}
