package edge

import (
	"context"
	"crypto"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
	"hydrant/umf"
)

// accepted is what the handshake found out about a client.
type accepted struct {
	acked    bool // umf.ack.v1 was agreed
	identity string
	expires  time.Time // zero: never
	refusal  string    // not empty: the connection is closed 4401 with it
	token    string    // as received, for EDGE_AUTH=service
	origin   string
	uri      string
}

// retryLater goes with every 503 of a handshake: another node may take it.
var retryLater = http.Header{"Retry-After": {"1"}}

// Upgrade implements [wire.Handler]: who may connect at all.
func (n *Node) Upgrade(r *wire.Request) (wire.Accept, error) {
	switch {
	case n.leaving.Load():
		return wire.Accept{}, &wire.Rejection{Status: http.StatusServiceUnavailable, Reason: "node is stopping", Header: retryLater}
	case n.short.Load():
		n.m.Shed.Inc(stats.ShedRefused)
		return wire.Accept{}, &wire.Rejection{Status: http.StatusServiceUnavailable, Reason: "node is short of memory", Header: retryLater}
	case !n.fit.Load():
		return wire.Accept{}, &wire.Rejection{Status: http.StatusServiceUnavailable, Reason: "node is not ready", Header: retryLater}
	case !n.originAllowed(r.Header("Origin"), r.Host()):
		n.m.Dropped.Inc(stats.DropOrigin)
		return wire.Accept{}, &wire.Rejection{Status: http.StatusForbidden, Reason: "origin is not allowed"}
	}
	got := &accepted{}
	if n.cfg.Auth != "none" {
		got.token = n.findToken(r)
		got.origin, got.uri = r.Header("Origin"), r.URI()
	}
	if n.cfg.Auth == "jwt" {
		identity, expires, err := n.tokens.check(got.token)
		got.identity, got.expires, got.token = identity, expires, ""
		if err != nil {
			n.log.Info("token refused", "address", r.RemoteAddr().Addr(), "error", err)
			got.refusal = "authentication failed"
		}
	}
	// The first offer stands, as in the original, where umf.ack.v1 is not among
	// them: browsers fail where none is selected.
	chosen := ""
	offered := r.Protocols()
	if got.acked = slices.Contains(offered, protocol.SubprotocolAck); got.acked {
		chosen = protocol.SubprotocolAck
	} else if len(offered) > 0 {
		chosen = offered[0]
	}
	return wire.Accept{Protocol: chosen, Data: got}, nil
}

