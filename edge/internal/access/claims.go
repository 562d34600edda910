package access

import (
	"encoding/json"
	"errors"

	"github.com/golang-jwt/jwt/v5"

	"hydrant/umf"
)

// errClaim: a claim is there, and not of its kind.
var errClaim = errors.New("claim of another kind")

// claims are what a token says. Its members are found by their exact names, which
// encoding/json would not insist on: a "Sub" behind the "sub" would win. It
// implements [jwt.Claims].
type claims struct{ text []byte }

// UnmarshalJSON keeps the text, which must be a JSON object.
func (c *claims) UnmarshalJSON(text []byte) error {
	var e umf.Envelope
	if err := umf.Scan(text, &e); err != nil {
		return err
	}
	c.text = append(c.text[:0], text...)
	return nil
}

func (c *claims) string(name string) (string, error) {
	text, ok := umf.MemberText(c.text, name)
	if !ok && umf.Member(c.text, name) != nil {
		return "", errClaim
	}
	return text, nil
}

func (c *claims) moment(name string) (*jwt.NumericDate, error) {
	raw := umf.Member(c.text, name)
	if raw == nil {
		return nil, nil
	}
	at, ok := moment(raw)
	if !ok {
		return nil, errClaim
	}
	return &jwt.NumericDate{Time: at}, nil
}

// GetExpirationTime implements [jwt.Claims].
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.moment("exp") }

// GetNotBefore implements [jwt.Claims].
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.moment("nbf") }

// GetIssuedAt implements [jwt.Claims].
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.moment("iat") }

// GetIssuer implements [jwt.Claims].
func (c *claims) GetIssuer() (string, error) { return c.string("iss") }

// GetSubject implements [jwt.Claims].
func (c *claims) GetSubject() (string, error) { return c.string("sub") }

// GetAudience implements [jwt.Claims]. It is one text, or an array of them.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) {
	raw := umf.Member(c.text, "aud")
	var list []*string
	switch {
	case raw == nil:
		return nil, nil
	case raw[0] == '"':
		one, err := c.string("aud")
		return jwt.ClaimStrings{one}, err
	case raw[0] != '[' || json.Unmarshal(raw, &list) != nil:
		return nil, errClaim
	}
	var all jwt.ClaimStrings
	for _, one := range list {
		if one == nil {
			return nil, errClaim
		}
		all = append(all, *one)
	}
	return all, nil
}
