package edge

import (
	"net/http"
	"slices"

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
	case !access.Origins(n.cfg.AllowedOrigins).Allow(r.Header("Origin"), r.Host()):
		n.metrics.Dropped.Inc(stats.DropOrigin)
		return wire.Accept{}, &wire.Rejection{Status: http.StatusForbidden, Reason: "origin is not allowed"}
	}
	a := &shard.Arrival{}
	if n.cfg.Auth != config.AuthNone {
		a.Token = access.FindToken(r, n.cfg.AuthCookie)
		a.Origin, a.URI = r.Header("Origin"), r.URI()
	}
	if n.cfg.Auth == config.AuthJWT {
		var err error
		a.Identity, err = n.tokens.Check(a.Token)
		a.Token = ""
		if err != nil {
			n.log.Info("token refused", "address", r.RemoteAddr().Addr(), "error", err)
			a.Refusal = "authentication failed"
		}
	}
	// The first offer stands, as in Hydra Router, where umf.ack.v1 is not among
	// them: browsers fail where none is selected.
	chosen := ""
	offered := r.Protocols()
	if a.Acked = slices.Contains(offered, protocol.SubprotocolAck); a.Acked {
		chosen = protocol.SubprotocolAck
	} else if len(offered) > 0 {
		chosen = offered[0]
	}
	return wire.Accept{Protocol: chosen, Data: a}, nil
}