// originAllowed implements the Origin check of RFC 6455 §10.2: browsers may
// connect from the same host, or from listed origins. Other clients send none.
func (n *Node) originAllowed(origin, host string) bool {
	if origin == "" {
		return true
	}
	for _, allowed := range n.cfg.AllowedOrigins {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// findToken takes the token from the header, the subprotocol, the cookie or
// the query, in this order.
func (n *Node) findToken(r *wire.Request) string {
	if scheme, token, ok := strings.Cut(r.Header("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	for _, p := range r.Protocols() {
		if token, ok := strings.CutPrefix(p, protocol.SubprotocolAuth); ok {
			return token
		}
	}
	if token := cookieOf(r.Header("Cookie"), n.cfg.AuthCookie); token != "" {
		return token
	}
	if u, err := url.ParseRequestURI(r.URI()); err == nil {
		return u.Query().Get("access_token")
	}
	return ""
}

// cookieOf is the value of a cookie; "" if there is none. Malformed ones of
// other applications are passed over, where http.ParseCookie gives up.
func cookieOf(header, name string) string {
	r := http.Request{Header: http.Header{"Cookie": {header}}}
	cookie, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// isAdmin checks the bearer token of administrators in constant time.
func (n *Node) isAdmin(authorization string) bool {
	scheme, token, ok := strings.Cut(authorization, " ")
	return ok && n.cfg.AdminToken != "" && strings.EqualFold(scheme, "Bearer") &&
		subtle.ConstantTimeCompare([]byte(token), []byte(n.cfg.AdminToken)) == 1
}

// keysEvery is how often a JSON Web Key Set is read again: how soon a new key
// is known, and how long one that was withdrawn still counts.
const keysEvery = time.Minute

// keysTimeout bounds one reading of it.
const keysTimeout = 10 * time.Second

// tokenChecker verifies JSON Web Tokens (RFC 7519). Safe for concurrent use.
type tokenChecker struct {
	parser *jwt.Parser
	key    jwt.Keyfunc
}

func newTokenChecker(ctx context.Context, cfg *Config, log *slog.Logger, every time.Duration) (*tokenChecker, error) {
	if cfg.Auth != "jwt" {
		return nil, nil
	}
	options := []jwt.ParserOption{jwt.WithValidMethods(cfg.AuthAlgorithms)}
	if cfg.AuthIssuer != "" {
		options = append(options, jwt.WithIssuer(cfg.AuthIssuer))
	}
	if cfg.AuthAudience != "" {
		options = append(options, jwt.WithAudience(cfg.AuthAudience))
	}
	t := &tokenChecker{parser: jwt.NewParser(options...)}
	if cfg.AuthJwksUrl != "" {
		// Loops check tokens, so nobody may make a check read the set by naming a
		// key that is not in it, as keyfunc does by default.
		never := rate.NewLimiter(0, 0)
		set, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{cfg.AuthJwksUrl}, keyfunc.Override{
			RefreshUnknownKID: never, RefreshInterval: every, HTTPTimeout: keysTimeout,
			RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
				return func(_ context.Context, err error) {
					log.Warn("keys of tokens not read; those of before, if any, count", "error", err)
				}
			},
		})
		if err != nil {
			return nil, fmt.Errorf("%w: EDGE_AUTH_JWKS_URL: %w", ErrConfig, err)
		}
		t.key = set.Keyfunc
		return t, nil
	}
	key, err := loadTokenKey(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: EDGE_AUTH_KEY_FILE: %w", ErrConfig, err)
	}
	t.key = func(*jwt.Token) (any, error) { return key, nil }
	return t, nil
}

// loadTokenKey reads a public key or, when only HMAC algorithms are allowed, a
// secret: a public key must never serve as one.
func loadTokenKey(cfg *Config) (any, error) {
	text, err := os.ReadFile(cfg.AuthKeyFile)
	if err != nil {
		return nil, err
	}
	secrets := 0
	for _, a := range cfg.AuthAlgorithms {
		if strings.HasPrefix(a, "HS") {
			secrets++
		}
	}
	switch {
	case secrets == len(cfg.AuthAlgorithms):
		secret := strings.TrimRight(string(text), "\r\n")
		if secret == "" {
			return nil, errors.New("the HMAC secret is empty: anybody could sign")
		}
		return []byte(secret), nil
	case secrets > 0:
		return nil, errors.New("HMAC and public-key algorithms cannot be allowed together")
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
	return nil, errors.New("no PEM public key (Ed25519, ECDSA, RSA)")
}

// check returns the subject and the expiry of a valid token.
func (t *tokenChecker) check(token string) (identity string, expires time.Time, err error) {
	claims := jwt.RegisteredClaims{}
	if _, err := t.parser.ParseWithClaims(token, &claims, t.key); err != nil {
		return "", time.Time{}, err
	}
	if claims.Subject == "" {
		return "", time.Time{}, errors.New("token without sub")
	}
	if claims.ExpiresAt != nil {
		expires = claims.ExpiresAt.Time
	}
	return claims.Subject, expires, nil
}

// expireAt closes the connection with 4401 when its token ends.
func (c *client) expireAt(at time.Time) {
	if at.IsZero() {
		return
	}
	left := max(at.Sub(c.w.loop.Now()), time.Millisecond)
	c.expiry = c.w.loop.AfterFunc(left, func() { c.close(protocol.CloseUnauthentic, "token expired") })
}

// authenticate asks EDGE_AUTH_SERVICE about a client. What the client sends
// before the answer waits (FAILURES R45).
func (c *client) authenticate(got *accepted) {
	w := c.w
	n := w.node
	refuse := func() { c.close(protocol.CloseUnauthentic, "authentication failed") }
	body, err := json.Marshal(map[string]string{"token": got.token, "ip": c.addr().String(), "origin": got.origin, "url": got.uri})
	if err != nil {
		refuse()
		return
	}
	msg := protocol.Message{To: n.cfg.AuthService + ":[POST]/v1/auth", Type: "auth", Body: body}
	subject, err := bus.ServiceSubject(n.cfg.AuthService)
	if err != nil {
		refuse()
		return
	}
	if !w.ask(c, subject, nil, w.encode(nil, msg), nil, func(answer *nats.Msg) {
		if c.closing {
			return
		}
		if answer == nil || noResponders(answer) || failed(answer.Data) {
			refuse()
			return
		}
		result := append([]byte(nil), protocol.AnswerBody(&w.inner, answer.Data)...)
		var verdict struct {
			Error    json.RawMessage `json:"error"`
			Identity string          `json:"identity"`
			Expires  float64         `json:"exp"`
		}
		if umf.Scan(result, &w.inner) != nil || failed(result) || json.Unmarshal(result, &verdict) != nil || len(verdict.Error) > 0 {
			refuse()
			return
		}
		c.identity, c.arriving().auth = verdict.Identity, result
		if verdict.Expires > 0 {
			c.expireAt(time.Unix(int64(verdict.Expires), 0))
		}
		c.start()
	}) {
		refuse()
	}
}

// failed reports whether an answer has a statusCode, as answers over HTTP do in
// the original, and it is not one of success.
func failed(answer []byte) bool {
	code := umf.Member(answer, "statusCode")
	if code == nil {
		return false
	}
	status, err := strconv.Atoi(string(code))
	return err != nil || status < 200 || status > 299
}
