package store

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// A node's signs are messages in the directory that say that it reaches the store.

// Sign stores a sign of a node, and does not wait for that.
func (d *Directory) Sign(node scheme.NodeID) error {
	return d.store.nc.PublishMsg(&nats.Msg{Subject: scheme.ProbeKey(node), Header: nats.Header{
		jet.HeaderTTL: []string{jet.TTLSeconds(probeTTL)},
	}})
}

// LastSign is the sequence of a node's last sign, and how old that is; 0: there is none.
// Without a quorum it fails as [Directory.Sure] does.
func (d *Directory) LastSign(ctx context.Context, node scheme.NodeID) (seq uint64, age time.Duration, err error) {
	if err := d.store.Usable(); err != nil {
		return 0, 0, err
	}
	ctx, cancel := d.store.bounded(ctx)
	defer cancel()
	p, err := d.proven(ctx, scheme.ProbeKey(node), false)
	return p.seq, p.age, err
}
