package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/api"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
)

// What a node hands to its parts.

// share is what the shards know of the node, but for NATS.
func (n *Node) share(tracing trace.TracerProvider) *shard.Node {
	return &shard.Node{
		ID: n.id, Router: protocol.AppendRouter(nil, string(n.id), n.cfg.ServiceName), Config: &n.cfg,
		Log: n.log, Metrics: n.metrics, Tracing: shard.NewTracing(tracing, n.id, Version), Started: n.started,
		Stopped:    n.ctx,
		Signatures: newSignatures(&n.cfg, n.metrics),
		Rules:      n.rules,
		Guesses:    access.NewGuesses(n.metrics.Dropped.Counting(stats.DropGuessTable)),
		ClientLog:  stats.NewClientLog(n.metrics.Dropped.Counting(stats.DropClientLog)),
		Connected:  &n.nats.connected, MaxPayload: &n.nats.maxPayload, Epoch: n.epoch,
		Calls: n.pool,
	}
}

// shareNATS adds what there is once the node has its store.
func (n *Node) shareNATS(shards int) {
	n.shared.Shards = shards
	n.shared.Directory = directory{n}
	n.shared.Mailboxes = mailboxes{n}
	n.shared.Peers = peers{n}
}

// apiNode is what the API knows of the node.
func (n *Node) apiNode(level *slog.LevelVar) api.Node {
	return api.Node{
		ID: n.id, Router: n.shared.Router, Version: Version, Started: n.started, Config: &n.cfg,
		Log: n.log, LogLevel: level, Metrics: n.metrics, ClientLog: n.shared.ClientLog, Signatures: n.shared.Signatures, Rules: n.rules,
		Readiness: n.ready.reasons, Connected: n.nats.connected.Load, ShortOfMemory: n.short.Load, Connections: n.connections, Drain: n.Drain,
		NATS: func() *api.NATS {
			if !n.serving.Load() {
				return nil
			}
			l := n.nats.link.Load()
			return &api.NATS{Conn: l.conn, Store: l.store, Directory: l.directory, Discovery: l.discovery}
		},
	}
}

// newSignatures returns the check of signatures that the settings ask for; nil:
// none.
func newSignatures(cfg *config.Config, m *stats.Metrics) *access.Signatures {
	if cfg.Signature != config.SignatureRequired {
		return nil
	}
	return access.NewSignatures(cfg.SignatureKeys, cfg.SignatureWindow, m.Dropped.Counting(stats.DropReplayTable))
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

// serveAdmin opens the administrators' listener.
func (n *Node) serveAdmin() error {
	n.admin = n.api.Server(n.api.Admin())
	if n.cfg.AdminListen == "" {
		return nil
	}
	listener, err := api.ListenAdmin(n.cfg.AdminListen)
	if err != nil {
		return err
	}
	n.log.Info("administration", "listen", listener.Addr().String())
	n.background.Go(func() {
		if err := n.admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("administrators' listener ended", "error", err)
		}
	})
	return nil
}
