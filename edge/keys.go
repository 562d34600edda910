package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/stats"
)

// keysEvery is how often a JSON Web Key Set is read again: how soon a new key
// is known, and how long one that was withdrawn still counts.
const keysEvery = time.Minute

// The set that was read is kept in the sessions' directory, for nodes that start
// while the provider is away.
const (
	keepEvery   = 15 * time.Minute // although nothing has changed
	keepTimeout = 10 * time.Second
)

// tokenKeys are the keys of an address that tokens are checked with. They are read
// once there is an uplink.
type tokenKeys struct {
	// Immutable.
	node *Node
	set  *access.KeySet // safe for concurrent use

	// Owned by the set's Watch, which calls the methods.
	kept   string // what was written last
	keptAt time.Time
}

// keptSet is a set as it is kept.
type keptSet struct {
	Read time.Time       `json:"read"`
	Set  json.RawMessage `json:"set"`
}

// newTokens returns the check of tokens that the settings ask for; nil: none.
func (n *Node) newTokens() (*access.Tokens, error) {
	cfg := &n.cfg
	if cfg.Auth != config.AuthJWT {
		if cfg.AuthKeyFile != "" || cfg.AuthJwksUrl != "" {
			n.log.Warn("no token is checked: EDGE_AUTH_KEY_FILE and EDGE_AUTH_JWKS_URL count with EDGE_AUTH=jwt only", "auth", cfg.Auth)
		}
		return nil, nil
	}
	o := access.TokenOptions{Algorithms: cfg.AuthAlgorithms, Issuer: cfg.AuthIssuer, Audience: cfg.AuthAudience, Endless: cfg.AuthExpiry == config.ExpiryOptional}
	if cfg.AuthJwksUrl == "" {
		keys, err := access.LoadKey(cfg.AuthKeyFile, cfg.AuthAlgorithms)
		if err != nil {
			return nil, fmt.Errorf("%w: EDGE_AUTH_KEY_FILE: %w", ErrConfig, err)
		}
		return access.NewTokens(keys, o), nil
	}
	k := &tokenKeys{node: n}
	k.set = access.NewKeySet(access.KeySetOptions{
		Address: cfg.AuthJwksUrl, Every: keysEvery, Failed: k.failed, Read: k.read,
		Skipped: func(kid string, why error) {
			n.log.Warn("a key of EDGE_AUTH_JWKS_URL is passed over", "kid", kid, "why", why)
		},
	})
	n.keys = k
	n.ready.begin(stats.PartKeys, "reads EDGE_AUTH_JWKS_URL")
	return access.NewTokens(k.set.Find, o), nil
}

// show tells readiness whether there are keys; why not is err.
func (k *tokenKeys) show(err error) {
	if k.set.Usable() {
		k.node.ready.now(stats.PartKeys)
	} else {
		k.node.ready.not(stats.PartKeys, "EDGE_AUTH_JWKS_URL: "+err.Error())
	}
}

// failed goes on with the keys of before, or else begins with those that were kept.
func (k *tokenKeys) failed(err error) {
	if k.set.Usable() {
		k.node.log.Warn("keys of tokens not read; those of before count", "age", k.set.Age().Round(time.Second), "error", err)
	} else if !errors.Is(err, access.ErrNoUsableKey) { // else all were withdrawn
		k.restore()
	}
	k.show(err)
}

// read keeps a set that was read, if another is kept, or for too long.
func (k *tokenKeys) read(set []byte, at time.Time) {
	k.show(nil)
	if string(set) == k.kept && at.Sub(k.keptAt) < keepEvery {
		return
	}
	text, err := json.Marshal(keptSet{at, set})
	if err == nil {
		ctx, cancel := context.WithTimeout(k.node.ctx, keepTimeout)
		defer cancel()
		err = k.node.nats.link.Load().directory.KeepKeys(ctx, k.node.cfg.AuthJwksUrl, text)
	}
	if err != nil {
		k.node.log.Warn("keys of tokens not kept for nodes that start", "error", err)
		return
	}
	k.kept, k.keptAt = string(set), at
}

// restore begins with the keys that were kept.
func (k *tokenKeys) restore() {
	ctx, cancel := context.WithTimeout(k.node.ctx, keepTimeout)
	defer cancel()
	text, err := k.node.nats.link.Load().directory.KeptKeys(ctx, k.node.cfg.AuthJwksUrl)
	var kept keptSet
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err == nil {
		err = k.set.Restore(kept.Set, kept.Read)
	}
	switch {
	case errors.Is(err, store.ErrNoKeys), errors.Is(err, access.ErrKeysOld):
		k.node.log.Info("no keys of tokens are kept", "error", err)
	case err != nil:
		k.node.log.Warn("keys of tokens that were kept cannot be used", "error", err)
	default:
		k.node.log.Info("begins with keys of tokens that were kept", "age", k.set.Age().Round(time.Second))
	}
}

// keysAge is for how long the keys of tokens were not read.
func (n *Node) keysAge() time.Duration {
	if n.keys == nil {
		return 0
	}
	return n.keys.set.Age()
}
