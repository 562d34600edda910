package edge

import (
	"errors"
	"net/http"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
)

// later refuses with 503: another node may take the client.
func later(reason string) (wire.Accept, error) {
	return wire.Accept{}, &wire.Rejection{Status: http.StatusServiceUnavailable, Reason: reason, Header: http.Header{"Retry-After": {"1"}}}
}

// refuse refuses for good.
func refuse(status int, reason string) (wire.Accept, error) {
	return wire.Accept{}, &wire.Rejection{Status: status, Reason: reason}
}

// upgrade decides who may connect at all. It runs on the loop of the connection.
func (n *Node) upgrade(r *wire.Request) (wire.Accept, error) {
	switch {
	case n.leaving.Load():
		return later("node is stopping")
	case n.short.Load():
		n.metrics.Shed.Inc(stats.ShedRefused)
		return later("node is short of memory")
	case !n.ready.fit():
		return later("node is not ready")
	case !access.Origins(n.cfg.AllowedOrigins).Allow(r.Header("Origin"), access.Site{Host: r.Host(), Scheme: access.ForwardedScheme(r.ForwardedProto())}):
		n.api.RefuseOrigin(r.Header("Origin"))
		return refuse(http.StatusForbidden, "origin is not allowed")
	}
	protocols := r.Protocols()
	chosen, second, ok := protocol.Select(protocols)
	if !ok {
		return refuse(http.StatusBadRequest, "offer the subprotocol "+protocol.Subprotocol+" too: one that carries a secret is never selected")
	}
	a := &shard.Arrival{Acked: chosen == protocol.SubprotocolAck, Second: second, Shared: r.Shared()}
	if second {
		var err error
		if a.Resume, err = protocol.FindResume(protocols); err != nil {
			return refuse(http.StatusBadRequest, "the subprotocol "+protocol.SubprotocolResume+" is one of <id>.<token>.<attempt>, or <id>.<token>.<attempt>.<seq>")
		}
	}
	if a.Shared {
		n.unnamed.Do(func() {
			n.log.Warn("a trusted proxy does not say whom it speaks for, so that no limits by address hold", "proxy", r.RemoteAddr().Addr())
		})
	}
	switch n.cfg.Auth {
	case config.AuthService:
		a.Token = access.FindToken(r, n.cfg.AuthCookie)
		a.Origin, a.URI = r.Header("Origin"), r.URI()
	case config.AuthJWT:
		var err error
		a.Identity, err = n.tokens.Check(access.FindToken(r, n.cfg.AuthCookie))
		if errors.Is(err, access.ErrUnchecked) {
			n.metrics.Dropped.Inc(stats.DropUnchecked)
			return later("tokens cannot be checked now")
		}
		if err != nil {
			n.log.Info("token refused", "address", r.RemoteAddr().Addr(), "error", err)
			a.Refusal = "authentication failed"
		}
	}
	return wire.Accept{Protocol: chosen, Data: a}, nil
}
