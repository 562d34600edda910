package store

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// WatchLeaders calls changed whenever a mailbox stream has elected a leader,
// with the number of the partition: what the leader before it had stored last
// may never have been republished, so its sessions have to attach again.
// changed runs on a NATS goroutine and must only enqueue. Stop ends the watch.
func (s *Store) WatchLeaders(changed func(partition int)) (stop func(), err error) {
	sub, err := s.nc.Subscribe(scheme.AdvisoryLeader+"*", func(m *nats.Msg) {
		name, _ := strings.CutPrefix(m.Subject, scheme.AdvisoryLeader+scheme.OutStreamPrefix)
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < s.cfg.Streams {
			changed(i)
		}
	})
	if err != nil {
		return nil, jet.SendError(err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // fails only if the connection is closed
}

// PartitionOf is the number of the mailbox stream that holds a session.
func (s *Store) PartitionOf(sid scheme.SID) int { return scheme.StreamIndexOf(sid, s.cfg.Streams) }
