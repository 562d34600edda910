package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"strings"
	"time"
)

// Wrong tokens of administrators from one address: a burst, then one each refill.
const (
	tokenBurst  = 10
	tokenRefill = time.Second
)

// Administrators knows the token of those who run a node, and bounds how often an
// address may guess it. Safe for concurrent use.
type Administrators struct {
	// Immutable.
	asks    bool              // for a token: there is one
	token   [sha256.Size]byte // its hash
	dots    int               // in it
	guesses *Guesses
}

// NewAdministrators returns the check of a token; "": there are no administrators. full
// is called when the count of wrong tokens starts anew, for all addresses.
func NewAdministrators(token string, full func()) *Administrators {
	return &Administrators{
		asks: token != "", token: sha256.Sum256([]byte(token)), dots: strings.Count(token, "."),
		guesses: newGuesses(tokenRefill, tokenBurst, full),
	}
}

// Standing is what a field Authorization makes of who shows it.
type Standing uint8

const (
	Stranger      Standing = iota // shows no token, or one of another kind
	Administrator                 // shows the token
	WrongToken                    // shows another one; see [Administrators.Wrong]
	TooManyTokens                 // too many from that address were wrong: it was not looked at
)

// Ask reports whether there is a token to be asked for.
func (a *Administrators) Ask() bool { return a.asks }

// Check compares what a field Authorization carries with the token. It takes as long
// for any of the same length, and tells nothing of the token's. A token with another
// number of dots cannot be right, and says nothing either: those of clients have two.
func (a *Administrators) Check(authorization string, from netip.Addr, now time.Time) Standing {
	token, ok := bearer(authorization)
	switch {
	case !ok || !a.asks || token == "" || strings.Count(token, ".") != a.dots:
		return Stranger
	case !a.guesses.Left(from, now):
		return TooManyTokens
	case !a.is(token):
		return WrongToken
	}
	return Administrator
}

// Shown reports whether a field Authorization carries the token, also from where too
// many were wrong. It is for keeping the token from others, and lets nobody in.
func (a *Administrators) Shown(authorization string) bool {
	token, ok := bearer(authorization)
	return ok && a.asks && a.is(token)
}

// is compares hashes, so that the time it takes tells nothing of the token.
func (a *Administrators) is(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1
}

// Wrong counts a wrong token, once something is refused that the right one would have
// opened. Elsewhere a token may be another's, which its bearer has reason to show.
func (a *Administrators) Wrong(from netip.Addr, now time.Time) { a.guesses.Allow(from, now) }
