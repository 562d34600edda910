package edge

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/api"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/crowd"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/tail"
)

// What a node hands to its parts.

// share is what the shards know of the node, but for NATS.
func (n *Node) share(tracing trace.TracerProvider) *shard.Node {
	return &shard.Node{
		ID: n.id, Router: protocol.AppendRouter(nil, string(n.id), n.cfg.ServiceName), Config: &n.cfg,
		Log: n.log, Metrics: n.metrics, Tracing: shard.NewTracing(tracing, n.id, Version), Started: n.started,
		Stopped:    n.ctx,
		Signatures: newSignatures(&n.cfg, n.metrics), CheckToken: n.tokens.Check,
		Rules:     n.rules,
		Guesses:   access.NewGuesses(n.metrics.Dropped.Counting(stats.DropGuessTable)),
		Accounts:  newAccounts(&n.cfg, n.metrics),
		Mail:      quota.NewMail(n.cfg.QueueLimit, int(n.cfg.QueueBytes), n.metrics.Dropped.Counting(stats.DropMailTable)),
		ClientLog: stats.NewClientLog(n.metrics.Dropped.Counting(stats.DropClientLog)),
		Tails:     tail.NewBudget(int64(n.cfg.LingerBytes)),
		Crowd:     n.newCrowd(),
		Short:     &n.short,
		Full:      &n.full,
		Traffic:   stats.NewTraffic(),
		Connected: &n.nats.connected, MaxPayload: &n.nats.maxPayload, Epoch: n.epoch,
		Calls: n.pool, Resumes: n.resumes, Refused: &n.nats.refused,
	}
}

// newCrowd returns what reads mailboxes for many sessions together.
func (n *Node) newCrowd() *crowd.Crowd {
	return crowd.New(crowd.Bytes, crowd.Source{
		Read: func(ctx context.Context, partition int, from uint64, limit, maxBytes int) (store.Piece, error) {
			return n.nats.link.Load().store.ReadPiece(ctx, partition, from, limit, maxBytes)
		},
		Stopped: n.ctx, Run: n.pool.SubmitIdle, Epoch: n.epoch, Ended: n.metrics.Passes.Inc, Short: n.short.Load,
	})
}

// shareNATS adds what there is once the node has its store.
func (n *Node) shareNATS(shards int) {
	n.shared.Shards = shards
	n.shared.Directory = directory{n}
	n.shared.Mailboxes = mailboxes{n}
	n.shared.Queues = queues{n}
	n.shared.Peers = peers{n}
}

// apiNode is what the API knows of the node.
func (n *Node) apiNode(o *Options) api.Node {
	var tracer trace.Tracer
	if o.TracerProvider != nil {
		tracer = o.TracerProvider.Tracer("hydrant/edge", trace.WithInstrumentationVersion(Version))
	}
	return api.Node{
		Tracer: tracer, Pages: o.Pages,
		ID: n.id, Router: n.shared.Router, Version: Version, Started: n.started, Config: &n.cfg,
		Log: n.log, LogLevel: o.LogLevel, Metrics: n.metrics, ClientLog: n.shared.ClientLog, Traffic: n.shared.Traffic, Signatures: n.shared.Signatures, Tokens: n.tokens, Rules: n.rules,
		Guesses: n.shared.Guesses, Accounts: n.shared.Accounts, Mail: n.shared.Mail,
		Readiness: n.ready.reasons, Warnings: n.ready.warnings, Connected: n.nats.connected.Load, ShortOfMemory: n.short.Load, Connections: n.connections, Drain: n.Drain,
		NATS: func() *api.NATS {
			if !n.serving.Load() {
				return nil
			}
			l := n.nats.link.Load()
			return &api.NATS{Conn: delivery{l.conn, n.nats.questions, n.nats.bulk}, Store: l.store, Directory: l.directory, Queues: l.store.Queues(), Discovery: l.discovery}
		},
	}
}

// rateBurst is for how long a sender may be ahead of its rate.
const rateBurst = 5 * time.Second

// rates are those of one connection. A message of the largest size can be sent at once.
func rates(cfg *config.Config) quota.Limits {
	return quota.Limits{
		Messages: quota.NewRate(cfg.RateMessages, rateBurst, 1),
		Bytes:    quota.NewRate(float64(cfg.RateBytes), rateBurst, float64(cfg.MaxFrame())),
	}
}

func newAccounts(cfg *config.Config, m *stats.Metrics) *quota.Table {
	return quota.NewTable(rates(cfg), m.Dropped.Counting(stats.DropAccounts))
}

// newSignatures returns the check of signatures that the settings ask for; nil:
// none.
func newSignatures(cfg *config.Config, m *stats.Metrics) *access.Signatures {
	if cfg.Signature != config.SignatureRequired {
		return nil
	}
	s := access.NewSignatures(cfg.SignatureKeys, cfg.SignatureWindow, m.Dropped.Counting(stats.DropReplayTable))
	if cfg.SignatureFrom == config.SignatureFromSession {
		s.OnlySessions()
	}
	return s
}

// serveAdmin opens the administrators' listener.
func (n *Node) serveAdmin() error {
	n.admin = n.api.Server(http.NotFoundHandler())
	if n.cfg.AdminListen == "" {
		return nil
	}
	listener, err := api.ListenAdmin(n.cfg.AdminListen)
	if err != nil {
		return err
	}
	n.admin.Handler = n.api.Admin(listener.Addr())
	n.log.Info("administration", "listen", listener.Addr().String())
	n.background.Go(func() {
		if err := n.admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("administrators' listener ended", "error", err)
		}
	})
	return nil
}
