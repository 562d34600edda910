package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
)

const (
	// markerShare: of this many places in a mailbox one more is for markers. Each
	// resume leaves one for two seconds, so a client that comes back again and
	// again would push messages out of a mailbox that is full to its bound. One
	// place is always there; a small bound, where a share is nothing, stays exact.
	markerShare = 32

	// dupWindow is within which a repeated message id is dropped. The leader
	// remembers each id that long, about 150 bytes of it, so it is no longer
	// than a sender's repetitions need.
	dupWindow = time.Minute
)

// outConfig is the stream of mailbox partition i.
//
// One SubjectTransform is all that a stream has, and it cannot drop a rest of
// unknown length, so reply subjects have one form only, with seven tokens.
func (c *Config) outConfig(i int) jetstream.StreamConfig {
	var subjects []string
	for _, ch := range scheme.PartitionChars(i, c.Streams) {
		subjects = append(subjects,
			fmt.Sprintf(scheme.PrefixOut+"%c.*", ch),
			fmt.Sprintf(scheme.PrefixReply+"*.%c.*.*", ch))
	}
	cfg := c.common(scheme.OutStream(i), c.mailboxAge())
	cfg.Description = "Hydrant: mailboxes of sessions"
	cfg.Subjects = subjects
	cfg.Retention = jetstream.LimitsPolicy
	cfg.Discard = jetstream.DiscardOld
	// More than wait: the message at the floor, and markers.
	cfg.MaxMsgsPerSubject = int64(c.QueueLimit) + 2 + int64(c.QueueLimit)/markerShare
	cfg.SubjectTransform = &jetstream.SubjectTransformConfig{
		Source:      scheme.PrefixReply + "*.*.*.*",
		Destination: scheme.PrefixOut + "{{wildcard(2)}}.{{wildcard(3)}}",
	}
	cfg.RePublish = &jetstream.RePublish{
		Source:      scheme.PrefixOut + "*.*",
		Destination: scheme.PrefixLive + "{{wildcard(1)}}.{{wildcard(2)}}.s",
	}
	return cfg
}

// sessionConfig is the stream under the key-value bucket of the directory, as
// NATS' key-value tools make and expect it, with message TTLs besides.
func (c *Config) sessionConfig() jetstream.StreamConfig {
	cfg := c.common(scheme.SessionStream, c.TTL)
	cfg.Description = "Hydrant: directory of sessions"
	cfg.Subjects = []string{scheme.SessionKeyPrefix + ">"}
	cfg.Retention = jetstream.LimitsPolicy
	cfg.Discard = jetstream.DiscardNew
	cfg.MaxMsgsPerSubject = 1
	cfg.AllowRollup = true
	cfg.DenyDelete = true
	cfg.Compression = jetstream.NoCompression // entries are too small
	cfg.Metadata = withForm(nil, scheme.RollingForm)
	return cfg
}

// workConfig is the stream of the services' work queues. A queue that is full
// refuses new work: unlike a client, a sender of work can be told. It is made without
// queues: see fitWork.
func (c *Config) workConfig() jetstream.StreamConfig {
	cfg := c.common(scheme.WorkStream, c.WorkTTL)
	cfg.Description = "Hydrant: work queues of services"
	cfg.Subjects = []string{noWork}
	cfg.Retention = jetstream.WorkQueuePolicy
	cfg.Discard = jetstream.DiscardNew
	cfg.DiscardNewPerSubject = true
	cfg.MaxMsgsPerSubject = int64(c.WorkLimit)
	return cfg
}

// common is what all streams have; age is how long they keep a message.
func (c *Config) common(name string, age time.Duration) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name:        name,
		Storage:     jetstream.FileStorage,
		Compression: jetstream.S2Compression,
		Replicas:    c.Replicas,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		MaxAge:      age,
		Duplicates:  min(dupWindow, age),
		MaxMsgSize:  -1,
		AllowDirect: true,
		AllowMsgTTL: true,
	}
	if c.Memory {
		cfg.Storage = jetstream.MemoryStorage
		cfg.Compression = jetstream.NoCompression
	}
	return cfg
}

// configs are all streams of the store.
func (c *Config) configs() []jetstream.StreamConfig {
	all := make([]jetstream.StreamConfig, 0, c.Streams+3)
	for i := range c.Streams {
		all = append(all, c.outConfig(i))
	}
	all = append(all, c.sessionConfig(), c.expiryConfig(), c.workConfig())
	if c.Bytes > 0 {
		for i := range all {
			all[i].MaxBytes = c.part(all[i].Name, c.Bytes)
		}
	}
	return all
}

// merge is the configuration to update a stream to: what the store decides
// from want, all else (placement, tags, more replicas, a higher consumer
// limit) as the operator has it.
func merge(have, want jetstream.StreamConfig) jetstream.StreamConfig {
	next := have
	switch {
	case want.Name == scheme.WorkStream && ofWork(have.Subjects): // those of its queues
	case sameSubjects(mailboxes(have.Subjects), mailboxes(want.Subjects)):
		next.Subjects = want.Subjects
	default:
		// Another partition would leave what is stored behind, unread: that is for
		// an operator to decide.
	}
	next.Discard = want.Discard
	next.DiscardNewPerSubject = want.DiscardNewPerSubject
	next.MaxMsgsPerSubject = want.MaxMsgsPerSubject
	next.MaxAge = want.MaxAge
	if want.MaxBytes > 0 {
		next.MaxBytes = want.MaxBytes
	}
	if want.MaxMsgs > 0 {
		next.MaxMsgs = want.MaxMsgs
	}
	if scheme.FormOf(have.Metadata) < scheme.FormOf(want.Metadata) {
		next.Metadata = withForm(have.Metadata, scheme.FormOf(want.Metadata))
	}
	next.Duplicates = want.Duplicates
	next.AllowDirect = true
	next.AllowMsgTTL = true
	next.AllowRollup = want.AllowRollup || have.AllowRollup
	next.SubjectDeleteMarkerTTL = want.SubjectDeleteMarkerTTL
	next.SubjectTransform = want.SubjectTransform
	next.RePublish = want.RePublish
	next.Replicas = max(have.Replicas, want.Replicas)
	return next
}

// mailboxes are those of subjects that mailboxes are stored under.
func mailboxes(subjects []string) (out []string) {
	for _, s := range subjects {
		if strings.HasPrefix(s, scheme.PrefixOut) {
			out = append(out, s)
		}
	}
	return out
}

// sameConfig compares what merge can change.
func sameConfig(a, b jetstream.StreamConfig) bool {
	return sameSubjects(a.Subjects, b.Subjects) &&
		a.Discard == b.Discard &&
		a.DiscardNewPerSubject == b.DiscardNewPerSubject &&
		a.MaxMsgsPerSubject == b.MaxMsgsPerSubject &&
		a.MaxAge == b.MaxAge &&
		a.MaxBytes == b.MaxBytes &&
		a.MaxMsgs == b.MaxMsgs &&
		scheme.FormOf(a.Metadata) == scheme.FormOf(b.Metadata) &&
		a.Duplicates == b.Duplicates &&
		a.AllowDirect == b.AllowDirect &&
		a.AllowMsgTTL == b.AllowMsgTTL &&
		a.AllowRollup == b.AllowRollup &&
		a.SubjectDeleteMarkerTTL == b.SubjectDeleteMarkerTTL &&
		samePtr(a.SubjectTransform, b.SubjectTransform) &&
		samePtr(a.RePublish, b.RePublish) &&
		a.Replicas == b.Replicas
}

func sameSubjects(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func samePtr[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
