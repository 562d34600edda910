package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
)

// accepted is what the handshake found out about a client.
type accepted struct {
	acked    bool // umf.ack.v1 was agreed
	identity access.Identity
	refusal  string // not empty: the connection is closed 4401 with it
	token    string // as received, for EDGE_AUTH=service
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
	case !access.Origins(n.cfg.AllowedOrigins).Allow(r.Header("Origin"), r.Host()):
		n.m.Dropped.Inc(stats.DropOrigin)
		return wire.Accept{}, &wire.Rejection{Status: http.StatusForbidden, Reason: "origin is not allowed"}
	}
	got := &accepted{}
	if n.cfg.Auth != config.AuthNone {
		got.token = access.FindToken(r, n.cfg.AuthCookie)
		got.origin, got.uri = r.Header("Origin"), r.URI()
	}
	if n.cfg.Auth == config.AuthJWT {
		var err error
		got.identity, err = n.tokens.Check(got.token)
		got.token = ""
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

// isAdmin checks the bearer token of administrators.
func (n *Node) isAdmin(authorization string) bool {
	return access.AdminToken(n.cfg.AdminToken).Matches(authorization)
}

// keysEvery is how often a JSON Web Key Set is read again: how soon a new key
// is known, and how long one that was withdrawn still counts.
const keysEvery = time.Minute

// newTokens returns the check of tokens that the settings ask for; nil: none.
func newTokens(ctx context.Context, cfg *config.Config, log *slog.Logger) (*access.Tokens, error) {
	if cfg.Auth != config.AuthJWT {
		return nil, nil
	}
	var keys access.Keys
	var err error
	from := "EDGE_AUTH_KEY_FILE"
	if cfg.AuthJwksUrl != "" {
		from = "EDGE_AUTH_JWKS_URL"
		keys, err = access.WatchKeys(ctx, cfg.AuthJwksUrl, keysEvery, func(err error) {
			log.Warn("keys of tokens not read; those of before, if any, count", "error", err)
		})
	} else {
		keys, err = access.LoadKey(cfg.AuthKeyFile, cfg.AuthAlgorithms)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, from, err)
	}
	return access.NewTokens(keys, cfg.AuthAlgorithms, cfg.AuthIssuer, cfg.AuthAudience), nil
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
// before the answer waits.
func (c *client) authenticate(got *accepted) {
	w := c.w
	n := w.node
	refuse := func() { c.close(protocol.CloseUnauthentic, "authentication failed") }
	body, err := json.Marshal(access.Question{IP: c.addr().String(), Origin: got.origin, Token: got.token, URL: got.uri})
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
		if answer == nil || noResponders(answer) {
			refuse()
			return
		}
		verdict := append([]byte(nil), protocol.AnswerBody(&w.inner, answer.Data)...)
		identity, err := access.ReadVerdict(answer.Data, verdict)
		if err != nil {
			refuse()
			return
		}
		c.identity, c.arriving().auth = identity.Name, verdict
		c.expireAt(identity.Expires)
		c.start()
	}) {
		refuse()
	}
}
