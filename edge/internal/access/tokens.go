package access

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// Identity is who a client is, and until when that holds.
type Identity struct {
	Name    string    // "" if the authentication service gave none
	Expires time.Time // zero: never
	Rules   string    // rule set of its own, as JSON; "": none
}

// Errors about the key of the tokens, or about a token.
var (
	// ErrEmptySecret: the file of the HMAC secret has none in it.
	ErrEmptySecret = errors.New("the HMAC secret is empty: anybody could sign")
	// ErrMixedAlgorithms: both HMAC and public-key algorithms are allowed, so that
	// whoever has the public key, which is no secret, could sign with it.
	ErrMixedAlgorithms = errors.New("HMAC and public-key algorithms cannot be allowed together")
	// ErrNoKey: the file holds no public key in PEM.
	ErrNoKey = errors.New("no PEM public key (Ed25519, ECDSA, RSA)")
	// ErrNoSubject: a valid token does not say who its bearer is.
	ErrNoSubject = errors.New("token without sub")
)

// Keys finds the key that a token was signed with. Safe for concurrent use.
type Keys jwt.Keyfunc

// keysTimeout bounds one reading of a key set.
const keysTimeout = 10 * time.Second

// WatchKeys reads a JSON Web Key Set (RFC 7517) from an address, and again in the
// background until ctx ends. every is how soon a new key is known, and how long
// one that was withdrawn still counts. failed is told when the set could not be
// read; the keys from before, if there are any, go on to count.
func WatchKeys(ctx context.Context, address string, every time.Duration, failed func(error)) (Keys, error) {
	never := rate.NewLimiter(0, 0) // see the package's Design
	set, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{address}, keyfunc.Override{
		RefreshUnknownKID: never, RefreshInterval: every, HTTPTimeout: keysTimeout,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(_ context.Context, err error) { failed(err) }
		},
	})
	if err != nil {
		return nil, err
	}
	return set.Keyfunc, nil
}

// LoadKey reads a public key or, where only HMAC algorithms are allowed, a secret:
// a public key must never serve as one. It fails with [ErrEmptySecret],
// [ErrMixedAlgorithms], [ErrNoKey], or the error of the file.
func LoadKey(file string, algorithms []string) (Keys, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text, algorithms)
	if err != nil {
		return nil, err
	}
	return func(*jwt.Token) (any, error) { return key, nil }, nil
}

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
		if key, err := parse(text); err == nil {
			return key, nil
		}
	}
	return nil, ErrNoKey
}

// Tokens verifies JSON Web Tokens (RFC 7519). Immutable, and safe for concurrent
// use.
type Tokens struct {
	parser *jwt.Parser
	keys   Keys
}

// NewTokens takes tokens that one of the keys has signed by one of the
// algorithms. issuer and audience are required of them unless empty.
func NewTokens(keys Keys, algorithms []string, issuer, audience string) *Tokens {
	options := []jwt.ParserOption{jwt.WithValidMethods(algorithms)}
	if issuer != "" {
		options = append(options, jwt.WithIssuer(issuer))
	}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	return &Tokens{parser: jwt.NewParser(options...), keys: keys}
}

// tokenClaims are those of a token that count.
type tokenClaims struct {
	jwt.RegisteredClaims
	rules string // of the claim umf; "": there is none
}

// UnmarshalJSON takes umf by that very name, and so that none is passed over.
func (c *tokenClaims) UnmarshalJSON(text []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	c.rules = string(all["umf"])
	return json.Unmarshal(text, &c.RegisteredClaims)
}

// Check returns the subject, the rules and the expiry of a valid token. It fails with
// [ErrNoSubject] or an error of package jwt.
func (t *Tokens) Check(token string) (Identity, error) {
	claims := tokenClaims{}
	if _, err := t.parser.ParseWithClaims(token, &claims, jwt.Keyfunc(t.keys)); err != nil {
		return Identity{}, err
	}
	if claims.Subject == "" {
		return Identity{}, ErrNoSubject
	}
	id := Identity{Name: claims.Subject, Rules: claims.rules}
	if claims.ExpiresAt != nil {
		id.Expires = claims.ExpiresAt.Time
	}
	return id, nil
}
