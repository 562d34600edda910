package store

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// keysTTL is how long a set of keys is kept.
const keysTTL = time.Hour

// ErrNoKeys: no keys are kept of that address.
var ErrNoKeys = errors.New("bus: no keys are kept")

// KeepKeys keeps a text about the keys of an address for an hour, beside the
// sessions. It is for nodes alone: whoever can write there can also write sessions.
func (d *Directory) KeepKeys(ctx context.Context, address string, text []byte) error {
	if err := d.store.Usable(); err != nil {
		return err
	}
	return jet.Retry(ctx, func(ctx context.Context) error {
		_, err := jet.PublishAcked(ctx, d.store.nc, &nats.Msg{Subject: scheme.KeysKey(address), Data: text, Header: nats.Header{
			jet.HeaderTTL: []string{jet.TTLSeconds(keysTTL)},
		}})
		return err
	})
}

// KeptKeys returns what [Directory.KeepKeys] has kept last. It fails with
// [ErrNoKeys], or with an error of NATS.
func (d *Directory) KeptKeys(ctx context.Context, address string) ([]byte, error) {
	p, err := d.proven(ctx, scheme.KeysKey(address), false)
	switch {
	case err != nil:
		return nil, err
	case p.m == nil || len(p.m.Data) == 0: // or the mark of one whose time is over
		return nil, ErrNoKeys
	}
	return p.m.Data, nil
}
