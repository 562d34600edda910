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
	running := discovery.New(nc)
	found, err := store.Setup(ctx, nc, storeConfig(&cfg, nc), queues, func(ctx context.Context) (store.Older, error) {
		form, err := running.Outdated(ctx)
		if err != nil {
			return store.Older{}, err
		}
		work, err := running.ExpectAnyWork(ctx)
		return store.Older{Form: ids(form), Work: ids(work)}, err
	})
	if cause := context.Cause(ctx); errors.Is(cause, nats.ErrPermissionViolation) {
		return nil, cause
	}
	return found, err
}

func ids(nodes []discovery.Instance) (all []string) {
	for _, in := range nodes {
		all = append(all, in.ID)
	}
	return all
}
