package store

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// expiryNotice is how long the server keeps a delete marker, the least it takes.
const expiryNotice = time.Second

// headerMarkerReason is on delete markers only.
const headerMarkerReason = "Nats-Marker-Reason"

// expiryGroup is the queue group of the nodes: one of them is told.
const expiryGroup = "hydrant"

// expiryConfig is the stream that tells when sessions expire: see the package's
// documentation, "Expiry".
func (c *Config) expiryConfig() jetstream.StreamConfig {
	cfg := c.common(scheme.ExpiryStream, c.TTL)
	cfg.Description = "Hydrant: when sessions expire"
	cfg.Subjects = []string{scheme.PrefixExpiry + "*.*"}
	cfg.Retention = jetstream.LimitsPolicy
	cfg.Discard = jetstream.DiscardOld
	cfg.MaxMsgsPerSubject = 1
	cfg.MaxMsgs = formGuard
	cfg.AllowRollup = true // delete markers need it
	cfg.SubjectDeleteMarkerTTL = expiryNotice
	cfg.Compression = jetstream.NoCompression // nothing to compress
	cfg.RePublish = &jetstream.RePublish{
		Source:      scheme.PrefixExpiry + "*.*",
		Destination: scheme.PrefixGone + "{{wildcard(1)}}.{{wildcard(2)}}",
		HeadersOnly: true,
	}
	return cfg
}

// ExpireLater leaves the message for a session once more. It is sent at most
// once, and blocks as [Store.PublishAsync] does.
func (s *Store) ExpireLater(sid scheme.SID) error {
	return jet.SendError(s.nc.Publish(scheme.ExpirySubject(sid), nil))
}

// WatchExpiries calls fn for sessions that may have expired: on one of the nodes
// that watch, at most once each, some moments late. fn runs on a goroutine of
// NATS and must not block.
func (s *Store) WatchExpiries(fn func(sid scheme.SID)) (*nats.Subscription, error) {
	sub, err := s.nc.QueueSubscribe(scheme.PrefixGone+"*.*", expiryGroup, func(m *nats.Msg) {
		if m.Header.Get(headerMarkerReason) == "" {
			return // the copy of a message that was left
		}
		if sid, err := scheme.ParseGoneSubject(m.Subject); err == nil {
			fn(sid)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("bus: %w", jet.SendError(err))
	}
	return sub, nil
}
