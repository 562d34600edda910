package edge

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// Setup makes streams and bucket for nodes of this configuration, or updates them, and
// registers work queues: what an installer does, so that nodes need no right to. It
// returns what may be worth a look.
func Setup(ctx context.Context, cfg Config, busCfg bus.Config, queues []scheme.Service) ([]store.Finding, error) {
	ctx, denied := context.WithCancelCause(ctx)
	defer denied(nil)
	nc, err := bus.Connect(busCfg.As(scheme.UserEdge), "hydrant-setup", nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) { // what is denied is not answered
			denied(fmt.Errorf("%w: take the user %q of `hydrant setup nats`", err, scheme.UserSetup))
		}
	}))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	found, err := store.Setup(ctx, nc, storeConfig(&cfg, nc), queues, func(ctx context.Context) (ids []string, err error) {
		nodes, err := discovery.New(nc).Outdated(ctx)
		for _, in := range nodes {
			ids = append(ids, in.ID)
		}
		return ids, err
	})
	if cause := context.Cause(ctx); errors.Is(cause, nats.ErrPermissionViolation) {
		return nil, cause
	}
	return found, err
}
